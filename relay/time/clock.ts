/** Time, as an argument. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** The same as the machine's clock shows it to people, where `now` is never set back. @default {now} */
  shown?(): number;
  /** Calls back once after `delayMs`; the answer takes the call back. */
  after(delayMs: number, callback: () => void): () => void;
}

/** The longest delay that timers take; a longer one would fire at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** The clock of the machine. */
export const systemClock: Clock = {
  now: () => Date.now(),
  after: (delayMs, callback) => {
    const timer = setTimeout(callback, Math.min(Math.max(delayMs, 0), LONGEST_TIMER_MS));
    return () => clearTimeout(timer);
  },
};

/**
 * By how much another clock is ahead of ours. It was read somewhere between: what lies within the round trip is no
 * difference.
 */
export function aheadMs(
  { beforeMs, nowMs, afterMs }: { readonly beforeMs: number; readonly nowMs: number; readonly afterMs: number },
): number {
  return nowMs < beforeMs ? nowMs - beforeMs : Math.max(0, nowMs - afterMs);
}

/**
 * A clock that is never set back. Waits, leases, limits and the ends of pauses are told by differences of it: with one
 * that goes back an hour, a lease that is over would look whole, and what was to wait for a moment would wait for an
 * hour. One that is set forward, or wakes from a suspended machine, says so: leases have run out meanwhile. It may be
 * ahead afterwards, so it is not for people to read.
 */
export function steadyClock(clock: Clock): Clock {
  let aheadMs = 0;
  let lastMs = -Infinity;
  return {
    now: () => {
      const nowMs = clock.now();
      aheadMs = Math.max(aheadMs, lastMs - nowMs);
      lastMs = nowMs + aheadMs;
      return lastMs;
    },
    shown: () => clock.now(),
    after: (delayMs, callback) => clock.after(delayMs, callback),
  };
}
