/** The clock and the timers of a transport, as an argument: tests let years pass in them. */
export interface Timers {
  /** A clock that never jumps. */
  nowMs(): number;
  /** Calls back once, after the delay. */
  start(callback: () => void, delayMs: number): unknown;
  stop(handle: unknown): void;
}

/** The timers of the runtime. They keep no process alive: the sockets do. */
export const RUNTIME_TIMERS: Timers = {
  nowMs: () => performance.now(),
  start: (callback, delayMs) => {
    const handle: unknown = setTimeout(callback, delayMs);
    // Node and Bun give an object with `unref`, browsers a number.
    if (typeof handle === "object" && handle !== null && "unref" in handle && typeof handle.unref === "function") {
      handle.unref();
    }
    return handle;
  },
  stop: (handle) => clearTimeout(handle as ReturnType<typeof setTimeout>),
};

/**
 * One deadline that is moved often and passes rarely. Moving it to a later time costs no timer: the running one looks,
 * when it fires, whether the deadline is still ahead.
 */
export class Deadline {
  readonly #timers: Timers;
  readonly #passed: () => void;
  #dueMs = Infinity;
  #handle: unknown;
  #firesMs = Infinity;

  constructor(timers: Timers, passed: () => void) {
    this.#timers = timers;
    this.#passed = passed;
  }

  set(delayMs: number): void {
    this.#dueMs = this.#timers.nowMs() + delayMs;
    if (this.#dueMs < this.#firesMs) this.#run(delayMs);
  }

  stop(): void {
    this.#dueMs = Infinity;
    this.#firesMs = Infinity;
    if (this.#handle !== undefined) this.#timers.stop(this.#handle);
    this.#handle = undefined;
  }

  #run(delayMs: number): void {
    if (this.#handle !== undefined) this.#timers.stop(this.#handle);
    this.#firesMs = this.#timers.nowMs() + delayMs;
    this.#handle = this.#timers.start(() => this.#fire(), delayMs);
  }

  #fire(): void {
    this.#handle = undefined;
    this.#firesMs = Infinity;
    const leftMs = this.#dueMs - this.#timers.nowMs();
    if (leftMs > 0) return this.#run(leftMs);
    this.#dueMs = Infinity;
    this.#passed();
  }
}
