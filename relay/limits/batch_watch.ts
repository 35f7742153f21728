import type { Log } from "../log.ts";
import type { ClaimedMessage, Settlement } from "../queue/queue.ts";

// DESIGN: counts what the next hops say to the recipients of each batch, and pauses a batch of which too many are
// refused for good: an old list hurts the name of the sender, and the mail of everybody else, with each further mail.
// What is deferred tells nothing yet. The counts are this relay's, since its start or since the pause, so that a batch
// that a person resumes gets as many tries anew; older ones weigh less and less.

/** Fewer tell nothing. */
const LEAST = 100;
/** From so many on, all that was counted weighs half. */
const MANY = 1_000;
/** More batches than flow at a time; of others the count begins anew. */
const MOST_BATCHES = 1_000;

/** What the watch needs. */
export interface BatchWatchOptions {
  /** The share from which on a batch is paused: 0.05 is 5 %. */
  readonly limit: number;
  /** Begins the pause, unless it is in force. */
  readonly pause: (pause: { readonly batch: string; readonly reason: string }) => Promise<void>;
  readonly log: Pick<Log, "warn">;
}

interface Count {
  answered: number;
  refused: number;
}

/** Pauses batches that are refused too often. */
export class BatchWatch {
  readonly #options: BatchWatchOptions;
  readonly #counts = new Map<string, Count>();

  constructor(options: BatchWatchOptions) {
    this.#options = options;
  }

  /** Takes in what was written of a message. */
  settled({ batch }: Pick<ClaimedMessage, "batch">, { outcomes }: Pick<Settlement, "outcomes">): void {
    if (batch === null) return;
    const count = this.#countOf(batch);
    for (const { kind } of outcomes) {
      if (kind !== "sent" && kind !== "bounced") continue;
      count.answered++;
      if (kind === "bounced") count.refused++;
    }
    if (count.answered >= LEAST && count.refused >= count.answered * this.#options.limit) this.#pause(batch, count);
    if (count.answered < MANY) return;
    count.answered /= 2;
    count.refused /= 2;
  }

  #countOf(batch: string): Count {
    const known = this.#counts.get(batch);
    if (known !== undefined) return known;
    const count = { answered: 0, refused: 0 };
    this.#counts.set(batch, count);
    const [oldest] = this.#counts.keys();
    if (this.#counts.size > MOST_BATCHES && oldest !== undefined) this.#counts.delete(oldest);
    return count;
  }

  #pause(batch: string, count: Count): void {
    const { limit, log, pause } = this.#options;
    this.#counts.delete(batch);
    const share = Math.round((count.refused / count.answered) * 1_000) / 10;
    const reason = `${share} % of its last ${
      Math.round(count.answered)
    } recipients were refused for good; RELAY_BATCH_FAILURES is ${Math.round(limit * 10_000) / 100}%`;
    const fix =
      `look at them with: mailchute list --batch ${batch} --state bounced; then: mailchute batch ${batch} --resume or --cancel`;
    log.warn("batch paused", { batch, reason, fix });
    pause({ batch, reason }).catch((error) => {
      // The next answer tries again.
      if (!this.#counts.has(batch)) this.#counts.set(batch, count);
      log.warn("cannot pause a batch", { batch, error });
    });
  }
}
