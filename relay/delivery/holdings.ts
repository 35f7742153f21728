import { PAUSE_OF_ALL, pauseOf, throttleOfPauses } from "../limits/pause.ts";
import { asToBegin } from "../queue/crash.ts";
import type { ClaimedMessage, ClaimedRecipient, Held, Settlement } from "../queue/queue.ts";
import { type ConcludedLeg, type LegResult, suppressedLegs } from "../queue/settlement.ts";
import type { RouteLine } from "../routes/route_line.ts";
import { routesFor, type RoutingRule } from "../routes/routing.ts";

/** The recipients of a message that take the same way. */
export interface Leg {
  readonly holding: Holding;
  recipients: readonly ClaimedRecipient[];
  /** The routes that are still to be tried for them, the present one first. */
  routes: readonly string[];
  /** Where it waits or is worked on. */
  line: RouteLine | undefined;
  /** When one of its routes that were out is worth another look. */
  againMs: number;
  result: LegResult | undefined;
}

/** A message that this relay holds, and how far it has come. */
export interface Holding {
  readonly message: ClaimedMessage;
  /** The newest lease: another than the message's when ours ran out under way and we claimed it again. */
  lease: string;
  /** By our own clock: a relay that was frozen must not start what may be another's by now. */
  leaseEndsMs: number;
  /** False while all of it waits for its turn: given back at once when the relay stops. */
  started: boolean;
  /** It is being given back: claimed again, it is a new one. */
  isGivenBack: boolean;
  /** What became of it is being written. */
  hasEnded: boolean;
  /**
   * A later claim of ours, while this one was under way: in between it was settled, or another relay's. Begun when this
   * one has come to its end.
   */
  again: Holding | undefined;
  /** Empty until they are set out. */
  legs: readonly Leg[];
}

/** More than a relay holds at a time; what is beyond was refused long ago. */
const MAX_UNWRITTEN = 10_000;

/** All messages that this relay holds in one database, from claim to settled or given back. */
export class Holdings {
  readonly #bySeq = new Map<string, Holding>();
  /** What came of messages that were refused, in case that it was we who had claimed them again. */
  readonly #unwritten = new Map<string, Settlement>();
  readonly #onMoved: (holding: Holding, lease: string) => void;

  /** @param onMoved a message that we hold gets another lease */
  constructor(onMoved: (holding: Holding, lease: string) => void) {
    this.#onMoved = onMoved;
  }

  get size(): number {
    return this.#bySeq.size;
  }

  /**
   * Takes in what was just claimed. What is ours still (only its lease had run out, say while the database was away) is
   * not begun again. What somebody else may have had since, or was settled, is not what we know of it: that is
   * forgotten, or comes to its end first.
   *
   * @returns those to begin
   */
  add(messages: readonly ClaimedMessage[], leaseEndsMs: number): readonly Holding[] {
    const added: Holding[] = [];
    for (const message of messages) {
      const { lease, seq, wasOurs } = message;
      const known = this.#bySeq.get(seq);
      const isUnderWay = known !== undefined && !known.isGivenBack;
      if (isUnderWay && wasOurs && known.again === undefined) {
        this.#onMoved(known, lease);
        known.lease = lease;
        known.leaseEndsMs = leaseEndsMs;
        continue;
      }
      const fresh = { started: false, isGivenBack: false, hasEnded: false, again: undefined, legs: [] };
      const holding = { message: asToBegin(message), lease, leaseEndsMs, ...fresh };
      if (isUnderWay && (known.started || known.hasEnded)) {
        known.again = holding;
        known.leaseEndsMs = -Infinity;
        continue;
      }
      if (known !== undefined) this.#supersede(known);
      this.#bySeq.set(seq, holding);
      added.push(holding);
    }
    return added;
  }

  /** Forgets what was not begun, or is being given back. */
  #supersede(known: Holding): void {
    known.again = undefined;
    if (!known.isGivenBack) this.remove([known]);
  }

  /** Notes that a message has ended. @returns what is to be written of it */
  ended(holding: Holding, settlement: Settlement): Settlement {
    holding.hasEnded = true;
    return settlement;
  }

  /** Keeps what was refused for good: the answer of our own claim may be late, or lost. */
  keep(refused: Settlement): void {
    if (refused.outcomes.length === 0) return;
    this.#unwritten.set(refused.seq, refused);
    const [oldest] = this.#unwritten.keys();
    if (this.#unwritten.size > MAX_UNWRITTEN && oldest !== undefined) this.#unwritten.delete(oldest);
  }

  /**
   * What we know came of a message before this claim of it, and could not write. Only while nobody else can have had it
   * in between.
   */
  unwritten({ message: { seq, wasOurs }, lease }: Holding): Settlement | undefined {
    const kept = this.#unwritten.get(seq);
    this.#unwritten.delete(seq);
    // The next lease, or the one behind a claim whose answer was lost.
    return kept !== undefined && wasOurs && Number(lease) - Number(kept.lease) <= 2 ? { ...kept, lease } : undefined;
  }

  /** The message that we hold under this number. */
  get(seq: string): Holding | undefined {
    return this.#bySeq.get(seq);
  }

  /** False when it was lost to another relay before it was started. */
  has(holding: Holding): boolean {
    return this.#bySeq.get(holding.message.seq) === holding;
  }

  /**
   * Forgets messages that were settled, given back, or lost to another relay; their legs leave their lines.
   * @returns those to begin: we have claimed them again
   */
  remove(holdings: Iterable<Holding>): readonly Holding[] {
    const again: Holding[] = [];
    for (const holding of holdings) {
      for (const leg of holding.legs) leg.line?.leave(leg);
      if (!this.has(holding)) continue;
      this.#bySeq.delete(holding.message.seq);
      if (holding.again === undefined) continue;
      this.#bySeq.set(holding.message.seq, holding.again);
      again.push(holding.again);
    }
    return again;
  }

  /** Every lease that we hold. */
  leases(): readonly Held[] {
    return [...this.#bySeq.values()].map((holding) => {
      const { message: { seq }, lease } = holding.again ?? holding;
      return { seq, lease };
    });
  }

  /** What is to be written now, with the newest lease that we have on the message: it is said of that claim too. */
  current(settlement: Settlement): Settlement {
    const holding = this.#bySeq.get(settlement.seq);
    return holding === undefined || holding.lease === settlement.lease
      ? settlement
      : { ...settlement, lease: holding.lease };
  }

  /**
   * Takes in a renewal: those not answered are another's now.
   * @returns the lost ones, forgotten unless they were started
   */
  renewed(asked: readonly Held[], ours: ReadonlySet<string>, leaseEndsMs: number): readonly string[] {
    const lost: string[] = [];
    for (const { seq, lease } of asked) {
      const known = this.#bySeq.get(seq);
      const holding = known?.again ?? known;
      if (known === undefined || holding?.lease !== lease) continue;
      if (ours.has(seq)) holding.leaseEndsMs = leaseEndsMs;
      else if (holding === known.again) known.again = undefined;
      // What is being written may have been written first: then the lease has ended as it should, and else its own
      // answer says so.
      else if (!holding.hasEnded && !holding.isGivenBack) lost.push(seq);
    }
    // A dialogue under way runs to its end; its settlement will be refused by the fence and say so.
    for (const seq of lost) {
      const holding = this.#bySeq.get(seq);
      if (holding?.started === false) this.remove([holding]);
    }
    return lost;
  }
}

/**
 * Parts the open recipients of a message by the way that they take. One that no rule fits has no route at all; one that
 * is barred has ended.
 */
export function legsOf(holding: Holding, routing: readonly RoutingRule[]): readonly Leg[] {
  const { recipients, from, stream } = holding.message;
  const ways = new Map<readonly string[] | undefined, ClaimedRecipient[]>();
  for (const recipient of recipients) {
    if (!recipient.open || recipient.suppressed !== null || recipient.barred !== undefined) continue;
    const routes = routesFor(routing, { from: from.email, to: recipient.email, stream: stream ?? undefined });
    const others = ways.get(routes);
    if (others === undefined) ways.set(routes, [recipient]);
    else others.push(recipient);
  }
  const leg = { holding, line: undefined, againMs: Infinity };
  return [
    ...[...ways].map(([routes = [], recipients]) => ({ ...leg, recipients, routes, result: undefined })),
    ...suppressedLegs(holding.message).map((ended) => ({ ...leg, ...ended, routes: [] })),
  ];
}

/** Tells whether a leg has ended. */
export function isConcluded(leg: Leg): leg is Leg & ConcludedLeg {
  return leg.result !== undefined;
}

/** Tells whether a pause keeps back one of a leg's recipients. */
export function isPaused({ holding: { message }, recipients }: Leg, pauses: ReadonlySet<string>): boolean {
  return pauses.size > 0 &&
    recipients.some(({ email }) =>
      pauseOf({ app: message.app, stream: message.stream, batch: message.batch, to: email }, pauses) !== undefined
    );
}

/**
 * Takes the recipients out of a leg that a pause keeps back: they are a leg of their own then, which has ended.
 *
 * @returns how the leg itself ends when these are all
 */
export function setAside(
  leg: Leg,
  { pauses, nowMs }: { readonly pauses: ReadonlySet<string>; readonly nowMs: number },
): LegResult | undefined {
  if (pauses.size === 0) return undefined;
  const { holding } = leg;
  const { app, stream, batch } = holding.message;
  const keyed = leg.recipients.map((recipient) => (
    { recipient, key: pauseOf({ app, stream, batch, to: recipient.email }, pauses) }
  ));
  const keys = keyed.flatMap(({ key }) => key ?? []);
  if (keys.length === 0) return undefined;
  // Nothing is claimed while all is paused: it can stand where it stood.
  const result: LegResult = keys[0] === PAUSE_OF_ALL
    ? { kind: "skipped", againMs: nowMs }
    : { kind: "skipped", againMs: Infinity, throttle: throttleOfPauses(keys) };
  if (keys.length === keyed.length) return result;
  const those = (isPaused: boolean) =>
    keyed.filter(({ key }) => (key !== undefined) === isPaused).map(({ recipient }) => recipient);
  holding.legs = [...holding.legs, { ...leg, recipients: those(true), line: undefined, result }];
  leg.recipients = those(false);
  return undefined;
}
