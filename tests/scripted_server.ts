import { createServer, type Server, type Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { type Certificate, createAuthority } from "./smtp/certificate.ts";
import { ServerDialogue } from "./smtp/server_dialogue.ts";

/**
 * DESIGN: a real SMTP server on 127.0.0.1 whose every answer can be scripted, for all tests that send mail.
 *
 * Without a script it accepts everything. `mails` is its ledger: what it has said 250 to, nothing else.
 * Each connection keeps a transcript of the bytes of both sides, TLS taken off.
 */

/** A mail that this server is responsible for. */
export interface AcceptedMail {
  readonly reversePath: string;
  readonly recipients: readonly string[];
  /** The content as the client had it before dot-stuffing, with the last CRLF. */
  readonly content: string;
  /** The parameters of MAIL, such as `SIZE=12`. */
  readonly parameters: string;
  /** The user of AUTH. */
  readonly user: string | undefined;
  readonly isTls: boolean;
}

/** What the server does instead of its usual answer. */
export type Answer =
  /** These lines; the server adds the last CRLF. */
  | string
  /** The usual answer. */
  | undefined
  /** These bytes as they are, even if they are no reply. */
  | { readonly raw: string }
  /** These bytes, each piece in a segment of its own. */
  | { readonly pieces: readonly string[] }
  /** Says 334 and this, and 535 to what comes then: only to AUTH. */
  | { readonly challenge: string }
  /** Says this, when given, and closes the connection. */
  | { readonly close: string | undefined }
  /** Says this, when given, and closes the connection with RST. */
  | { readonly reset: string | true }
  /** Ends TCP without a word of TLS: no close_notify. */
  | { readonly cut: true }
  /** Says nothing and reads nothing more. */
  | { readonly hang: true }
  /** Takes the mail into the ledger and closes without a word: only after the final dot. */
  | { readonly acceptAndClose: true }
  /** Takes the mail into the ledger and says nothing more: only after the final dot. */
  | { readonly acceptAndHang: true };

/** A script may look at the connection it answers on: `count` is the connection's number, from 1. */
export interface ScriptContext {
  readonly connection: number;
  /** Commands of this kind on this connection, this one included. */
  readonly count: number;
  readonly isTls: boolean;
}

type Script<T> = (argument: T, context: ScriptContext) => Answer | Promise<Answer>;

/** A script for each thing that the client says; the argument is what the client said. */
export interface Scripts {
  readonly connect?: Script<undefined>;
  /** The name the client gave. */
  readonly ehlo?: Script<string>;
  readonly helo?: Script<string>;
  readonly starttls?: Script<undefined>;
  /** The mechanism. */
  readonly auth?: Script<string>;
  /** The address, without brackets. */
  readonly mail?: Script<string>;
  readonly rcpt?: Script<string>;
  readonly data?: Script<undefined>;
  /** After the 354, once so many bytes of content have come as `bodyBytes` says. */
  readonly body?: Script<number>;
  /** A chunk has come: what stood behind BDAT, such as `100` or `0 LAST`. After the last one comes `content`. */
  readonly bdat?: Script<string>;
  /** The end of the content. It is not in the ledger before this script is done. */
  readonly content?: Script<string>;
  readonly rset?: Script<undefined>;
  readonly quit?: Script<undefined>;
}

export interface ScriptedServerOptions {
  /** EHLO keywords. STARTTLS and AUTH come from `tls` and `auth`. @default {["PIPELINING", "8BITMIME"]} */
  readonly offer?: readonly string[];
  /** @default {"none"} */
  readonly tls?: "none" | "starttls" | "implicit";
  /** @default {a certificate of `TEST_AUTHORITY` for localhost and 127.0.0.1} */
  readonly certificate?: Certificate;
  /** Offers AUTH PLAIN and LOGIN, over TLS only if `tls` is not `none`, and knows this user. */
  readonly auth?: { readonly user: string; readonly password: string };
  readonly on?: Scripts;
  /** When `on.body` is called. @default {1} */
  readonly bodyBytes?: number;
  /** Writes every reply in pieces of so many bytes. */
  readonly splitBytes?: number;
  /** How the lines of replies end. @default {"\r\n"} */
  readonly lineEnd?: "\n" | "\r";
  /**
   * What it makes of commands that come in groups: `joined` answers them with one write, `refused` takes the second one
   * for an attack (as Exim does when PIPELINING was not offered), `lost` forgets all but the first.
   */
  readonly groups?: "joined" | "refused" | "lost";
  /** Reads nothing while one of its replies is unwritten, and as little as it can at a time. */
  readonly isNarrow?: boolean;
  /** The versions of TLS it speaks. @default {those of the runtime} */
  readonly tlsVersions?: { readonly minVersion: "TLSv1"; readonly maxVersion: "TLSv1.1" };
  /** @default {any port that is free} */
  readonly port?: number;
}

export interface ScriptedServer extends AsyncDisposable {
  readonly port: number;
  /** All accepted mails, in the order of their 250. */
  readonly mails: readonly AcceptedMail[];
  /** One per connection, in the order of their coming. */
  readonly transcripts: readonly Transcript[];
  /** Connections that are open now. */
  readonly openCount: number;
  /** Resolves when so many mails are accepted. */
  whenMails(count: number): Promise<void>;
  /** Resolves when so many connections have come. */
  whenConnections(count: number): Promise<void>;
  /** Resolves when a client has said this, as bytes, on any connection; handshakes of TLS are bytes too. */
  whenSaid(part: string): Promise<void>;
  /** Resolves when no connection is open. */
  whenEmpty(): Promise<void>;
  /** Writes bytes on all open connections without being asked; line ends are the caller's. */
  interject(raw: string): void;
  /** Closes all open connections (with FIN). */
  dropAll(): void;
  close(): Promise<void>;
}

/** What was said on one connection, byte by byte, as latin1. */
export interface Transcript {
  client: string;
  server: string;
}

/** The authority of the default certificate: give `TEST_AUTHORITY.ca` to a client that shall trust it. */
export const TEST_AUTHORITY = createAuthority();

let defaultCertificate: Certificate | undefined;

/**
 * Starts a scripted SMTP server.
 *
 * @example
 * ```ts
 * await using server = await startScriptedServer({
 *   offer: ["PIPELINING"],
 *   on: { rcpt: (address) => address.startsWith("bob@") ? "550 5.1.1 no such user" : undefined },
 * });
 * ```
 */
export async function startScriptedServer(options: ScriptedServerOptions = {}): Promise<ScriptedServer> {
  const mails: AcceptedMail[] = [];
  const transcripts: Transcript[] = [];
  const open = new Set<ServerDialogue>();
  const watchers = new Set<() => void>();
  const notify = (): void => {
    for (const watcher of [...watchers]) watcher();
  };
  const until = (test: () => boolean): Promise<void> =>
    new Promise((resolve) => {
      const look = (): void => {
        if (!test()) return;
        watchers.delete(look);
        resolve();
      };
      watchers.add(look);
      look();
    });

  defaultCertificate ??= TEST_AUTHORITY.issue(["localhost", "127.0.0.1"]);
  const certificate = options.certificate ?? defaultCertificate;
  const server = createServer({ noDelay: true }, (plain) => {
    // A client that goes away in a handshake is none of this server's business.
    plain.on("error", () => undefined);
    const transcript: Transcript = { client: "", server: "" };
    transcripts.push(transcript);
    const number = transcripts.length;
    const secure = (socket: Socket): Socket => {
      const tls = new TLSSocket(socket, { isServer: true, ...certificate, ...options.tlsVersions });
      tls.on("error", () => undefined);
      return tls;
    };
    const dialogue = new ServerDialogue(plain, {
      options,
      transcript,
      number,
      secure,
      isTls: options.tls === "implicit",
      heard: notify,
      accept: (mail) => {
        mails.push(mail);
        notify();
      },
    });
    open.add(dialogue);
    notify();
    plain.on("close", () => {
      open.delete(dialogue);
      notify();
    });
    dialogue.run();
  });
  const port = await listen(server, options.port ?? 0);
  const close = async (): Promise<void> => {
    for (const dialogue of open) dialogue.destroy();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  };

  return {
    port,
    mails,
    transcripts,
    get openCount() {
      return open.size;
    },
    whenMails: (count) => until(() => mails.length >= count),
    whenConnections: (count) => until(() => transcripts.length >= count),
    whenSaid: (part) => until(() => transcripts.some(({ client }) => client.includes(part))),
    whenEmpty: () => until(() => open.size === 0),
    interject: (raw) => {
      for (const dialogue of open) dialogue.write(raw);
    },
    dropAll: () => {
      for (const dialogue of open) dialogue.hangUp();
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

function listen(server: Server, wanted: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(wanted, "127.0.0.1", () => {
      const address = server.address();
      if (address === null || typeof address === "string") return reject(new Error("Cannot listen: no port was given"));
      resolve(address.port);
    });
  });
}
