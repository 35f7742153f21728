import type { Clock } from "./clock.ts";

// Waits that end early leave nothing behind: a race with a promise that lasts as long as the process keeps each of its
// losers for as long.

/**
 * Resolves after a time, or at once when the signal says so.
 *
 * @example
 * ```ts
 * import { systemClock } from "./clock.ts";
 * const stop = new AbortController();
 * const over = delay(systemClock, 60_000, stop.signal);
 * stop.abort();
 * await over;
 * ```
 */
export function delay(clock: Pick<Clock, "after">, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const cancel = clock.after(delayMs, end);
    signal.addEventListener("abort", end);
    function end(): void {
      cancel();
      signal.removeEventListener("abort", end);
      resolve();
    }
  });
}

/**
 * Resolves with what a promise gives, or with nothing when the signal comes first.
 *
 * @throws what the promise rejects with, unless the signal came first
 */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    signal.addEventListener("abort", giveUp);
    if (signal.aborted) giveUp();
    work.then((value) => settle(() => resolve(value)), (error: unknown) => settle(() => reject(error)));
    function settle(answer: () => void): void {
      signal.removeEventListener("abort", giveUp);
      answer();
    }
    function giveUp(): void {
      settle(() => resolve(undefined));
    }
  });
}
