import { systemClock } from "../../relay/time/clock.ts";

/** Lets time pass: a run of the history checker is an experiment in time. */
export function pause(forMs: number): Promise<void> {
  return new Promise((resolve) => void systemClock.after(forMs, resolve));
}

/**
 * Asks again and again until the answer is yes or the time is over. A question that fails is one that was answered with
 * no.
 */
export async function becomes(question: () => Promise<boolean>, withinMs: number, everyMs = 100): Promise<boolean> {
  for (const endMs = Date.now() + withinMs; Date.now() < endMs;) {
    if (await question().catch(() => false)) return true;
    await pause(everyMs);
  }
  return false;
}
