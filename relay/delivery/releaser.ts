import type { Log } from "../log.ts";
import type { Unstarted } from "../queue/queue.ts";
import type { Clock } from "../time/clock.ts";
import { delay } from "../time/delay.ts";
import type { Holding } from "./holdings.ts";

// DESIGN: what is given back in one turn of the event loop is given back in one statement. While the database is away
// it is tried again: a lease that only ran out would cost its message an attempt that it has not had.

const RETRY_MS = 1_000;

/** What the releaser needs. */
export interface ReleaserOptions {
  readonly release: (held: readonly Unstarted[]) => Promise<unknown>;
  /** They are given back, or left to the end of their lease. */
  readonly released: (holdings: readonly Holding[]) => void;
  /** A statement was answered (undefined) or failed. */
  readonly onDatabase: (doing: string, error: unknown) => void;
  readonly clock: Clock;
  readonly log: Log;
  /** Stops waiting for the database. */
  readonly signal: AbortSignal;
}

interface GivenBack {
  readonly holding: Holding;
  /** When it is due again, by our clock. */
  readonly dueMs: number;
  readonly throttle: string | undefined;
}

/** Gives back messages of which nothing was started. */
export class Releaser {
  readonly #options: ReleaserOptions;
  readonly #running = new Set<Promise<void>>();
  #gathered: GivenBack[] = [];
  #finishing = false;

  constructor(options: ReleaserOptions) {
    this.#options = options;
  }

  /** Takes one message in. @param throttle what it waits for, at the longest until it is due */
  add(holding: Holding, dueMs: number, throttle?: string): void {
    holding.isGivenBack = true;
    this.#gathered.push({ holding, dueMs, throttle });
    if (this.#gathered.length > 1) return;
    const run = this.#run();
    this.#running.add(run);
    void run.finally(() => this.#running.delete(run));
  }

  /** Resolves when all is given back, or when its leases have ended by themselves. */
  async finished(): Promise<void> {
    this.#finishing = true;
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  async #run(): Promise<void> {
    await new Promise<void>((resolve) => this.#options.clock.after(0, resolve));
    const given = this.#gathered;
    this.#gathered = [];
    await this.#release(given);
    this.#options.released(given.map(({ holding }) => holding));
  }

  async #release(given: readonly GivenBack[]): Promise<void> {
    const { release, clock, log, onDatabase, signal } = this.#options;
    for (;;) {
      try {
        await release(given.map(({ holding: { message: { seq, attempt }, lease }, dueMs, throttle }) => ({
          ...{ seq, attempt, lease, throttle },
          delayMs: Math.max(0, dueMs - clock.now()),
        })));
        return onDatabase("release", undefined);
      } catch (error) {
        onDatabase("release", error);
        log.debug("cannot give back yet", { messages: given.length, error });
        const over = this.#finishing && given.every(({ holding }) => holding.leaseEndsMs <= clock.now());
        if (over || signal.aborted) {
          return log.warn("not given back: these leases run out by themselves", { messages: given.length, error });
        }
        await delay(clock, RETRY_MS, signal);
      }
    }
  }
}
