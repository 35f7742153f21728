import type { Phase } from "../delivery/transport.ts";
import { ReplyParser, type ServerReply } from "./reply.ts";

/**
 * DESIGN: who said what, and what we wait for. Pure: bytes come in by `receive`, effects go out by `Wire`.
 *
 * Every command is put into a FIFO of expected replies before it is written, and every reply takes one out. A reply
 * that nobody expects, or that was there before its command was written, is never matched: it goes to `unsolicited`,
 * since from there on each reply would be taken for the one before it. The FIFO may hold the commands of more than one
 * mail: each expectation knows who reads its reply.
 */

/** What happens outside. Implemented by `link.ts` over a socket, by the tests over an array. */
export interface Wire {
  /** Adds bytes to the next write. */
  write(bytes: Uint8Array): void;
  /**
   * Writes a long content slice by slice as the peer reads it; `Session.handed` is called when the kernel has all of
   * it, `Session.contentFailed` when it could not be read to its end.
   */
  stream(chunks: AsyncIterable<Uint8Array>): void;
  /** Writes what was added, at once. */
  flush(): void;
  /** Starts the TLS handshake: `Session.secured` is called when it is done and verified. */
  startTls(): void;
  /** Arms the one deadline anew; `Session.deadlinePassed` is called when it passes. */
  setDeadline(delayMs: number): void;
  /** Ends the connection at once, whatever is unwritten. */
  close(): void;
}

export type Verb =
  | "GREETING"
  | "EHLO"
  | "HELO"
  | "STARTTLS"
  | "AUTH"
  | "RSET"
  | "MAIL"
  | "RCPT"
  | "DATA"
  | "BDAT"
  | "CONTENT"
  | "QUIT";

/** A part of the session that reads the replies to its own commands. */
export interface ReplyReader {
  replied(verb: Verb, reply: ServerReply): void;
}

/** What the dialogue reports to the session. */
export interface DialogueOwner {
  /** The bytes are no SMTP. */
  garbled(fault: string): void;
  /** A reply that answers nothing. */
  unsolicited(reply: ServerReply): void;
}

export interface Expectation {
  readonly verb: Verb;
  readonly phase: Phase;
  readonly deadlineMs: number;
  readonly reader: ReplyReader;
}

interface Rest {
  readonly phase: Phase;
  readonly deadlineMs: number;
}

interface Pending extends Expectation {
  readonly bytes: number;
  /** The number of the chunk that had come last when this was written: an answer comes in a later one. */
  readonly writtenAfterChunk: number;
}

const encoder = new TextEncoder();

export class Dialogue {
  readonly #wire: Wire;
  readonly #owner: DialogueOwner;
  readonly #log: ((line: string) => void) | undefined;
  readonly #parser = new ReplyParser();
  readonly #pending: Pending[] = [];
  #commands = "";
  #chunks = 0;
  #isOver = false;
  #clean: ((reply: ServerReply) => ServerReply) | undefined;
  #cleanUntilChunk = 0;
  /** What to wait for when no reply is expected: a handshake, a peer that reads, the next mail. */
  #rest: Rest;
  #armed: Rest | undefined;

  constructor(
    wire: Wire,
    owner: DialogueOwner,
    options: { readonly connectMs: number; readonly log: ((line: string) => void) | undefined },
  ) {
    this.#wire = wire;
    this.#owner = owner;
    this.#log = options.log;
    this.#rest = { phase: "connect", deadlineMs: options.connectMs };
  }

  /** Bytes of commands whose replies are still to come. */
  unacknowledgedBytes = 0;

  /** Takes secrets out of replies before anybody sees them: of all that come from now on. */
  startCleaning(clean: (reply: ServerReply) => ServerReply): void {
    this.#clean = clean;
    this.#cleanUntilChunk = Infinity;
  }

  /** Lets replies be as they are again, from the next chunk on: this one may hold more about our secrets. */
  stopCleaning(): void {
    this.#cleanUntilChunk = this.#chunks;
  }

  get hasExpectations(): boolean {
    return this.#pending.length > 0;
  }

  /** Whether bytes have come behind the reply that is being read. */
  get hasUnread(): boolean {
    return this.#parser.hasUnread;
  }

  /** The part of the dialogue that we wait in. */
  get phase(): Phase {
    return this.#pending[0]?.phase ?? this.#rest.phase;
  }

  /** Waits for a reply without saying anything: the greeting. */
  expect(expectation: Expectation, bytes = 0): void {
    const { verb, phase, deadlineMs, reader } = expectation;
    this.#pending.push({ verb, phase, deadlineMs, reader, bytes, writtenAfterChunk: this.#chunks });
    this.unacknowledgedBytes += bytes;
  }

  /** Says a command, which has no line end yet. `shown` is what a log may see of it. */
  say(command: string, expectation: Expectation, shown: string = command): void {
    this.#log?.(`C: ${shown}`);
    this.#commands += `${command}\r\n`;
    // UTF-16 units: exact for ASCII, and for the window of a pipeline near enough for the rest.
    this.expect(expectation, command.length + 2);
  }

  /** Writes content bytes behind the commands said so far. */
  content(bytes: Uint8Array, shown = `(${bytes.length} bytes of content)`): void {
    this.#encode();
    this.#log?.(`C: ${shown}`);
    this.#wire.write(bytes);
  }

  /** Writes a long content that is to leave before anything else is said. */
  stream(chunks: AsyncIterable<Uint8Array>, bytes: number): void {
    this.#encode();
    this.#log?.(`C: (${bytes} bytes of content)`);
    this.#wire.stream(chunks);
  }

  /** Names what we wait for, and how long, while no reply is expected. */
  rest(phase: Phase, deadlineMs: number): void {
    this.#rest = { phase, deadlineMs };
  }

  /** Reads what has come, hands each reply to who waits for it, then writes what they said. */
  receive(bytes: Uint8Array): void {
    if (this.#isOver) return;
    this.#chunks++;
    this.#parser.push(bytes);
    while (!this.#isOver) {
      const reply = this.#parser.next();
      if (reply === undefined) break;
      if ("fault" in reply) this.#owner.garbled(reply.fault);
      else this.#dispatch(reply);
    }
    this.commit();
  }

  /** Ends an event: what was said goes out as one write, and the deadline follows what is waited for now. */
  commit(): void {
    if (this.#isOver) return;
    this.#encode();
    this.#wire.flush();
    const next = this.#pending[0] ?? this.#rest;
    if (next !== this.#armed) {
      this.#armed = next;
      this.#wire.setDeadline(next.deadlineMs);
    }
  }

  /** Nothing is read, written or awaited any more. */
  end(): void {
    this.#isOver = true;
    this.#commands = "";
    this.#pending.length = 0;
  }

  #dispatch(received: ServerReply): void {
    const reply = this.#clean === undefined || this.#chunks > this.#cleanUntilChunk ? received : this.#clean(received);
    if (this.#log !== undefined) { for (const line of reply.lines) this.#log(`S: ${reply.code} ${line}`); }
    const head = this.#pending[0];
    if (head === undefined || head.writtenAfterChunk === this.#chunks) return this.#owner.unsolicited(reply);
    this.#pending.shift();
    this.unacknowledgedBytes -= head.bytes;
    head.reader.replied(head.verb, reply);
  }

  #encode(): void {
    if (this.#commands === "") return;
    this.#wire.write(encoder.encode(this.#commands));
    this.#commands = "";
  }
}
