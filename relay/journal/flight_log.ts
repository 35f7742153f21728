import { closeSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { findNumbered, numberedPath } from "./numbered_files.ts";

/**
 * DESIGN: which mails are in flight right now, on disk before they are composed, so that the next relay in this state
 * directory knows which of them may have killed this one. One slot of a fixed size for each mail that is in flight at a
 * time, written over with the next: one small pwrite(2) when it begins, another when it has ended and no mail has begun
 * in its place within a turn of the event loop, and no fsync, since a machine that loses power is no mail's fault. It
 * is a help for blame and nothing that a mail hangs on: what cannot be written is not counted.
 */
export class FlightLog {
  /** Names of mails that were in flight when the predecessors died. */
  readonly #found = new Map<string, Set<string>>();
  readonly #foundFiles: string[] = [];
  readonly #path: string;
  readonly #after: (delayMs: number, callback: () => void) => () => void;
  /** Blank ones. */
  readonly #free: number[] = [];
  /** Those whose mail has ended, and is still named. */
  #ended: number[] = [];
  #clears = false;
  readonly #slot = new Uint8Array(SLOT_BYTES);
  #slots = 0;
  #fd: number | undefined;

  /**
   * @param directory made if it is not there
   * @param after calls back once after a time
   * @throws {Error} when it cannot be read or written
   */
  constructor(directory: string, after: (delayMs: number, callback: () => void) => () => void) {
    this.#after = after;
    const { paths, nextNumber } = findNumbered(directory, KIND);
    for (const path of paths) {
      this.#foundFiles.push(path);
      for (const line of readFileSync(path, "utf8").split("\n")) this.#find(line);
    }
    this.#path = numberedPath(directory, nextNumber, KIND);
    this.#fd = openSync(this.#path, "wx", 0o600);
    this.#dropFound();
  }

  /** Notes that a mail begins. @returns what to end it by */
  begin(database: string, seq: string): number {
    const slot = this.#ended.pop() ?? this.#free.pop() ?? this.#slots++;
    const line = lineOf(database, seq);
    this.#slot.fill(BLANK);
    const { read } = ENCODER.encodeInto(line, this.#slot);
    // A name that is too long for a slot is not noted.
    if (read < line.length) this.#slot.fill(BLANK);
    this.#write(slot);
    return slot;
  }

  /** Notes that it has ended, in whatever way. */
  end(slot: number): void {
    this.#ended.push(slot);
    if (this.#clears) return;
    this.#clears = true;
    this.#after(0, () => this.#clear());
  }

  /** Whether a predecessor died with this mail in flight. */
  wasInFlight(database: string, seq: string): boolean {
    return this.#found.get(database)?.has(seq) === true;
  }

  /** A database has taken what was found of it. */
  replayed(database: string): void {
    if (!this.#found.delete(database)) return;
    this.#keepFound();
    this.#dropFound();
  }

  /** From here on an end was asked for, and no mail is to blame for it. */
  close(): void {
    if (this.#fd === undefined) return;
    closeSync(this.#fd);
    this.#fd = undefined;
    rmSync(this.#path, { force: true });
  }

  #clear(): void {
    this.#clears = false;
    this.#slot.fill(BLANK);
    for (const slot of this.#ended) this.#write(slot);
    this.#free.push(...this.#ended);
    this.#ended = [];
  }

  #find(line: string): void {
    const text = line.trim();
    if (text === "") return;
    try {
      const [database, seq] = JSON.parse(text) as readonly [string, string];
      const known = this.#found.get(database);
      if (known === undefined) this.#found.set(database, new Set([seq]));
      else known.add(seq);
    } catch {
      // Not written to its end: nobody can be blamed by it.
    }
  }

  #write(slot: number): void {
    if (this.#fd === undefined) return;
    try {
      writeSync(this.#fd, this.#slot, 0, SLOT_BYTES, slot * SLOT_BYTES);
    } catch {
      // A full disk; the journal says so.
    }
  }

  /**
   * Keeps what other databases have not taken, in one file, and nothing else: one that is a copy, or served no more,
   * may never take it, and the crash would be counted once more for the others at every start.
   */
  #keepFound(): void {
    const path = this.#foundFiles.pop();
    if (path === undefined) return;
    const lines = [...this.#found].flatMap(([database, seqs]) => [...seqs].map((seq) => lineOf(database, seq)));
    try {
      writeFileSync(path, lines.join(""), { mode: 0o600 });
    } catch {
      // A full disk; the journal says so.
    }
    for (const other of this.#foundFiles.splice(0)) rmSync(other, { force: true });
    this.#foundFiles.push(path);
  }

  #dropFound(): void {
    if (this.#found.size > 0) return;
    for (const path of this.#foundFiles.splice(0)) rmSync(path, { force: true });
  }
}

function lineOf(database: string, seq: string): string {
  return `${JSON.stringify([database, seq])}\n`;
}

const KIND = "flights";
const SLOT_BYTES = 128;
const BLANK = 0x20;
const ENCODER = new TextEncoder();
