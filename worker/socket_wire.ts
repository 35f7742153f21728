import type { Cause } from "../relay/smtp/cause.ts";
import type { Wire } from "../relay/smtp/dialogue.ts";
import { Deadline, type Timers } from "../relay/smtp/timers.ts";
import type { SocketReader, SocketWriter, WorkerSocket } from "./upstream_shape.ts";

/** Who is told what happens on a socket. */
export interface WireEvents {
  connected(): void;
  secured(): void;
  receive(bytes: Uint8Array): void;
  ended(cause: Cause): void;
  deadlinePassed(): void;
}

/** A socket with the reader and the writer that hold it. */
export interface OpenSocket {
  readonly socket: WorkerSocket;
  readonly reader: SocketReader;
  readonly writer: SocketWriter;
}

/** Moves bytes over a socket of Cloudflare Workers. Its end is an event like its errors: nobody reads on behind it. */
export class SocketWire implements Wire {
  readonly #deadline: Deadline;
  #open: OpenSocket;
  #events: WireEvents | undefined;
  #pieces: Uint8Array[] = [];
  /** After STARTTLS: the next byte belongs to the handshake. */
  #isHeld = false;
  #isClosed = false;

  constructor(open: OpenSocket, timers: Timers) {
    this.#open = open;
    this.#deadline = new Deadline(timers, () => this.#events?.deadlinePassed());
  }

  /** Waits for the connection, then reads until it ends. Nothing is lost before: its events come from here on. */
  start(events: WireEvents): void {
    this.#events = events;
    this.#open.socket.opened.then(() => {
      if (this.#isClosed) return;
      events.connected();
      void this.#read();
    }, (error) => this.#end("connect_refused", "The connection could not be made", error));
  }

  write(bytes: Uint8Array): void {
    this.#pieces.push(bytes);
  }

  stream(): void {
    throw new Error("Cannot stream a content: a Worker holds it whole");
  }

  /** One write for all, so that no server answers a part of a command. */
  flush(): void {
    if (this.#pieces.length === 0 || this.#isClosed) return;
    const whole = new Uint8Array(this.#pieces.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const piece of this.#pieces) {
      whole.set(piece, at);
      at += piece.length;
    }
    this.#pieces = [];
    this.#open.writer.write(whole).catch((error) => this.#end("closed", "The server closed the connection", error));
  }

  /** Stops reading, so that the socket can be handed over to TLS. */
  hold(): void {
    this.#isHeld = true;
  }

  startTls(): void {
    const { socket, reader, writer } = this.#open;
    try {
      reader.releaseLock();
      writer.releaseLock();
      const secure = socket.startTls();
      this.#open = { socket: secure, reader: secure.readable.getReader(), writer: secure.writable.getWriter() };
    } catch (error) {
      return this.#end("tls_handshake", "TLS could not be begun", error);
    }
    this.#open.socket.opened.then(() => {
      if (this.#isClosed) return;
      this.#isHeld = false;
      this.#events?.secured();
      void this.#read();
    }, (error) => this.#end("tls_handshake", "TLS could not be agreed on", error));
  }

  setDeadline(delayMs: number): void {
    this.#deadline.set(delayMs);
  }

  close(): void {
    this.#isClosed = true;
    this.#pieces = [];
    this.#deadline.stop();
    this.#open.socket.close().catch(() => undefined);
  }

  async #read(): Promise<void> {
    try {
      while (!this.#isClosed && !this.#isHeld) {
        const { done, value } = await this.#open.reader.read();
        if (done) return this.#end("closed", "The server closed the connection");
        if (value !== undefined) this.#events?.receive(value);
      }
    } catch (error) {
      this.#end("closed", "The connection failed", error);
    }
  }

  #end(code: string, reason: string, error?: unknown): void {
    if (this.#isClosed) return;
    // The runtime gives its errors no code, only words for people.
    const words = error instanceof Error ? `: ${error.message}` : "";
    this.#events?.ended({ code, reason: `${reason}${words}` });
  }
}
