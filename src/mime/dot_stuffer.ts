const CR = 13;
const LF = 10;
const DOT = 46;

/**
 * Doubles the dot at the start of each line of a mail that comes in chunks (RFC 5321 section 4.5.2). Cut where it may,
 * the bytes are those of `dotStuff`.
 *
 * A dot behind a bare LF is doubled too: a server that takes LF for a line end must not see the end of data there
 * (CVE-2023-51764). Mails that `compose` made have none.
 *
 * @example
 * ```ts
 * const stuffer = new DotStuffer();
 * const wire = [stuffer.push(new TextEncoder().encode("a\r\n")), stuffer.push(new TextEncoder().encode(".b")), stuffer.end()];
 * if (wire.map((chunk) => new TextDecoder().decode(chunk)).join("") !== "a\r\n..b\r\n") throw new Error("unexpected");
 * ```
 */
export class DotStuffer {
  /** The last two octets; none yet, which is the start of a line too. */
  #last: number | undefined;
  #beforeLast: number | undefined;

  /** Returns the chunk with its dots doubled: the same array when nothing has to change. */
  push(chunk: Uint8Array): Uint8Array {
    const dots = this.#lineStartDots(chunk);
    if (chunk.length > 0) [this.#beforeLast, this.#last] = [chunk.length > 1 ? chunk.at(-2) : this.#last, chunk.at(-1)];
    if (dots.length === 0) return chunk;
    const stuffed = new Uint8Array(chunk.length + dots.length);
    let from = 0;
    let to = 0;
    for (const dot of dots) {
      stuffed.set(chunk.subarray(from, dot), to);
      to += dot - from;
      stuffed[to++] = DOT;
      from = dot;
    }
    stuffed.set(chunk.subarray(from), to);
    return stuffed;
  }

  /** Returns what completes the last line, so that `.\r\n` may follow: nothing when it ends with CRLF. */
  end(): Uint8Array {
    if (this.#last === LF && this.#beforeLast === CR) return new Uint8Array();
    return Uint8Array.from(this.#last === CR ? [LF] : [CR, LF]);
  }

  #lineStartDots(chunk: Uint8Array): readonly number[] {
    const dots: number[] = [];
    for (let at = chunk.indexOf(DOT); at >= 0; at = chunk.indexOf(DOT, at + 1)) {
      const before = at === 0 ? this.#last : chunk[at - 1];
      if (before === LF || before === undefined) dots.push(at);
    }
    return dots;
  }
}
