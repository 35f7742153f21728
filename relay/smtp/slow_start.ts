import type { Timers } from "./timers.ts";

/**
 * As many as Postfix begins with (`initial_destination_concurrency`): more than few servers refuse, enough for most.
 */
const FIRST_CONNECTIONS = 5;

// A server that takes fewer connections than N says so with each one more: asked again after a while, ever more rarely.
const MIN_PAUSE_MS = 1_000;
const MAX_PAUSE_MS = 60_000;

/**
 * How many connections may be open: few at first, one more for each round of mails that the server has answered, and no
 * more than there are when it refuses one.
 */
export class SlowStart {
  readonly #timers: Timers;
  readonly #most: number;
  readonly #resumed: () => void;
  #window: number;
  #pauseMs = MIN_PAUSE_MS;
  #timer: unknown;

  /** @param resumed a pause is over: another connection may be tried */
  constructor(timers: Timers, most: number, resumed: () => void) {
    this.#timers = timers;
    this.#most = most;
    this.#resumed = resumed;
    this.#window = Math.min(FIRST_CONNECTIONS, most);
  }

  /** The most connections now. */
  get limit(): number {
    return Math.floor(this.#window);
  }

  /** No further connection is tried while others are open. */
  get isPausing(): boolean {
    return this.#timer !== undefined;
  }

  /** A connection has come to stand. */
  opened(): void {
    this.#pauseMs = MIN_PAUSE_MS;
  }

  /** The server has answered for a mail. */
  answered(): void {
    if (this.#window < this.#most) this.#window = Math.min(this.#most, this.#window + 1 / this.#window);
  }

  /** The server has refused a connection beside so many others. */
  refused(openCount: number): void {
    this.#window = Math.max(1, openCount);
    if (this.#timer !== undefined) return;
    this.#timer = this.#timers.start(() => {
      this.#timer = undefined;
      this.#window = Math.min(this.#most, Math.max(this.#window, openCount + 1));
      this.#resumed();
    }, this.#pauseMs);
    this.#pauseMs = Math.min(this.#pauseMs * 2, MAX_PAUSE_MS);
  }

  stop(): void {
    if (this.#timer !== undefined) this.#timers.stop(this.#timer);
    this.#timer = undefined;
  }
}
