import type { Clock } from "../time/clock.ts";

/** Wakes one waiting loop. A ring that nobody waits for is remembered until the next wait. */
export class Bell {
  readonly #clock: Clock;
  #rung = false;
  #wake: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Ends the present or the next wait. */
  ring(): void {
    this.#rung = true;
    this.#wake?.();
  }

  /**
   * Resolves at the next ring (or at once after one that was missed), at the latest after `delayMs`. `true`: it rang.
   */
  wait(delayMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const done = () => {
        cancel();
        this.#wake = undefined;
        const rung = this.#rung;
        this.#rung = false;
        resolve(rung);
      };
      const cancel = this.#clock.after(delayMs, done);
      this.#wake = done;
      if (this.#rung) done();
    });
  }
}
