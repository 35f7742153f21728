/** How long what is claimed ahead should last: a password reset that comes now waits no longer behind it. */
const AHEAD_MS = 250;

/** The shortest time over which a rate means something, unless all that may be held went out sooner. */
const WINDOW_MS = 100;

/** Decides how many mails a relay holds at a time: enough for the server's pace, so that none waits for a claim, and no more. */
export class Pace {
  readonly #least: number;
  readonly #most: number;
  #limit: number;
  #done = 0;
  #sinceMs: number;

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

  /** The most mails to hold now. */
  limit(nowMs: number): number {
    const elapsedMs = nowMs - this.#sinceMs;
    if (elapsedMs < WINDOW_MS && (this.#done < this.#limit || elapsedMs <= 0)) return this.#limit;
    // An idle relay has no pace: what it did last time is a better guess than nothing.
    if (this.#done > 0) {
      const ahead = Math.ceil((this.#done / elapsedMs) * AHEAD_MS);
      this.#limit = Math.max(this.#least, Math.min(this.#most, ahead));
    }
    this.#done = 0;
    this.#sinceMs = nowMs;
    return this.#limit;
  }
}
