import type { Socket } from "node:net";
import type { ScriptedServerOptions, Transcript } from "../scripted_server.ts";

/** What a scripted server says on one connection: when, in which pieces, and with which line ends. */
export class ServerOutput {
  readonly #options: ScriptedServerOptions;
  readonly #transcript: Transcript;
  #socket: Socket;
  /** When all pieces of the replies so far are written. */
  #written: Promise<void> = Promise.resolve();
  /** Replies that wait until the client has nothing more to say. */
  #held = "";

  constructor(socket: Socket, options: ScriptedServerOptions, transcript: Transcript) {
    this.#socket = socket;
    this.#options = options;
    this.#transcript = transcript;
  }

  /** Speaks over TLS from here on. */
  use(socket: Socket): void {
    this.#socket = socket;
  }

  /** Writes bytes as they are, but for the line ends when the script has some of its own. */
  write(said: string): void {
    const { splitBytes, lineEnd, groups } = this.#options;
    const text = lineEnd === undefined ? said : said.replaceAll("\r\n", lineEnd);
    this.#transcript.server += text;
    if (groups === "joined") this.#held += text;
    else if (splitBytes === undefined) this.#send(text);
    else this.#sendEach(text.match(new RegExp(`[^]{1,${splitBytes}}`, "g")) ?? []);
  }

  /** Writes each piece in a segment of its own. */
  writePieces(pieces: readonly string[]): void {
    this.#transcript.server += pieces.join("");
    this.#sendEach(pieces);
  }

  /** Writes what was held back. */
  release(): void {
    if (this.#held !== "") this.#send(this.#held);
    this.#held = "";
  }

  /** Calls back when all is with the kernel. */
  whenWritten(then: () => void): void {
    if (this.#socket.writableLength === 0) then();
    else this.#socket.once("drain", then);
  }

  /** Ends the connection behind the last piece. */
  end(): void {
    this.release();
    if (this.#options.splitBytes === undefined) this.#socket.end();
    else void this.#written.then(() => this.#socket.end());
  }

  #sendEach(pieces: readonly string[]): void {
    // Not over TLS, if that begins while they wait.
    const socket = this.#socket;
    // A turn of the event loop between the pieces: else the client would read them as one.
    for (const piece of pieces) {
      this.#written = this.#written.then(() => {
        this.#send(piece, socket);
        return new Promise((resolve) => setImmediate(resolve));
      });
    }
  }

  #send(text: string, socket = this.#socket): void {
    if (!socket.destroyed) socket.write(text, "latin1");
  }
}
