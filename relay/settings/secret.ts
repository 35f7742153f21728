/**
 * A value that must not reach a log, a status page or an error text.
 *
 * Printing, inspecting, joining and serialising it all give `[secret]`; only `reveal()` gives the value, so that a
 * search for that word finds every place where a secret is used.
 */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** Returns the value itself. */
  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return "[secret]";
  }

  toJSON(): string {
    return "[secret]";
  }

  static {
    // What `console.log` and `Bun.inspect` show.
    Object.defineProperty(this.prototype, Symbol.for("nodejs.util.inspect.custom"), { value: () => "[secret]" });
  }
}
