import type { Journal } from "../journal/journal.ts";
import type { Log } from "../log.ts";
import { aloneMs, mustBeAlone } from "../queue/crash.ts";
import type { Queue } from "../queue/queue.ts";
import type { Clock } from "../time/clock.ts";
import type { Holding } from "./holdings.ts";
import type { Solitude } from "./solitude.ts";

/** When a mail that has to be alone, and could not be in time, is tried again. */
const NOT_ALONE_MS = 60_000;
const RETRY_MS = 1_000;

/** What is needed to put mails in flight. */
export interface FlightsOptions {
  readonly queue: Pick<Queue, "setAlone">;
  readonly journal: Journal;
  /** The name of the database. */
  readonly database: string;
  /** Shared by all databases of the relay. */
  readonly solitude: Solitude;
  /** False when this program may begin nothing in this database any more. */
  readonly mayBegin: () => boolean;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Puts the mails of one database in flight: on record while they are, and alone those that were so at too many crashes.
 */
export class Flights {
  readonly #options: FlightsOptions;

  constructor(options: FlightsOptions) {
    this.#options = options;
  }

  /** Does the work on a mail when its turn comes. @returns when it may come, if it did not: nothing was done */
  async take(holding: Holding, work: () => Promise<void>, signal: AbortSignal): Promise<number | undefined> {
    const { solitude, clock, mayBegin } = this.#options;
    if (!mayBegin()) return clock.now();
    const isAlone = mustBeAlone(holding.message);
    const entered = isAlone ? solitude.enterAlone(signal) : solitude.enter(signal);
    if (entered !== true && !await entered) return clock.now() + (signal.aborted ? 0 : NOT_ALONE_MS);
    const { database, journal: { flights } } = this.#options;
    const slot = isAlone ? undefined : flights.begin(database, holding.message.seq);
    try {
      if (slot !== undefined) await work();
      else if (!await this.#takeAlone(holding, work)) return clock.now() + NOT_ALONE_MS;
      return undefined;
    } finally {
      if (slot !== undefined) flights.end(slot);
      solitude.leave();
    }
  }

  /**
   * Says so in the database first: whoever takes over from a relay that was lost with its state directory knows it from
   * there.
   */
  async #takeAlone(holding: Holding, work: () => Promise<void>): Promise<boolean> {
    const { queue, solitude, clock, log, database, journal: { flights } } = this.#options;
    const { message: { seq, id, crashes }, lease } = holding;
    if (!await queue.setAlone({ seq, lease }, true).catch(() => false)) return false;
    log.warn("a mail that was in flight at each crash is tried alone: the others wait", { id, crashes });
    let hasEnded = false;
    let cancel = (): void => {};
    const letOthersIn = async (): Promise<void> => {
      const isSaid = await queue.setAlone({ seq, lease: holding.lease }, false).then(() => true, () => false);
      if (hasEnded) return;
      // Not before the database knows: it would be blamed for a death that another is to blame for.
      if (isSaid) solitude.letOthersIn();
      else cancel = clock.after(RETRY_MS, () => void letOthersIn());
    };
    cancel = clock.after(aloneMs(holding.message), () => void letOthersIn());
    const slot = flights.begin(database, seq);
    try {
      await work();
      return true;
    } finally {
      flights.end(slot);
      hasEnded = true;
      cancel();
    }
  }
}
