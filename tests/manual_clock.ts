import type { Clock } from "../relay/time/clock.ts";
import { ManualTimers } from "./smtp/setup.ts";

const START_MS = 1_000_000;

/** A clock that stands still until a test lets time pass. */
export class ManualClock implements Clock {
  readonly #timers = new ManualTimers();

  readonly now = (): number => START_MS + this.#timers.nowMs();

  readonly after = (delayMs: number, callback: () => void): () => void => {
    const timer = this.#timers.start(callback, delayMs);
    return () => this.#timers.stop(timer);
  };

  /** Lets time pass, timer by timer. */
  pass(ms: number): void {
    this.#timers.advance(ms);
  }
}
