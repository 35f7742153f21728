import {
  closeSync,
  fdatasync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
} from "node:fs";
import type { RoutedOutcome } from "../delivery/transport.ts";
import { FlightLog } from "./flight_log.ts";
import { JournalMemory, keyOf } from "./memory.ts";
import { findNumbered, numberedPath } from "./numbered_files.ts";
import { type JournalRecord, type Mark, parseRecord, recordLine } from "./record.ts";

/**
 * DESIGN: what the relay must not forget when it is killed, on disk until the database has it.
 *
 * An intent is in the file (write(2)) before the end of its content is written to the socket; an outcome waits for the
 * next intent, or the end of this turn of the event loop, and goes with it in one write. fdatasync follows within 10
 * ms: a process that is killed loses nothing that was written, a machine that loses power loses those 10 ms. Files are
 * numbered, and each is deleted when every claim that has a record in it is settled, be it a later one than its intent:
 * the one in use grows to a size, then the next begins. What a start finds is kept in memory until each database has
 * taken it (`replay.ts`), and its files until all have.
 */
export class Journal {
  readonly #directory: string;
  /** What was there at the start. */
  readonly found: JournalMemory = new JournalMemory();
  /** Beside it, which mails are in flight. */
  readonly flights: FlightLog;
  /** Lines at the start that were not whole: the last one before a crash, or a damaged disk. */
  readonly damagedLines: number = 0;
  readonly #foundFiles: string[] = [];
  /** The files in which each claim that is not settled has records, in order. */
  readonly #files = new Map<string, readonly number[]>();
  /** Of how many such claims each file has records. */
  readonly #open = new Map<number, number>();
  readonly #after: (delayMs: number, callback: () => void) => () => void;
  #fd: number;
  #number: number;
  #bytes = 0;
  #pending = "";
  /** Whose records these are. */
  #pendingKeys: string[] = [];
  #flushes = false;
  #syncs = false;
  #isClosed = false;
  #trouble: string | undefined;

  /**
   * @param directory made if it is not there; readable for this user alone
   * @param after calls back once after a time
   * @throws {Error} when it cannot be read or written
   */
  constructor(directory: string, after: (delayMs: number, callback: () => void) => () => void) {
    this.#directory = directory;
    this.#after = after;
    const { paths, nextNumber } = findNumbered(directory, KIND);
    for (const path of paths) {
      this.#foundFiles.push(path);
      for (const line of readFileSync(path, "utf8").split("\n")) {
        if (line === "") continue;
        const record = parseRecord(line);
        if (record === undefined) this.damagedLines++;
        else this.found.add(record);
      }
    }
    this.#number = nextNumber;
    this.#fd = this.#create(this.#number);
    this.#dropFound();
    this.flights = new FlightLog(directory, after);
  }

  /** The last write has failed, and no other has succeeded since. */
  get isBroken(): boolean {
    return this.#trouble !== undefined;
  }

  /** Why it cannot be written, undefined while it can: while it cannot, no mail may be begun. Asking tries again. */
  trouble(): string | undefined {
    if (this.#trouble === undefined || this.#isClosed) return undefined;
    const before = this.#pending;
    this.#pending += ROOM;
    try {
      this.#write();
    } catch {
      // Noted by the write.
      this.#pending = before;
    }
    return this.#trouble;
  }

  /**
   * Notes that the end of a content is about to be written.
   *
   * @throws {Error} when it cannot be noted: then it must not be written
   */
  intent(mark: Mark, route: string, positions: readonly number[]): void {
    const before = this.#pending;
    this.#pending += recordLine({ kind: "intent", mark, route, positions });
    try {
      this.#write();
    } catch (error) {
      // It will not come to this: nothing may say that it might have.
      this.#pending = before;
      throw error;
    }
    this.#noteIn(this.#number, keyOf(mark));
  }

  /** Notes what became of it. Without an intent there is nothing that could be sent twice. */
  outcome(mark: Mark, outcomes: readonly RoutedOutcome[]): void {
    const key = keyOf(mark);
    if (this.#files.has(key)) this.#later({ kind: "outcome", mark, outcomes }, key);
  }

  /** Notes that a claim under way has a new lease. */
  moved(mark: Mark, lease: string): void {
    const files = this.#files.get(keyOf(mark));
    if (files === undefined) return;
    const key = keyOf({ ...mark, lease });
    this.#files.delete(keyOf(mark));
    this.#files.set(key, files);
    this.#later({ kind: "moved", mark, lease }, key);
  }

  /** The database has what became of these claims. */
  settled(mark: Mark): void {
    const key = keyOf(mark);
    const files = this.#files.get(key);
    if (files === undefined) return;
    this.#files.delete(key);
    for (const file of files) {
      const left = (this.#open.get(file) ?? 1) - 1;
      this.#open.set(file, left);
      if (left === 0 && file !== this.#number) this.#remove(file);
    }
  }

  /** A database has taken what was found of it. */
  replayed(database: string): void {
    this.found.forget(database);
    this.flights.replayed(database);
    this.#dropFound();
  }

  /** Writes what waits, and leaves nothing behind that is not needed. */
  close(): void {
    if (this.#isClosed) return;
    this.#flush();
    this.#isClosed = true;
    this.flights.close();
    closeSync(this.#fd);
    if (this.#files.size === 0) this.#remove(this.#number);
  }

  /** A claim that is not settled has a record in this file. */
  #noteIn(file: number, key: string): void {
    const files = this.#files.get(key);
    if (files?.at(-1) === file) return;
    this.#files.set(key, files === undefined ? [file] : [...files, file]);
    this.#open.set(file, (this.#open.get(file) ?? 0) + 1);
  }

  #later(record: JournalRecord, key: string): void {
    this.#pending += recordLine(record);
    this.#pendingKeys.push(key);
    if (this.#flushes) return;
    this.#flushes = true;
    this.#after(0, () => {
      this.#flushes = false;
      this.#flush();
    });
  }

  /** What cannot be written now goes with the next intent, which says so; in memory it is known all the while. */
  #flush(): void {
    if (this.#pending === "" || this.#isClosed) return;
    try {
      this.#write();
    } catch {
      // Said by the next intent.
    }
  }

  #write(): void {
    try {
      if (this.#bytes > FILE_BYTES) this.#next();
      const bytes = Buffer.from(this.#pending);
      for (let at = 0; at < bytes.length;) at += writeSync(this.#fd, bytes, at);
      this.#bytes += bytes.length;
    } catch (error) {
      this.#trouble = error instanceof Error ? error.message : String(error);
      this.#takeBack();
      throw new Error(`Cannot write the journal in ${this.#directory}: ${this.#trouble}`, { cause: error });
    }
    this.#trouble = undefined;
    this.#pending = "";
    // Of what is settled, or known by another lease, nothing need be kept on its account: a new lease has a record of
    // its own here.
    for (const key of this.#pendingKeys.splice(0)) if (this.#files.has(key)) this.#noteIn(this.#number, key);
    if (this.#syncs) return;
    this.#syncs = true;
    this.#after(SYNC_MS, () => this.#sync());
  }

  /**
   * A full disk has taken a part: what is refused must not be found, and without its line end alone a line is whole.
   */
  #takeBack(): void {
    try {
      ftruncateSync(this.#fd, this.#bytes);
    } catch {
      // What is written from here on goes into the next file.
      this.#bytes = Infinity;
    }
  }

  #sync(): void {
    this.#syncs = false;
    if (this.#isClosed) return;
    // Somebody has deleted it: what is written from here on would be gone with the process, and goes into the next
    // file.
    if (fstatSync(this.#fd).nlink === 0) this.#bytes = Infinity;
    else fdatasync(this.#fd, () => undefined);
  }

  #next(): void {
    const [before, file] = [this.#fd, this.#number];
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    this.#fd = this.#create(file + 1);
    this.#number = file + 1;
    this.#bytes = 0;
    fdatasync(before, () => closeSync(before));
    if ((this.#open.get(file) ?? 0) === 0) this.#remove(file);
  }

  #create(file: number): number {
    return openSync(this.#path(file), "ax", 0o600);
  }

  #remove(file: number): void {
    this.#open.delete(file);
    rmSync(this.#path(file), { force: true });
  }

  #dropFound(): void {
    if (this.found.databases.size > 0) return;
    for (const path of this.#foundFiles.splice(0)) rmSync(path, { force: true });
  }

  #path(file: number): string {
    return numberedPath(this.#directory, file, KIND);
  }
}

const KIND = "journal";
/** Blank lines, which readers pass over: where they find room, the next records do. */
const ROOM = "\n".repeat(4_096);
const FILE_BYTES = 1_048_576;
const SYNC_MS = 10;
