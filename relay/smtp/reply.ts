import type { Reply } from "../delivery/transport.ts";

/**
 * The longest line we read, without its line end. RFC 5321 section 4.5.3.1.5 asks for 512; servers send longer ones.
 */
export const MAX_LINE_BYTES = 4096;
/** The longest reply we read, line ends included. */
export const MAX_REPLY_BYTES = 65_536;
/** The most lines that one reply may have. */
export const MAX_REPLY_LINES = 512;
/** So many replies of a connection are known by heart: a server says the same few again and again. */
const MAX_KNOWN = 8;
/** No longer ones. */
const MAX_KNOWN_BYTES = 128;
/** The most characters of a reply that we keep as its text. */
export const MAX_TEXT_CHARACTERS = 1024;

/** A reply as it came, with its lines: EHLO (RFC 5321 section 4.1.1.1) gives each of them a meaning. */
export interface ServerReply extends Reply {
  /** What follows the code in each line, control characters removed. */
  readonly lines: readonly string[];
}

/** The bytes are no SMTP reply: nothing after them can be trusted, so the connection has to end. */
export interface ReplyFault {
  readonly fault: string;
}

/** A reply that has come before, as it came, with its line ends. */
interface KnownReply {
  readonly bytes: Uint8Array;
  readonly reply: ServerReply;
  /** It has come a second time, and stays. */
  isRepeated: boolean;
}

const LF = 0x0a;
const CR = 0x0d;
// The separators U+2028 and U+2029 end a line in some log readers.
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g;
// RFC 3463 section 2; the blank is RFC 2034 section 4.
const ENHANCED = /^([245])\.(\d{1,3})\.(\d{1,3})(?: |$)/;

const utf8 = new TextDecoder("utf-8", { fatal: true });
const latin1 = new TextDecoder("latin1");

/**
 * Reads replies out of a stream of bytes, however these are cut.
 *
 * One parser serves a connection for its whole life: a second one would lose the bytes that the first has kept back.
 *
 * @example One reply in two pieces
 * ```ts
 * const parser = new ReplyParser();
 * parser.push(new TextEncoder().encode("250 2.1.0 o"));
 * if (parser.next() !== undefined) throw new Error("unexpected: it is not complete");
 * parser.push(new TextEncoder().encode("k\r\n"));
 * const reply = parser.next(); // { code: 250, enhanced: "2.1.0", text: "ok", lines: ["2.1.0 ok"] }
 * if (reply === undefined || "fault" in reply || reply.text !== "ok") throw new Error("unexpected");
 * ```
 */
export class ReplyParser {
  #chunk: Uint8Array = new Uint8Array(0);
  #at = 0;
  readonly #known: KnownReply[] = [];
  /** Which of them is expected next: the one that came behind the last one when it came before. */
  #expected = 0;
  readonly #partial: Uint8Array = new Uint8Array(MAX_LINE_BYTES + 1);
  #partialBytes = 0;
  #lines: string[] = [];
  #code = 0;
  #replyBytes = 0;
  #fault: ReplyFault | undefined;

  /** Whether bytes have come that belong to no reply returned yet. */
  get hasUnread(): boolean {
    return this.#partialBytes > 0 || this.#lines.length > 0 || this.#at < this.#chunk.length;
  }

  /** Takes the next bytes. Call it only after `next` has returned undefined. */
  push(chunk: Uint8Array): void {
    this.#chunk = chunk;
    this.#at = 0;
  }

  /**
   * Returns the next complete reply, undefined when more bytes are needed, or the fault that ends this stream for good.
   */
  next(): ServerReply | ReplyFault | undefined {
    const from = this.#at;
    if (from === this.#chunk.length) return this.#fault;
    const isWhole = this.#partialBytes === 0 && this.#lines.length === 0 && this.#fault === undefined;
    const known = isWhole ? this.#recognize() : undefined;
    if (known !== undefined) return known;
    while (this.#fault === undefined) {
      const line = this.#nextLine();
      if (line === undefined) break;
      const isLast = this.#take(line);
      if (isLast) return isWhole ? this.#learn(this.#chunk.subarray(from, this.#at), this.#finish()) : this.#finish();
    }
    return this.#fault;
  }

  /** Reads the next reply if it is one that is known, without a copy of it. */
  #recognize(): ServerReply | undefined {
    const count = this.#known.length;
    for (let tried = 0; tried < count; tried++) {
      const index = (this.#expected + tried) % count;
      const known = this.#known[index] as KnownReply; // it is below their number
      if (!isAt(this.#chunk, this.#at, known.bytes)) continue;
      this.#at += known.bytes.length;
      this.#expected = index + 1;
      known.isRepeated = true;
      return known.reply;
    }
    return undefined;
  }

  /** In the place of the oldest that has not come again: `250 OK queued as 4cR2Xk` never does. */
  #learn(bytes: Uint8Array, reply: ServerReply): ServerReply {
    if (bytes.length > MAX_KNOWN_BYTES) return reply;
    if (this.#known.length === MAX_KNOWN) {
      const oldest = this.#known.findIndex(({ isRepeated }) => !isRepeated);
      if (oldest === -1) return reply;
      this.#known.splice(oldest, 1);
    }
    this.#known.push({ bytes: bytes.slice(), reply, isRepeated: false });
    return reply;
  }

  #nextLine(): Uint8Array | undefined {
    const end = this.#chunk.indexOf(LF, this.#at);
    if (end === -1) {
      this.#keep(this.#chunk.subarray(this.#at));
      this.#at = this.#chunk.length;
      return undefined;
    }
    let line = this.#chunk.subarray(this.#at, end);
    this.#replyBytes += end + 1 - this.#at + this.#partialBytes;
    this.#at = end + 1;
    if (this.#partialBytes > 0) {
      if (!this.#keep(line)) return undefined;
      line = this.#partial.subarray(0, this.#partialBytes);
      this.#partialBytes = 0;
    }
    return line[line.length - 1] === CR ? line.subarray(0, -1) : line;
  }

  /** Keeps the start of a line. One byte more than a line fits: it may be the CR of its end. */
  #keep(bytes: Uint8Array): boolean {
    if (bytes.length === 0) return true;
    const total = this.#partialBytes + bytes.length;
    const isOnlyCarriageReturn = total === MAX_LINE_BYTES + 1 && bytes[bytes.length - 1] === CR;
    if (total > MAX_LINE_BYTES && !isOnlyCarriageReturn) {
      this.#refuse(`a line of more than ${MAX_LINE_BYTES} bytes`);
      return false;
    }
    this.#partial.set(bytes, this.#partialBytes);
    this.#partialBytes = total;
    return true;
  }

  /** Adds a line to the reply under way; true when it is the last one. */
  #take(line: Uint8Array): boolean {
    if (line.length > MAX_LINE_BYTES) return this.#refuse(`a line of more than ${MAX_LINE_BYTES} bytes`);
    if (this.#replyBytes > MAX_REPLY_BYTES) return this.#refuse(`a reply of more than ${MAX_REPLY_BYTES} bytes`);
    if (this.#lines.length === MAX_REPLY_LINES) return this.#refuse(`a reply of more than ${MAX_REPLY_LINES} lines`);

    const code = codeOf(line);
    const separator = line[3];
    if (code === undefined || (separator !== undefined && separator !== 0x20 && separator !== 0x2d)) {
      return this.#refuse("a line that is no SMTP reply");
    }
    // RFC 5321 section 4.2.1: every line carries the same code. Which one would count is a matter of opinion, so
    // neither does.
    if (this.#lines.length > 0 && code !== this.#code) return this.#refuse("a reply whose lines differ in their code");
    this.#code = code;
    this.#lines.push(line.length > 4 ? decode(line.subarray(4)) : "");
    return separator !== 0x2d;
  }

  #finish(): ServerReply {
    const lines = this.#lines;
    const code = this.#code;
    this.#lines = [];
    this.#replyBytes = 0;

    // The class must agree with the code (RFC 2034 section 4); one that does not says nothing.
    const match = ENHANCED.exec(lines[0] ?? "");
    const enhanced = match !== null && match[1] === String(Math.trunc(code / 100))
      ? `${match[1]}.${match[2]}.${match[3]}`
      : undefined;
    const texts = enhanced === undefined ? lines : lines.map((line) => withoutPrefix(line, enhanced));
    const text = shorten(texts.length === 1 ? texts[0] ?? "" : texts.join(" "));
    return enhanced === undefined ? { code, text, lines } : { code, enhanced, text, lines };
  }

  #refuse(fault: string): false {
    this.#fault = { fault: `The server sent ${fault}` };
    return false;
  }
}

function isAt(chunk: Uint8Array, at: number, bytes: Uint8Array): boolean {
  for (let index = 0; index < bytes.length; index++) if (chunk[at + index] !== bytes[index]) return false;
  return true;
}

function codeOf(line: Uint8Array): number | undefined {
  const [a, b, c] = line;
  if (a === undefined || b === undefined || c === undefined) return undefined;
  if (a < 0x32 || a > 0x35 || b < 0x30 || b > 0x39 || c < 0x30 || c > 0x39) return undefined;
  return (a - 0x30) * 100 + (b - 0x30) * 10 + (c - 0x30);
}

/** RFC 6531 section 3.7.4.1 allows UTF-8; older servers send one byte a character, and those are never refused. */
function decode(bytes: Uint8Array): string {
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    text = latin1.decode(bytes);
  }
  return text.replace(CONTROLS, "");
}

function withoutPrefix(line: string, enhanced: string): string {
  if (!line.startsWith(enhanced)) return line;
  return line.slice(enhanced.length).trimStart();
}

function shorten(text: string): string {
  if (text.length <= MAX_TEXT_CHARACTERS) return text;
  const cut = text.slice(0, MAX_TEXT_CHARACTERS);
  return cut.isWellFormed() ? cut : cut.slice(0, -1);
}
