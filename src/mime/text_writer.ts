/** Beyond it quotes and lists are not indented further: a line's prefix stays short, whatever the depth. */
const MAX_LEVELS = 8;
/**
 * A million lines in eight quotes would be many times as long as their HTML: behind so much indentation there is no
 * more of it.
 */
const MAX_INDENT_CHARS = 1_000_000;
/** More of a link's text is never compared. */
const MAX_CAPTURED_CHARS = 2_048;

/** A quote or a list item around the lines under way. */
interface Level {
  /** In front of its first line; the empty string when that is written. */
  first: string;
  /** In front of the others. */
  readonly rest: string;
}

/** Rows of a table: in which line the text of each began. */
interface Row {
  line: number | undefined;
}

/**
 * Writes plain text as HTML shows it: blanks collapse, blocks ask for line breaks of which the largest counts, and
 * lines get the prefix of the quotes and list items around them.
 *
 * @example
 * ```ts
 * const writer = new TextWriter();
 * writer.flow("a  b\n");
 * writer.break(2);
 * writer.break(1);
 * writer.flow("c");
 * if (writer.end() !== "a b\n\nc\n") throw new Error("unexpected");
 * ```
 */
export class TextWriter {
  readonly #lines: string[] = [];
  readonly #levels: Level[] = [];
  readonly #rows: Row[] = [];
  /** The levels that the last line stood in. */
  #lastLevels: readonly Level[] = [];
  #line = "";
  /** How much indentation was written. */
  #indentChars = 0;
  /** Blanks at the start of a line, written only when something visible follows. */
  #indent = "";
  /** How many line breaks come before the next text, and what else. */
  #breaks = 0;
  #gap = "";
  /** Behind a list marker or a cell's separator there is no break. */
  #isHeld = false;
  #hidden = 0;
  #captured: string | undefined;

  /** Writes text in which blanks and line ends mean one blank. */
  flow(text: string): void {
    if (this.#hidden > 0) return;
    for (const [piece] of text.matchAll(/[\t\n\f\r ]+|[^\t\n\f\r ]+/g)) {
      if (!/^[\t\n\f\r ]/.test(piece)) this.#put(visible(piece));
      else if (this.#gap === "") this.#gap = " ";
    }
  }

  /** Writes text as it is, such as that of `pre`. */
  verbatim(text: string): void {
    if (this.#hidden > 0) return;
    text.replaceAll(/\r\n?/g, "\n").split("\n").forEach((piece, index) => {
      if (index > 0) this.#breaks++;
      if (index > 0) this.#gap = "";
      if (piece !== "") this.#write(visible(piece));
    });
  }

  /** Asks for so many line breaks in front of the next text: 2 leave a blank line. */
  break(count: 1 | 2): void {
    if (this.#hidden > 0 || this.#isHeld) return;
    // A block of nothing but a no-break space is how editors write a blank line.
    const wanted = this.#indent === "" ? count : 2;
    this.#endRun();
    this.#breaks = Math.max(this.#breaks, wanted);
  }

  /** Breaks the line, as `br` does: two of them leave a blank line, and so do more. */
  breakLine(): void {
    if (this.#hidden > 0 || this.#isHeld) return;
    this.#endRun();
    this.#breaks = Math.max(this.#breaks, Math.min(this.#breaks + 1, 2));
  }

  /** Ends a stretch of `verbatim` text: of the line breaks at its end one blank line is left. */
  endVerbatim(): void {
    this.#breaks = Math.min(this.#breaks, 2);
  }

  /** Begins a quote or a list item; the prefix of its first line is written once, with its first text. */
  indent(first: string, rest: string): void {
    this.#levels.push({ first, rest });
    if (first !== rest) this.#isHeld = true;
  }

  /** Ends it. */
  outdent(): void {
    this.#levels.pop();
    this.#isHeld = false;
  }

  /** Begins a row of a table. */
  startRow(): void {
    this.break(1);
    this.#rows.push({ line: undefined });
  }

  /** Begins a cell: behind another of its row, as long as all of that is in one line. */
  startCell(): void {
    const line = this.#rows.at(-1)?.line;
    if (this.#hidden > 0) return;
    if (line === undefined) return;
    if (line !== this.#lines.length) return this.break(1);
    this.#indent = "";
    this.#breaks = 0;
    this.#gap = " | ";
    this.#isHeld = true;
  }

  /** Ends a row. */
  endRow(): void {
    const row = this.#rows.pop();
    const outer = this.#rows.at(-1);
    if (outer !== undefined) outer.line ??= row?.line;
    this.#isHeld = false;
    this.break(1);
  }

  /** Leaves out all until {@linkcode show}; they nest. */
  hide(): void {
    this.#hidden++;
  }

  /** Ends the last {@linkcode hide}. */
  show(): void {
    this.#hidden--;
  }

  /** Begins to remember what is written. */
  startCapture(): void {
    this.#captured = "";
  }

  /** Returns what was written since, its blanks collapsed; of a long text only the start. */
  endCapture(): string {
    const captured = this.#captured ?? "";
    this.#captured = undefined;
    return captured;
  }

  /** Adds to the last text, whatever breaks were asked for since. */
  append(text: string): void {
    if (this.#hidden === 0) this.#line += text;
  }

  /** Returns the text, its last line ended. */
  end(): string {
    this.#endLine();
    return this.#lines.map((line) => `${line}\n`).join("");
  }

  /** Writes one word of flowing text. */
  #put(word: string): void {
    if (word === "") return;
    const isNewLine = this.#line === "" || this.#breaks > 0;
    if (!isBlank(word)) this.#write(word);
    else if (isNewLine) this.#indent += word;
    else this.#gap += word;
  }

  #write(text: string): void {
    if (this.#breaks > 0 && this.#line !== "") this.#startLine();
    if (this.#line === "") {
      this.#lastLevels = this.#levels.slice(0, MAX_LEVELS);
      this.#line = this.#prefix() + this.#indent;
      const row = this.#rows.at(-1);
      if (row !== undefined) row.line ??= this.#lines.length;
    } else this.#line += this.#gap;
    this.#line += text;
    if (this.#captured !== undefined && this.#captured.length < MAX_CAPTURED_CHARS) {
      this.#captured += (this.#captured === "" ? "" : this.#gap) + text;
    }
    this.#indent = "";
    this.#gap = "";
    this.#breaks = 0;
    this.#isHeld = false;
  }

  /** Ends the line under way, and adds the blank lines that were asked for, in the quotes that go on behind them. */
  #startLine(): void {
    const shared = this.#lastLevels.filter((level, depth) => this.#levels[depth] === level);
    this.#endLine();
    const blank = shared.map(({ rest }) => rest).join("").trimEnd();
    for (let count = 1; count < this.#breaks; count++) this.#lines.push(this.#indented(blank));
  }

  #endLine(): void {
    if (this.#line !== "") this.#lines.push(this.#line.trimEnd());
    this.#line = "";
  }

  #endRun(): void {
    this.#indent = "";
    this.#gap = "";
  }

  #prefix(): string {
    return this.#levels.slice(0, MAX_LEVELS).map((level) => {
      const prefix = level.first === "" ? this.#indented(level.rest) : level.first;
      level.first = "";
      return prefix;
    }).join("");
  }

  #indented(rest: string): string {
    this.#indentChars += rest.length;
    return this.#indentChars <= MAX_INDENT_CHARS ? rest : "";
  }
}

/** A no-break space is a blank here, and what only tells where to break or hyphenate a word is nothing. */
function visible(text: string): string {
  return /[\xa0\xad\u034f\u200b\u2060\ufeff]/.test(text)
    ? text.replaceAll("\xa0", " ").replaceAll(/[\xad\u034f\u200b\u2060\ufeff]/g, "")
    : text;
}

/** Whether nothing of a word can be seen: what fills the preview line of a mail. */
function isBlank(word: string): boolean {
  return /^[\s\u200c\u200d]*$/.test(word);
}
