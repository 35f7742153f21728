import { errorCode } from "../error_code.ts";
import type { Settlement } from "../queue/queue.ts";
import type { Clock } from "../time/clock.ts";

// DESIGN: outcomes gather while one settle statement is under way, and for a moment after a large one, and the next
// statement takes all of them: batches grow with the load, where a small one would cost the database as much as a large
// one, and a lone mail waits for nothing. While the database is away they stay here and are tried again: what is known
// about a mail is never dropped. Its size is bounded by what the relay holds, since a held message counts until it is
// settled. What is refused is said once more after a while: we ourselves may have claimed the message again, and not
// know its new lease yet.

const LARGEST_BATCH = 500;
const RETRY_MS = 1_000;

/** Mail flows when a statement has settled so many: the next one waits for more. */
const FLOW = 20;
const GATHER_MS = 10;

/** What the settler needs; `written` is told which messages were still ours. */
export interface SettlerOptions {
  readonly settle: (settlements: readonly Settlement[]) => Promise<ReadonlySet<string>>;
  readonly written: (settlements: readonly Settlement[], ours: ReadonlySet<string>) => void;
  readonly failed: (error: unknown) => void;
  readonly clock: Clock;
  /** Stops waiting for the database. */
  readonly signal: AbortSignal;
}

/** Writes settlements in batches, one statement at a time. */
export class Settler {
  readonly #options: SettlerOptions;
  #pending: Settlement[] = [];
  /** How many of the next are written alone. */
  #oneByOne = 0;
  #running: Promise<void> | undefined;
  /** Those that were refused once. */
  readonly #refused = new Set<Settlement>();
  /** Waits before they are said again. */
  readonly #waits = new Set<Promise<void>>();

  constructor(options: SettlerOptions) {
    this.#options = options;
  }

  /** Takes one settlement in; it is written as soon as the statement under way has ended. */
  add(settlement: Settlement): void {
    this.#pending.push(settlement);
    this.#running ??= this.#run();
  }

  /** Resolves when all that was added is written. */
  async drained(): Promise<void> {
    while (this.#running !== undefined || this.#waits.size > 0) await (this.#running ?? Promise.all(this.#waits));
  }

  async #run(): Promise<void> {
    // One turn of the event loop, so that mails that end together are written together.
    await new Promise<void>((resolve) => this.#options.clock.after(0, resolve));
    while (this.#pending.length > 0 && !this.#options.signal.aborted) {
      const batch = this.#pending.splice(0, this.#oneByOne > 0 ? 1 : LARGEST_BATCH);
      if (this.#oneByOne > 0) this.#oneByOne--;
      try {
        this.#answered(batch, await this.#options.settle(batch));
        if (batch.length >= FLOW) await new Promise<void>((resolve) => this.#options.clock.after(GATHER_MS, resolve));
      } catch (error) {
        this.#options.failed(error);
        if (isAboutARow(error)) {
          // One of them cannot be written: it goes to the end, and the others go on without it.
          if (batch.length > 1) this.#oneByOne = batch.length;
          this.#pending = batch.length > 1 ? [...batch, ...this.#pending] : [...this.#pending, ...batch];
          if (this.#oneByOne > 0) continue;
        } else {
          this.#pending = [...batch, ...this.#pending];
        }
        await new Promise<void>((resolve) => this.#options.clock.after(RETRY_MS, resolve));
      }
    }
    this.#running = undefined;
  }

  #answered(batch: readonly Settlement[], ours: ReadonlySet<string>): void {
    const refused = batch.filter((settlement) => !ours.has(settlement.seq) && !this.#refused.has(settlement));
    for (const settlement of batch) this.#refused.delete(settlement);
    this.#options.written(batch.filter((settlement) => !refused.includes(settlement)), ours);
    if (refused.length === 0) return;
    const wait = new Promise<void>((resolve) => this.#options.clock.after(RETRY_MS, resolve)).then(() => {
      this.#waits.delete(wait);
      for (const settlement of refused) {
        this.#refused.add(settlement);
        this.add(settlement);
      }
    });
    this.#waits.add(wait);
  }
}

/** SQLSTATE class 22 (data) or 23 (constraint): the statement was understood, and a value in it was not taken. */
function isAboutARow(error: unknown): boolean {
  return /^2[23]/.test(errorCode(error));
}
