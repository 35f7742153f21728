import type { Clock } from "../time/clock.ts";

export interface RestOptions {
  /** How long a database with nothing to do is left alone, so that it may sleep; undefined: never. */
  readonly idleMs: number | undefined;
  /** Called with the length of a rest when it begins, and with nothing when it is over. */
  readonly rest: (restMs?: number) => Promise<void>;
  readonly clock: Clock;
}

/** A rest begins when nothing was to be done for so long. */
const QUIET_MS = 60_000;

/**
 * How long mail flows after there was something to do. Until then the claim loop looks by itself instead of being rung:
 * commits that ring stand in line for one lock of the whole database server, and under load there would be hundreds a
 * second.
 */
const FLOW_MS = 10;

/** The times in which a database is looked at often, and those in which it is left alone. */
export class Rest {
  readonly #options: RestOptions;
  #busyMs: number;
  #isOn = false;

  constructor(options: RestOptions) {
    this.#options = options;
    this.#busyMs = options.clock.now();
  }

  /** Nothing was due at the last look, and nothing will be before the next one. */
  get isOn(): boolean {
    return this.#isOn;
  }

  /** There was something to do. */
  noteWork(): void {
    this.#busyMs = this.#options.clock.now();
  }

  /** How long mail flows yet; 0 when it does not. */
  get flowMs(): number {
    return Math.max(0, this.#busyMs + FLOW_MS - this.#options.clock.now());
  }

  /** Begins when there has been nothing to do for a while, nor will be soon. @returns its length */
  async begin(dueMs = Infinity): Promise<number | undefined> {
    const { idleMs, clock, rest } = this.#options;
    if (idleMs === undefined || dueMs < QUIET_MS || clock.now() - this.#busyMs < QUIET_MS) return undefined;
    const restMs = Math.min(idleMs, dueMs);
    await rest(restMs);
    this.#isOn = true;
    return restMs;
  }

  /** Ends, if it is on. */
  async end(): Promise<void> {
    if (!this.#isOn) return;
    this.#isOn = false;
    await this.#options.rest();
  }
}
