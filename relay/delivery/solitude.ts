import type { Clock } from "../time/clock.ts";

// DESIGN: mails are in flight side by side, unless one has to be alone: then nobody begins, those in flight end, it
// goes by itself, and then come the others. It waits only so long for those in flight, or one slow server would hold up
// all mail; each wait in vain doubles the next. When one alone takes too long itself, whoever began it lets the others
// in.

const FIRST_PATIENCE_MS = 5_000;
const LONGEST_PATIENCE_MS = 300_000;

interface Waiter {
  readonly enter: (mayEnter: boolean) => void;
}

/** Lets mails begin, all but one that has to be alone in the whole process. */
export class Solitude {
  readonly #clock: Pick<Clock, "after">;
  readonly #others = new Set<Waiter>();
  readonly #loners = new Set<Waiter>();
  #inFlight = 0;
  #isAlone = false;
  #patienceMs = FIRST_PATIENCE_MS;

  constructor(clock: Pick<Clock, "after">) {
    this.#clock = clock;
  }

  /**
   * True at once while nobody is alone or waits for it; false when the signal comes first. Each `true` is followed by
   * one `leave`.
   */
  enter(signal: AbortSignal): boolean | Promise<boolean> {
    if (this.#isAlone || this.#loners.size > 0) return this.#wait(this.#others, signal);
    this.#inFlight++;
    return true;
  }

  /** The same for one that has to be alone; false also when the others have not ended in time. */
  enterAlone(signal: AbortSignal): Promise<boolean> {
    const entered = this.#wait(this.#loners, signal, this.#patienceMs);
    this.#advance();
    return entered;
  }

  /** The one that is alone need not be any longer. */
  letOthersIn(): void {
    this.#isAlone = false;
    this.#admitOthers();
    this.#advance();
  }

  /** A mail is in flight no more. */
  leave(): void {
    this.#inFlight--;
    // The others first: with one after the other that has to be alone, they would never come.
    if (this.#isAlone) this.letOthersIn();
    else this.#advance();
  }

  #wait(line: Set<Waiter>, signal: AbortSignal, patienceMs = Infinity): Promise<boolean> {
    if (signal.aborted) return Promise.resolve(false);
    return new Promise((resolve) => {
      const giveUp = () => {
        waiter.enter(false);
        this.#advance();
      };
      const waiter: Waiter = {
        enter: (mayEnter) => {
          line.delete(waiter);
          signal.removeEventListener("abort", giveUp);
          cancel();
          resolve(mayEnter);
        },
      };
      line.add(waiter);
      signal.addEventListener("abort", giveUp);
      const cancel = patienceMs === Infinity ? () => {} : this.#clock.after(patienceMs, () => {
        // Behind another of its kind nothing is learnt about the others: they would be kept waiting for longer and
        // longer.
        if (!this.#isAlone) this.#patienceMs = Math.min(patienceMs * 2, LONGEST_PATIENCE_MS);
        giveUp();
      });
    });
  }

  #advance(): void {
    if (this.#isAlone) return;
    const [loner] = this.#loners;
    if (loner === undefined) return this.#admitOthers();
    if (this.#inFlight > 0) return;
    this.#isAlone = true;
    this.#inFlight = 1;
    this.#patienceMs = FIRST_PATIENCE_MS;
    loner.enter(true);
  }

  #admitOthers(): void {
    this.#inFlight += this.#others.size;
    for (const other of [...this.#others]) other.enter(true);
  }
}
