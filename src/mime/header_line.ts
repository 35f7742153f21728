import { encodedWords } from "./encoded_word.ts";

/** RFC 5322 section 2.1.1: what a line should keep to, and what it must. */
const SOFT_LINE_CHARS = 78;
const HARD_LINE_CHARS = 998;
/** RFC 2047 section 2: a line with an encoded-word. */
const WORD_LINE_CHARS = 76;

/** Visible ASCII in words with one blank between: what may be sent and folded as it is. */
const PLAIN = /^[!-~]+(?: [!-~]+)*$/;

/** What some reader might take for an encoded-word, also with blanks in it. */
const ENCODED_WORD = /=\?[^?]+\?[^?]+\?[^?]*\?=/;

/**
 * One header field, written token by token and folded before the token that no longer fits (RFC 5322 section 2.2.3).
 * Never folds right behind the colon, where some readers take the value for empty, unless an encoded-word leaves no
 * choice.
 *
 * @example
 * ```ts
 * const line = new HeaderLine("Subject");
 * line.text("Grüße aus Rom");
 * if (line.end() !== "Subject: =?UTF-8?B?R3LDvMOfZQ==?= aus Rom\r\n") throw new Error("unexpected");
 * ```
 */
export class HeaderLine {
  readonly #name: string;
  #text: string;
  #column: number;
  /** Whether the line under way holds an encoded-word. */
  #worded = false;

  constructor(name: string) {
    this.#name = name;
    this.#text = `${name}:`;
    this.#column = this.#text.length;
  }

  /** Adds a blank and a token that stays in one piece. */
  token(token: string): void {
    const limit = this.#worded ? WORD_LINE_CHARS : SOFT_LINE_CHARS;
    this.#append(token, this.#isEmpty() ? HARD_LINE_CHARS : limit);
  }

  /** Adds text for people (RFC 5322 section 3.2.5): words as they are where that is safe, else as encoded-words. */
  text(value: string): void {
    const text = value.toWellFormed();
    if (text === "") return;
    const isPlain = PLAIN.test(text) && !text.includes("=?");
    if (isPlain && this.#column + 1 + text.length <= WORD_LINE_CHARS) return this.#append(text, WORD_LINE_CHARS);
    // A reader may join or drop blanks that stand at the ends or in a row, so these travel encoded.
    if (!isPlain && / {2}|^ | $/.test(text)) return this.encoded(text);
    let run: string[] = [];
    for (const word of text.split(" ")) {
      if (this.#mustEncode(word)) {
        run.push(word);
        continue;
      }
      if (run.length > 0) this.encoded(run.join(" "));
      run = [];
      this.token(word);
    }
    if (run.length > 0) this.encoded(run.join(" "));
  }

  /**
   * Adds what programs read: blanks only part its words, and these go as they are, but for what a reader would decode.
   */
  words(value: string): void {
    const words = value.split(" ").filter((word) => word !== "");
    const mustEncode = words.some((word) => !/^[!-~]+$/.test(word) || this.#isTooLong(word));
    if (mustEncode || ENCODED_WORD.test(value)) return this.text(words.join(" "));
    for (const word of words) this.token(word);
  }

  /** Adds text as encoded-words. */
  encoded(text: string): void {
    const wellFormed = text.toWellFormed();
    const whole = encodedWords(wellFormed);
    // One word on a line of its own is better than two halves: Python 3.11 puts a blank between the words of a name.
    const words = whole.length === 1 && !this.#isEmpty()
      ? whole
      : encodedWords(wellFormed, WORD_LINE_CHARS - this.#column - 1);
    for (const word of words) {
      this.#append(word, WORD_LINE_CHARS);
      this.#worded = true;
    }
  }

  /** Returns the field with its CRLF. */
  end(): string {
    return `${this.#text}\r\n`;
  }

  #append(token: string, limit: number): void {
    if (this.#column + 1 + token.length > limit) {
      this.#text += "\r\n";
      this.#column = 0;
      this.#worded = false;
    }
    this.#text += ` ${token}`;
    this.#column += 1 + token.length;
  }

  #isEmpty(): boolean {
    return this.#text.length === this.#name.length + 1;
  }

  /** A literal "=?" would be decoded by the reader; a word beyond the hard limit has no other way to be folded. */
  #mustEncode(word: string): boolean {
    return !/^[!-~]+$/.test(word) || word.includes("=?") || this.#isTooLong(word);
  }

  #isTooLong(word: string): boolean {
    return this.#name.length + 2 + word.length > HARD_LINE_CHARS;
  }
}
