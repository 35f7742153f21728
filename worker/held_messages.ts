import type { Log } from "../relay/log.ts";
import { asToBegin } from "../relay/queue/crash.ts";
import { lasts, RENEWALS_PER_LEASE } from "../relay/queue/lease.ts";
import type { ClaimedMessage, Queue, Settlement } from "../relay/queue/queue.ts";
import type { Clock } from "../relay/time/clock.ts";
import { periodic } from "../relay/time/periodic.ts";

/** A message that a run holds. */
export interface Held {
  readonly message: ClaimedMessage;
  readonly lease: string;
  leaseEndsMs: number;
  /** Another has it now. */
  isLost: boolean;
  /** It may have been sent: never given back as if nothing had been. */
  isBegun: boolean;
  /** The recipients of whom is written already what became of them, by their positions. */
  readonly written: Set<number>;
}

/** What holding takes. */
export interface HeldMessagesOptions {
  readonly queue: Pick<Queue, "renew" | "release" | "settlePart">;
  readonly leaseMs: number;
  readonly clock: Clock;
  readonly log: Pick<Log, "warn">;
}

/** All messages that a run holds, from claim to settled or given back. Their leases are renewed while it works. */
export class HeldMessages {
  readonly #options: HeldMessagesOptions;
  readonly #bySeq = new Map<string, Held>();
  readonly #stopRenewing: () => void;

  constructor(options: HeldMessagesOptions) {
    this.#options = options;
    this.#stopRenewing = periodic(() => this.#renew(), {
      everyMs: options.leaseMs / RENEWALS_PER_LEASE,
      clock: options.clock,
      onError: (error) => options.log.warn("leases were not renewed", { error }),
    });
  }

  get size(): number {
    return this.#bySeq.size;
  }

  all(): readonly Held[] {
    return [...this.#bySeq.values()];
  }

  /** Takes in what was claimed at that time, by our clock. */
  add(messages: readonly ClaimedMessage[], claimedMs: number): void {
    const leaseEndsMs = claimedMs + this.#options.leaseMs;
    for (const message of messages) {
      const { seq, lease } = message;
      this.#bySeq.set(seq, {
        ...{ message: asToBegin(message), lease, leaseEndsMs, isLost: false, isBegun: false, written: new Set() },
      });
    }
  }

  /** It was settled, or given back. */
  remove({ message }: Held): void {
    this.#bySeq.delete(message.seq);
  }

  /** Whether it may be begun, or its final dot be written. */
  isOurs(held: Held): boolean {
    const { clock, leaseMs } = this.#options;
    return !held.isLost && lasts(held, { nowMs: clock.now(), leaseMs });
  }

  /**
   * Writes which recipients have got what is final, while the others are still to be sent to: whoever takes over from a
   * Worker that was lost need not take them for uncertain. The deferred are left to the end: they are open, and when
   * they are tried again is the message's.
   *
   * @returns what was written; undefined: nothing
   */
  async settlePart(held: Held, settlement: Settlement): Promise<Settlement | undefined> {
    const part = unwritten(held, settlement, ({ state }) => state !== "deferred");
    if (part.recipients.length === 0) return undefined;
    try {
      held.isLost = !await this.#options.queue.settlePart(part);
    } catch (error) {
      // The next part has them too, and so has the end.
      this.#options.log.warn("a part is not settled yet", { id: held.message.id, error });
      return undefined;
    }
    if (held.isLost) return undefined;
    for (const { position } of part.recipients) held.written.add(position);
    return part;
  }

  /** Gives back what was not begun. What was begun and could not be settled is left to the end of its lease. */
  async giveBack(): Promise<void> {
    const unstarted = this.all().filter(({ isBegun }) => !isBegun);
    if (unstarted.length === 0) return;
    await this.#options.queue.release(
      unstarted.map(({ message: { seq, attempt }, lease }) => ({ seq, lease, attempt, delayMs: 0 })),
    );
    for (const held of unstarted) this.remove(held);
  }

  close(): void {
    this.#stopRenewing();
  }

  async #renew(): Promise<void> {
    const { queue, clock, leaseMs } = this.#options;
    const held = this.all();
    if (held.length === 0) return;
    const sentMs = clock.now();
    const ours = await queue.renew(held.map(({ message: { seq }, lease }) => ({ seq, lease })));
    for (const each of held) {
      if (ours.has(each.message.seq)) each.leaseEndsMs = sentMs + leaseMs;
      else each.isLost = true;
    }
  }
}

/** A settlement without those of whom it is written already. */
export function unwritten(
  { written }: Pick<Held, "written">,
  settlement: Settlement,
  counts: (recipient: Settlement["recipients"][number]) => boolean = () => true,
): Settlement {
  const recipients = settlement.recipients.filter((each) => !written.has(each.position) && counts(each));
  const positions = new Set(recipients.map(({ position }) => position));
  return { ...settlement, recipients, outcomes: settlement.outcomes.filter(({ position }) => positions.has(position)) };
}
