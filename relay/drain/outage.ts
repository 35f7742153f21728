import type { Log } from "../log.ts";
import type { Clock } from "../time/clock.ts";

export interface OutageOptions {
  readonly clock: Clock;
  readonly log: Pick<Log, "info" | "error">;
  /** The database answers again. */
  readonly onEnd: () => void;
}

/** How long `run --once` bears a database that does not answer: whoever started it waits for its exit code. */
const GONE_MS = 30_000;

/**
 * Whether a database answers, by the statements that were sent to it; one line in the log when that ends, and one when
 * it is back.
 */
export class Outage {
  readonly #options: OutageOptions;
  #reason: string | undefined;
  #sinceMs = Infinity;

  constructor(options: OutageOptions) {
    this.#options = options;
  }

  /** Why the last statement failed; undefined while the database answers. */
  get reason(): string | undefined {
    return this.#reason;
  }

  /** No statement has been answered for long. */
  get isGone(): boolean {
    return this.#options.clock.now() - this.#sinceMs >= GONE_MS;
  }

  /** Takes in that a statement was answered (undefined), or failed. */
  note(doing: string, error: unknown): void {
    const { log, clock, onEnd } = this.#options;
    if (error === undefined) {
      if (this.#reason === undefined) return;
      log.info("database answers again");
      this.#reason = undefined;
      this.#sinceMs = Infinity;
      return onEnd();
    }
    // One line for an outage, not one for each try.
    if (this.#reason === undefined) {
      this.#sinceMs = clock.now();
      log.error("database does not answer", { doing, error });
    }
    this.#reason = error instanceof Error ? error.message : String(error);
  }
}
