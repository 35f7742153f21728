import type { Log } from "../log.ts";
import { aheadMs, type Clock } from "../time/clock.ts";

/**
 * A smaller difference is nobody's trouble: mails are scheduled by the second. `mailchute doctor` warns above it too.
 */
export const NOTICED_MS = 1_000;

/** Says when the database's clock and ours begin to differ, differ otherwise, and agree again. */
export class ClockWatch {
  readonly #clock: Clock;
  readonly #log: Pick<Log, "info" | "warn">;
  #saidMs = 0;

  constructor({ clock, log }: { readonly clock: Clock; readonly log: Pick<Log, "info" | "warn"> }) {
    this.#clock = clock;
    this.#log = log;
  }

  /** @param ask asks the database for its time, in milliseconds since 1970 */
  async look(ask: () => Promise<number>): Promise<void> {
    const beforeMs = this.#now();
    const nowMs = await ask();
    const differenceMs = Math.round(aheadMs({ beforeMs, nowMs, afterMs: this.#now() }));
    if (Math.abs(differenceMs) <= NOTICED_MS) {
      if (this.#saidMs !== 0) this.#log.info("the clock of the database agrees with ours again");
      this.#saidMs = 0;
    } else if (Math.abs(differenceMs - this.#saidMs) > NOTICED_MS) {
      const fix = "set both machines by NTP: mail is due, and expires, by the database's";
      this.#log.warn("the clock of the database differs from ours", { aheadMs: differenceMs, fix });
      this.#saidMs = differenceMs;
    }
  }

  /** As people can set it: a clock that is never set back would differ for ever from one that NTP has put right. */
  #now(): number {
    return this.#clock.shown?.() ?? this.#clock.now();
  }
}
