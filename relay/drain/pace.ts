/** How long what is claimed ahead should last: a password reset that comes now waits no longer behind it. */
const AHEAD_MS = 250;

/** The shortest time over which a rate means something, unless all that may be held went out sooner. */
const WINDOW_MS = 100;

/** How fast the limit may grow at a time: one statement may settle what took long to send. */
const MOST_GROWTH = 8;

/** How much of what had to be added for a far database is kept from one window to the next. */
const KEPT = 0.95;

/**
 * Decides how many mails a relay holds at a time: enough for the server's pace, so that none waits for a claim, and no
 * more.
 *
 * Where claim, content and settle take longer than what is held lasts (a database across an ocean), the pace that is
 * seen is that of the limit itself. So a limit that was reached, and left connections without mail, is too low: it is
 * doubled, and falls again slowly.
 */
export class Pace {
  readonly #least: number;
  readonly #most: number;
  #limit: number;
  #done = 0;
  #sinceMs: number;
  /** As many as may be held were held, in this window. */
  #wasFull = false;
  /** And yet a connection had nothing to do. */
  #ranDry = false;
  /** What the limit does not fall below at once. */
  #floor = 0;

  /** @param bounds `least`: what the connections can work on at once; `most`: whatever the pace */
  constructor(bounds: { readonly least: number; readonly most: number }, nowMs: number) {
    this.#least = bounds.least;
    this.#most = bounds.most;
    this.#limit = Math.min(bounds.most, bounds.least * 4);
    this.#sinceMs = nowMs;
  }

  /** Counts mails that were settled. */
  settled(count: number): void {
    this.#done += count;
  }

  /** Notes that no more may be held. */
  full(): void {
    this.#wasFull = true;
  }

  /** Notes that a connection has nothing to do. */
  dry(): void {
    if (this.#wasFull) this.#ranDry = true;
  }

  /** The most mails to hold now. */
  limit(nowMs: number): number {
    const elapsedMs = nowMs - this.#sinceMs;
    if (elapsedMs < WINDOW_MS && (this.#done < this.#limit || elapsedMs <= 0)) return this.#limit;
    // An idle relay has no pace: what it did last time is a better guess than nothing.
    if (this.#done > 0) {
      const ahead = Math.min(Math.ceil((this.#done / elapsedMs) * AHEAD_MS), this.#limit * MOST_GROWTH);
      this.#floor = this.#ranDry ? this.#limit * 2 : this.#floor * KEPT;
      this.#limit = Math.max(this.#least, Math.min(this.#most, Math.max(ahead, Math.floor(this.#floor))));
      this.#wasFull = false;
      this.#ranDry = false;
    }
    this.#done = 0;
    this.#sinceMs = nowMs;
    return this.#limit;
  }
}
