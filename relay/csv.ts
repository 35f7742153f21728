// CSV as RFC 4180 has it, with LF or CRLF: cells in quotes may hold commas, line breaks and doubled quotes.

/** One record, and the line on which it begins. */
export interface CsvRow {
  readonly line: number;
  readonly cells: readonly string[];
}

/** A text that is no CSV; the message names the line. */
export class CsvFault extends Error {
  override readonly name = "CsvFault";
}

/** Longer than any cell of ours: a quote that is never closed would take the rest of the file. */
const LONGEST_CHARS = 100_000;

/**
 * Reads CSV piece by piece, wherever it is cut.
 *
 * @example
 * ```ts
 * const reader = new CsvReader();
 * const rows = [...reader.push('address,reason\r\nann@example.com,"a, '), ...reader.push('b"\n'), ...reader.end()];
 * if (rows[1]?.cells[1] !== "a, b" || rows[1].line !== 2) throw new Error("unexpected");
 * ```
 */
export class CsvReader {
  #rest = "";
  #line = 1;
  #isFirst = true;

  /** Takes in a piece. @returns the records that are complete */
  push(text: string): readonly CsvRow[] {
    const piece = this.#isFirst && text.startsWith("\uFEFF") ? text.slice(1) : text;
    if (text !== "") this.#isFirst = false;
    this.#rest += piece;
    return this.#read(false);
  }

  /** Takes in the end. @returns a last record without a line break */
  end(): readonly CsvRow[] {
    return this.#read(true);
  }

  #read(isEnd: boolean): readonly CsvRow[] {
    const rows: CsvRow[] = [];
    const text = this.#rest;
    let from = 0;
    for (;;) {
      const row = this.#row(text, from, isEnd);
      if (row === undefined) break;
      from = row.next;
      // An empty line is none.
      if (row.cells.length > 1 || row.cells[0] !== "") rows.push({ line: this.#line, cells: row.cells });
      this.#line += row.lines;
    }
    this.#rest = text.slice(from);
    if (this.#rest.length > LONGEST_CHARS) {
      throw new CsvFault(`line ${this.#line} does not end within ${LONGEST_CHARS} characters: is a quote missing?`);
    }
    return rows;
  }

  /** The record that begins at a place; undefined while its end is not there. */
  #row(text: string, from: number, isEnd: boolean): FoundRow | undefined {
    const end = text.indexOf("\n", from);
    const line = text.slice(from, end === -1 ? undefined : end);
    // Most lines have no quotes.
    if (!line.includes('"')) {
      if (end === -1 && (!isEnd || line === "")) return undefined;
      return { cells: withoutReturn(line).split(","), next: end === -1 ? text.length : end + 1, lines: 1 };
    }
    return this.#quoted(text, from, isEnd);
  }

  #quoted(text: string, from: number, isEnd: boolean): FoundRow | undefined {
    const cells: string[] = [];
    let lines = 1;
    for (let at = from;;) {
      if (text[at] !== '"') {
        const [stop] = /[,\n]|$/.exec(text.slice(at)) ?? [""];
        const length = /^[^,\n]*/.exec(text.slice(at))?.[0].length ?? 0;
        const cell = text.slice(at, at + length);
        if (stop === "" && !isEnd) return undefined;
        cells.push(stop === "," ? cell : withoutReturn(cell));
        if (stop !== ",") return { cells, next: at + length + stop.length, lines };
        at += length + 1;
        continue;
      }
      const close = closingQuote(text, at + 1);
      if (close === undefined || (close + 1 >= text.length && !isEnd)) {
        if (isEnd) throw new CsvFault(`line ${this.#line} has a quote that is not closed`);
        return undefined;
      }
      const cell = text.slice(at + 1, close).replaceAll('""', '"');
      cells.push(cell);
      lines += cell.split("\n").length - 1;
      const stop = /^(,|\r?\n|$)/.exec(text.slice(close + 1, close + 3))?.[0];
      if (stop === undefined) {
        if (!isEnd && text[close + 1] === "\r" && close + 2 >= text.length) return undefined;
        throw new CsvFault(`line ${this.#line} has text behind a closing quote`);
      }
      if (stop !== ",") return { cells, next: close + 1 + stop.length, lines };
      at = close + 2;
    }
  }
}

interface FoundRow {
  readonly cells: readonly string[];
  readonly next: number;
  readonly lines: number;
}

/** Writes one record, without its line break. */
export function csvLine(cells: readonly string[]): string {
  return cells.map((cell) => /[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell).join(",");
}

/** The quote that ends a cell, and is not doubled; undefined: not there. */
function closingQuote(text: string, from: number): number | undefined {
  for (let at = text.indexOf('"', from); at !== -1; at = text.indexOf('"', at + 2)) {
    if (text[at + 1] !== '"') return at;
  }
  return undefined;
}

function withoutReturn(line: string): string {
  return line.endsWith("\r") ? line.slice(0, -1) : line;
}
