import type { ClaimedMessage, Held } from "./queue.ts";

/** A message that this relay holds, and how far it has come. */
export interface Holding {
  readonly message: ClaimedMessage;
  /** The newest lease: another than the message's when ours ran out under way and we claimed it again. */
  lease: string;
  /** By our own clock: a relay that was frozen must not start what may be another's by now. */
  leaseEndsMs: number;
  /** False while it waits for its turn: given back at once when the relay stops. */
  started: boolean;
}

/** All messages that this relay holds in one database, from claim to settled or given back; and who waits for that number to fall. */
export class Holdings {
  readonly #bySeq = new Map<string, Holding>();
  readonly #waiting: Holding[] = [];
  readonly #onRemoved: () => void;

  constructor(onRemoved: () => void) {
    this.#onRemoved = onRemoved;
  }

  get size(): number {
    return this.#bySeq.size;
  }

  /** Messages that no worker has begun. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Takes in what was just claimed. What we hold already (its lease had run out, say while the database was away) is not begun again. */
  add(messages: readonly ClaimedMessage[], leaseEndsMs: number): void {
    for (const message of messages) {
      const { lease } = message;
      const known = this.#bySeq.get(message.seq);
      if (known !== undefined) {
        known.lease = lease;
        known.leaseEndsMs = leaseEndsMs;
        continue;
      }
      // Ours, and yet unknown: the answer of the claim was lost, and nothing was started.
      const unstarted = message.wasOurs ? { ...message, attempt: message.attempt - 1 } : message;
      const holding: Holding = { message: unstarted, lease, leaseEndsMs, started: false };
      this.#bySeq.set(message.seq, holding);
      this.#waiting.push(holding);
    }
  }

  /** Hands out the next message to start. */
  next(): Holding | undefined {
    const holding = this.#waiting.shift();
    if (holding !== undefined) holding.started = true;
    return holding;
  }

  /** Hands out all that were not started, to be given back. */
  takeUnstarted(): readonly Holding[] {
    return this.#waiting.splice(0);
  }

  /** Forgets messages that were settled, given back, or lost to another relay. */
  remove(seqs: Iterable<string>): void {
    for (const seq of seqs) this.#bySeq.delete(seq);
    this.#onRemoved();
  }

  /** Every lease that we hold. */
  leases(): readonly Held[] {
    return [...this.#bySeq.values()].map(({ message: { seq }, lease }) => ({ seq, lease }));
  }

  /** The same with the newest lease that we have on it. */
  current<T extends Held>(held: T): T {
    return { ...held, lease: this.#bySeq.get(held.seq)?.lease ?? held.lease };
  }

  /** Takes in a renewal: those not answered are another's now. @returns the lost ones, forgotten unless they were started */
  renewed(asked: readonly Held[], ours: ReadonlySet<string>, leaseEndsMs: number): readonly string[] {
    const lost: string[] = [];
    for (const { seq, lease } of asked) {
      const holding = this.#bySeq.get(seq);
      if (holding === undefined || holding.lease !== lease) continue;
      if (ours.has(seq)) holding.leaseEndsMs = leaseEndsMs;
      else lost.push(seq);
    }
    for (const seq of lost) {
      const index = this.#waiting.findIndex((holding) => holding.message.seq === seq);
      // A dialogue under way runs to its end; its settlement will be refused by the fence and say so.
      if (index >= 0) {
        this.#waiting.splice(index, 1);
        this.#bySeq.delete(seq);
      }
    }
    return lost;
  }
}
