import type { Log } from "../log.ts";
import type { Clock } from "../time/clock.ts";
import { type Pause, PAUSE_OF_ALL } from "./pause.ts";

// DESIGN: one for a relay. The pauses of the home database hold in all databases of the relay. They are read before the
// first claim, at once when the home database rings, and before a claim when they have not been for RELAY_POLL. While
// that database does not answer, those hold that were known last, and nobody waits for it.

/** What the pauses need. */
export interface PausesOptions {
  readonly read: () => Promise<readonly Pause[]>;
  /** False while the home database is left alone. */
  readonly mayRead: () => boolean;
  /** Some have begun, or have ended. */
  readonly onChange: () => void;
  readonly pollMs: number;
  readonly clock: Clock;
  readonly log: Pick<Log, "info" | "debug">;
}

/** The longest that a claim waits for the home database. */
const READ_MS = 2_000;

/** The claim loop turns once in RELAY_POLL: whoever asks a little early asks at every turn. */
const STALE_AT = 0.9;

/** What is paused, as far as this relay knows. */
export class Pauses {
  readonly #options: PausesOptions;
  #all: readonly Pause[] = [];
  #keys: ReadonlySet<string> = new Set();
  #readMs: number;
  #reading: Promise<void> | undefined;
  #isRung = false;
  #isAway = false;

  private constructor(options: PausesOptions) {
    this.#options = options;
    this.#readMs = options.clock.now();
  }

  /** Reads what is paused for the first time. @throws what the read throws */
  static async open(options: PausesOptions): Promise<Pauses> {
    const pauses = new Pauses(options);
    pauses.#take(await options.read());
    return pauses;
  }

  /** Those in force, that of all mail first. */
  get all(): readonly Pause[] {
    return this.#all;
  }

  /** Their keys. */
  get keys(): ReadonlySet<string> {
    return this.#keys;
  }

  /** Nothing may be claimed. */
  get stopAll(): boolean {
    return this.#keys.has(PAUSE_OF_ALL);
  }

  /** Reads what is paused, unless that was done within the poll. */
  async refresh(): Promise<void> {
    const { clock, pollMs, mayRead } = this.#options;
    if (clock.now() - this.#readMs < pollMs * STALE_AT || !mayRead()) return;
    const read = this.#begin();
    if (this.#isAway) return;
    const late = Promise.withResolvers<void>();
    const cancel = clock.after(READ_MS, () => {
      this.#isAway = true;
      late.resolve();
    });
    await Promise.race([read, late.promise]).finally(cancel);
  }

  /** The home database has rung: something has changed. */
  async ring(): Promise<void> {
    // A read that is under way may have looked before.
    this.#isRung = this.#reading !== undefined;
    await this.#begin();
  }

  #begin(): Promise<void> {
    this.#reading ??= this.#read();
    return this.#reading;
  }

  async #read(): Promise<void> {
    const { read, clock, log, onChange } = this.#options;
    do {
      this.#isRung = false;
      this.#readMs = clock.now();
      try {
        const isChanged = this.#take(await read());
        this.#isAway = false;
        if (isChanged) onChange();
      } catch (error) {
        // That the home database is away, its own drain says.
        log.debug("pauses cannot be read: those known last hold", { error });
        this.#isAway = true;
      }
    } while (this.#isRung);
    // In the same turn as the last look at the bell.
    this.#reading = undefined;
  }

  /** Takes in what was read. @returns whether some have begun or ended */
  #take(pauses: readonly Pause[]): boolean {
    const { log } = this.#options;
    const keys = new Set(pauses.map(({ key }) => key));
    const begun = pauses.filter(({ key }) => !this.#keys.has(key));
    const ended = this.#all.filter(({ key }) => !keys.has(key));
    this.#all = pauses;
    this.#keys = keys;
    for (const { key, reason, since, by } of begun) {
      log.info("paused", { pause: key, by, since, ...(reason === undefined ? {} : { reason }) });
    }
    for (const { key, since } of ended) log.info("resumed", { pause: key, since });
    return begun.length + ended.length > 0;
  }
}
