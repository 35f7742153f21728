/** Thrown to leave the loop of a connection that is over. */
export class Over extends Error {}

/** What a client has said and the server has not read yet, as latin1. */
export class ServerInput {
  readonly #emptied: () => void;
  #text = "";
  #isEnded = false;
  #wake: (() => void) | undefined;

  /** @param emptied is called when there is nothing left to read, and more is wanted */
  constructor(emptied: () => void) {
    this.#emptied = emptied;
  }

  get length(): number {
    return this.#text.length;
  }

  add(text: string): void {
    this.#text += text;
    this.#wake?.();
  }

  /** Forgets what is not read yet. */
  clear(): void {
    this.#text = "";
  }

  end(): void {
    this.#isEnded = true;
    this.#wake?.();
  }

  /** Waits for more bytes. */
  async more(): Promise<void> {
    if (this.#isEnded) throw new Over();
    this.#emptied();
    await new Promise<void>((resolve) => (this.#wake = resolve));
    this.#wake = undefined;
  }

  /** Takes the next line, without its end. */
  async line(): Promise<string> {
    for (;;) {
      const end = this.#text.indexOf("\r\n");
      if (end !== -1) return this.#take(end, 2);
      await this.more();
    }
  }

  /** Takes so many bytes. */
  async bytes(count: number): Promise<string> {
    while (this.#text.length < count) await this.more();
    return this.#take(count, 0);
  }

  /** Takes everything up to the final dot, dot-stuffing taken off (RFC 5321 section 4.5.2). */
  async content(): Promise<string> {
    for (let from = 0;;) {
      if (this.#text.startsWith(".\r\n")) return this.#take(0, 3);
      const end = this.#text.indexOf("\r\n.\r\n", from);
      if (end !== -1) return this.#take(end + 2, 3).replace(/(^|\r\n)\./g, "$1");
      from = Math.max(0, this.#text.length - 4);
      await this.more();
    }
  }

  #take(length: number, skipped: number): string {
    const taken = this.#text.slice(0, length);
    this.#text = this.#text.slice(length + skipped);
    return taken;
  }
}
