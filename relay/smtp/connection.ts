import { connect as connectTcp, isIP, type LookupFunction, type Socket } from "node:net";
import { connect as connectTls, createSecureContext, TLSSocket } from "node:tls";
import { type Cause, causeOf } from "./cause.ts";
import { type PeerCertificate, readCertificate } from "./peer_certificate.ts";
import { TurnEnd, type Writer } from "./turn_end.ts";

/**
 * DESIGN: the one file that opens sockets. Bytes, TLS and back-pressure; it knows no SMTP and no deadlines.
 *
 * Short pieces are collected, and what `flush` asks for is written in one go at the end of the turn. A long content
 * goes out slice by slice, the next one read when the kernel has the last, so that a slow peer costs no memory. After
 * `close` no event comes any more.
 */

/** Where to, and whom to believe. */
export interface Target {
  readonly host: string;
  readonly port: number;
  /** TLS from the first byte. */
  readonly isImplicitTls: boolean;
  /** Whether the certificate must be valid for the host: false only for opportunistic TLS without credentials. */
  readonly verify: boolean;
  /** Certificates in PEM to trust instead of the well-known ones. */
  readonly ca: string | undefined;
  readonly minTls: "TLSv1.2" | "TLSv1.3";
  /** What proves who we are, in PEM. */
  readonly clientCertificate: ClientCertificate | undefined;
}

/** A certificate (with its chain) and its private key, both in PEM. */
export interface ClientCertificate {
  readonly cert: string;
  readonly key: string;
}

export interface ConnectionEvents {
  /** The connection stands, and so does implicit TLS. */
  connected(): void;
  /** The handshake that `startTls` began is done and verified. */
  secured(): void;
  data(bytes: Uint8Array): void;
  /** The kernel has taken a slice of a long content: the peer reads. */
  progressed(): void;
  /** The kernel has all of the long content. */
  handed(): void;
  /** The long content could not be read to its end. */
  contentFailed(reason: string): void;
  ended(cause: Cause): void;
}

export interface Connection {
  /** A long content is on its way, and we wait for its next chunk, not for the peer. */
  readonly isStarved: boolean;
  write(bytes: Uint8Array): void;
  stream(chunks: AsyncIterable<Uint8Array>): void;
  flush(): void;
  startTls(): void;
  close(): void;
  /** What was agreed on with the peer; undefined without TLS, and before its handshake is done. */
  tlsFacts(): TlsFacts | undefined;
}

/** How the bytes are protected, and who the peer says it is. */
export interface TlsFacts {
  /** Such as `TLSv1.3`. */
  readonly version: string;
  readonly cipher: string;
  /** Undefined when the peer showed none. */
  readonly certificate: PeerCertificate | undefined;
}

/** Opens a connection. An argument of the transport, so that tests can put a black hole in its place. */
export type Connector = (target: Target, events: ConnectionEvents) => Connection;

/** How much of a long content is given to the kernel at once. */
const SLICE_BYTES = 65_536;

/** Opens a TCP connection; the addresses of a name are those that the system knows. */
export const openSocket: Connector = (target, events) => new SocketConnection(target, events, undefined);

/**
 * Makes a connector that asks this function for the addresses of a name, as `dns.lookup` of `node:dns` would be asked:
 * with `all`, and every address is tried until one answers.
 */
export function socketsWith(lookup: LookupFunction): Connector {
  return (target, events) => new SocketConnection(target, events, lookup);
}

/**
 * Reads the certificates of a target once, before any connection does: one that cannot be read would throw in the
 * middle of a dialogue.
 *
 * @throws {TypeError} when `ca` or `clientCertificate` cannot be used
 */
export function checkCertificates(
  { ca, clientCertificate }: {
    readonly ca?: string | undefined;
    readonly clientCertificate?: ClientCertificate | undefined;
  },
): void {
  for (
    const [name, options] of [["ca", ca === undefined ? ca : { ca }], ["clientCertificate", clientCertificate]] as const
  ) {
    try {
      if (options !== undefined) createSecureContext(options);
    } catch (cause) {
      throw new TypeError(`Cannot use ${name}: it is no PEM that can be read; give it whole, from BEGIN to END`, {
        cause,
      });
    }
  }
}

/** Of all connections of this process: they share its event loop. */
const TURN_END = new TurnEnd();

class SocketConnection implements Connection, Writer {
  readonly #target: Target;
  readonly #events: ConnectionEvents;
  #socket: Socket;
  #pieces: Uint8Array[] = [];
  /** They are to be written at the end of this turn. */
  #isDue = false;
  #isStreaming = false;
  #isClosed = false;
  #isTls: boolean;
  isStarved = false;

  constructor(target: Target, events: ConnectionEvents, lookup: LookupFunction | undefined) {
    this.#target = target;
    this.#events = events;
    this.#isTls = target.isImplicitTls;
    const { host, port } = target;
    const byName = lookup === undefined ? {} : { lookup };
    this.#socket = target.isImplicitTls
      ? connectTls({ port, ...byName, ...this.#tlsOptions() })
      : connectTcp({ host, port, noDelay: true, ...byName });
    if (target.isImplicitTls) this.#socket.setNoDelay(true);
    this.#listen(this.#socket, target.isImplicitTls ? "secureConnect" : "connect", () => events.connected());
  }

  write(bytes: Uint8Array): void {
    this.#pieces.push(bytes);
  }

  flush(): void {
    if (this.#isClosed || this.#isStreaming || this.#isDue || this.#pieces.length === 0) return;
    this.#isDue = true;
    TURN_END.add(this);
  }

  writeOut(): void {
    this.#isDue = false;
    if (this.#isClosed || this.#isStreaming || this.#pieces.length === 0) return;
    const bytes = joined(this.#pieces);
    this.#pieces = [];
    this.#socket.write(bytes);
  }

  stream(chunks: AsyncIterable<Uint8Array>): void {
    this.writeOut();
    this.#isStreaming = true;
    void this.#pump(chunks);
  }

  startTls(): void {
    const plain = this.#socket;
    // From here on these bytes are TLS records: the old listeners must not see one of them.
    plain.removeAllListeners("data");
    plain.removeAllListeners("end");
    plain.removeAllListeners("error");
    plain.removeAllListeners("close");
    this.#isTls = true;
    this.#socket = connectTls({ socket: plain, ...this.#tlsOptions() });
    // A failure below TLS is reported by the TLS socket too; without a listener it would end the process.
    plain.on("error", () => undefined);
    this.#listen(this.#socket, "secureConnect", () => this.#events.secured());
    plain.on("close", () => this.#end({ code: "closed", reason: "The server closed the connection" }));
  }

  tlsFacts(): TlsFacts | undefined {
    if (this.#isClosed || !(this.#socket instanceof TLSSocket)) return undefined;
    const version = this.#socket.getProtocol();
    const cipher = this.#socket.getCipher()?.name;
    if (version === null || cipher === undefined) return undefined;
    return { version, cipher, certificate: readCertificate(this.#socket.getPeerCertificate()) };
  }

  close(): void {
    if (this.#isClosed) return;
    if (this.#isDue) this.writeOut();
    this.#isClosed = true;
    this.#pieces = [];
    this.#socket.destroy();
  }

  #listen(socket: Socket, ready: "connect" | "secureConnect", onReady: () => void): void {
    let isReady = false;
    socket.once(ready, () => {
      isReady = true;
      if (!this.#isClosed) onReady();
    });
    socket.on("data", (bytes: Uint8Array) => {
      if (!this.#isClosed) this.#events.data(bytes);
    });
    socket.on("error", (error: Error) => this.#end(causeOf(error, { isHandshake: this.#isTls && !isReady })));
    socket.on("end", () => this.#end({ code: "closed", reason: "The server closed the connection" }));
    socket.on("close", () => this.#end({ code: "closed", reason: "The connection was closed" }));
  }

  #end(cause: Cause): void {
    if (this.#isClosed) return;
    this.close();
    this.#events.ended(cause);
  }

  async #pump(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    try {
      this.isStarved = true;
      for await (const chunk of chunks) {
        this.isStarved = false;
        for (let from = 0; from < chunk.length; from += SLICE_BYTES) {
          if (this.#isClosed) return;
          // The socket says itself why it ended.
          if (!await this.#written(chunk.subarray(from, from + SLICE_BYTES)) || this.#isClosed) return;
          this.#events.progressed();
        }
        if (this.#isClosed) return;
        this.isStarved = true;
      }
      this.isStarved = false;
    } catch (error) {
      if (!this.#isClosed) this.#events.contentFailed(error instanceof Error ? error.message : String(error));
      return;
    }
    if (this.#isClosed) return;
    this.#isStreaming = false;
    this.#events.handed();
    this.flush();
  }

  /**
   * Resolves with true when the kernel has the bytes, with false when it will never have them: a dead socket calls back
   * all the same, and a content taken for written would make its mail uncertain.
   */
  #written(bytes: Uint8Array): Promise<boolean> {
    return new Promise((resolve) =>
      this.#socket.write(bytes, (error) => resolve(error === undefined || error === null))
    );
  }

  #tlsOptions(): TlsOptions {
    const { host, verify, ca, minTls, clientCertificate } = this.#target;
    // RFC 6066 section 3: no address as a server name. The certificate is then checked against the address itself.
    const servername = isIP(host) === 0 ? host : "";
    const options = { host, servername, rejectUnauthorized: verify, minVersion: minTls, ...clientCertificate };
    return ca === undefined ? options : { ...options, ca };
  }
}

interface TlsOptions {
  readonly host: string;
  readonly servername: string;
  readonly rejectUnauthorized: boolean;
  readonly minVersion: "TLSv1.2" | "TLSv1.3";
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const [first] = pieces;
  if (pieces.length === 1 && first !== undefined) return first;
  return Buffer.concat(pieces);
}
