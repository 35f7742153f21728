import type { Statements } from "../database/statements.ts";
import type { RoutedOutcome } from "../delivery/transport.ts";
import { LaneFloors } from "../drain/lane_floors.ts";
import { LaneShares } from "../drain/lane_shares.ts";
import { type BounceRules, bouncesInput } from "../suppression/bounces.ts";
import type { Clock } from "../time/clock.ts";
import { lastOf, perLane, toClaim, toRemaining, waitMsOf } from "./claim_rows.ts";
import type { ClaimedMessage, ClaimedRecipient } from "./claimed_message.ts";
import { DigestCloser } from "./digest_closer.ts";
import { RELEASE, RENEW, SETTLE, SETTLE_BOUNCES, SETTLE_PART } from "./lease_statements.ts";
import {
  ADOPT,
  CLAIM,
  CLAIM_PROBE,
  CLAIM_WAITING,
  DEAD_LEASES,
  INTEND,
  NEXT_DUE,
  REMAINING,
  SET_ALONE,
  THROTTLES,
  UNTHROTTLE,
} from "./queue_statements.ts";
import { outcomesInput, settlementInput } from "./settlement_input.ts";

export type { ClaimedMessage, ClaimedRecipient };

// DESIGN: a row of `queue` belongs to whoever's id and lease number it carries; each statement (queue_statements.ts,
// lease_statements.ts) names both, and its answer says which rows were still ours. A row that is not answered has been
// taken over: its outcome is not written, since the new holder writes its own.

/** What becomes of one claimed message. */
export interface Settlement {
  readonly seq: string;
  readonly lease: string;
  readonly attempt: number;
  /** True when the recipients that are still open were not tried: the next attempt has the same number. */
  readonly givesAttemptBack?: boolean;
  /** The wait before the next attempt; `"held"` without end; undefined: all recipients are final. */
  readonly next: number | "held" | undefined;
  /**
   * Crashes in a row at which it was in flight, when this is about another one.
   * @default {0} the attempt has come to its end
   */
  readonly crashes?: number;
  /** Those who were not tried wait for this throttle, at the longest until `next`. */
  readonly throttle?: string | undefined;
  /** What the attempt brought; empty when there was none (expired before it began). */
  readonly outcomes: readonly RoutedOutcome[];
  readonly recipients: readonly {
    readonly position: number;
    readonly state: string;
    readonly reason: string | undefined;
  }[];
}

/** What has become of some recipients of a claimed message, whose others are still to be sent to. */
export type SettledPart = Pick<Settlement, "seq" | "lease" | "attempt" | "outcomes" | "recipients">;

/** What is left when nothing more can be done. */
export interface Remaining {
  /**
   * Messages that are due, or were given back because the route was out or they are paused; NaN when the database does
   * not answer.
   */
  readonly waiting: number;
  /** Those of them that wait for the end of a pause; undefined: none. */
  readonly paused?: number;
  /** Messages that relays hold. */
  readonly leased: number;
}

export interface Claim {
  readonly messages: readonly ClaimedMessage[];
  /** The database's clock at the claim. */
  readonly nowMs: number;
}

/** A claim of what is due. */
export interface FreshClaim extends Claim {
  /** There may be more. */
  readonly hasMore: boolean;
}

/** What to claim. */
export interface ClaimOptions {
  /** The one message that is due longest, in whichever lane. @default {false} */
  readonly probe?: boolean;
  /** Leaves alone what another relay has leased, even if its lease has run out. @default {false} */
  readonly ownOnly?: boolean;
}

/** What to look at, so that nobody walks once more over what was sent and cannot be cleared away (lane_floors.ts). */
export interface NextDueOptions {
  /**
   * Leaves out what was due at the last claim, if that took all it found. What was locked then, or is late, a later
   * claim finds.
   * @default {false}
   */
  readonly sinceClaim?: boolean;
  /** How far ahead. @default {undefined} without an end */
  readonly withinMs?: number | undefined;
}

/** A message and the lease that we hold on it. */
export type Held = Pick<ClaimedMessage, "seq" | "lease">;

/** What is given back, with the attempt that it has not had, and the wait before anybody looks at it again. */
export type Unstarted = Pick<ClaimedMessage, "seq" | "lease" | "attempt"> & {
  readonly delayMs: number;
  /** It waits for this throttle, at the longest for the delay. */
  readonly throttle?: string | undefined;
  /** Crashes in a row at which it was in flight. @default {as many as before} */
  readonly crashes?: number | undefined;
};

/** What a queue needs. */
export interface QueueOptions {
  readonly relayId: string;
  readonly leaseMs: number;
  readonly clock: Pick<Clock, "now">;
  /** RELAY_ON_BOUNCE. @default {undefined} nothing is done */
  readonly onBounce?: BounceRules | undefined;
}
/** So many at a time are made due. */
const UNTHROTTLED = 5_000;

/** The queue of one database, as seen by one relay. */
export class Queue {
  readonly #sql: Statements;
  readonly #relayId: string;
  readonly #leaseMs: number;
  readonly #clock: Pick<Clock, "now">;
  readonly #onBounce: BounceRules | undefined;
  readonly #shares = new LaneShares();
  readonly #floors = new LaneFloors();
  readonly #digests: DigestCloser;

  constructor(sql: Statements, options: QueueOptions) {
    this.#sql = sql;
    this.#clock = options.clock;
    this.#onBounce = options.onBounce;
    this.#digests = new DigestCloser(sql, options.clock);
    this.#relayId = options.relayId;
    this.#leaseMs = options.leaseMs;
  }

  /**
   * Claims at most `limit` due messages, oldest first: high before normal before low, but for a small share of the
   * lower ones; or with `probe` the one that is due longest. What digests have come to is due then too.
   */
  async claim(limit: number, options: ClaimOptions = {}): Promise<FreshClaim> {
    const { probe, ownOnly } = options;
    const values = [this.#relayId, this.#leaseMs, limit, ownOnly !== true];
    const hasDigests = await this.#digests.close();
    if (probe) {
      const claim = toClaim(await this.#sql.unsafe(CLAIM_PROBE, values, { prepare: true }));
      return { ...claim, hasMore: claim.messages.length === limit };
    }
    const order = this.#shares.order(limit);
    const atMs = this.#clock.now();
    const lanes = JSON.stringify(this.#floors.under(order, atMs));
    const rows = await this.#sql.unsafe(CLAIM, [...values, lanes], { prepare: true });
    const claim = toClaim(rows);
    const got = perLane(claim.messages);
    const hasMore = this.#shares.took(limit, { order, got });
    this.#floors.note({ order, got, last: lastOf(rows), hasMore, atMs, nowMs: claim.nowMs });
    return { ...claim, hasMore: hasMore || hasDigests };
  }

  /**
   * Takes over, as they are, the messages that dead predecessors held.
   * @param isAgain and those that it has itself taken over so, and not ended
   */
  async adopt(instance: string, isAgain = false): Promise<Claim> {
    return toClaim(await this.#sql.unsafe(ADOPT, [this.#relayId, this.#leaseMs, instance, isAgain]));
  }

  /** Says that a message may be sent from now on. @returns whether it is still ours */
  async intend({ seq, lease }: Held): Promise<boolean> {
    return (await this.#sql.unsafe(INTEND, [this.#relayId, seq, lease], { prepare: true })).length > 0;
  }

  /** Says whether nothing else is in flight while this message is. @returns whether it is still ours */
  async setAlone({ seq, lease }: Held, isAlone: boolean): Promise<boolean> {
    return (await this.#sql.unsafe(SET_ALONE, [this.#relayId, seq, lease, isAlone])).length > 0;
  }

  /** Claims messages that wait for throttles: at most so many for each. */
  async claimWaiting(most: ReadonlyMap<string, number>): Promise<Claim> {
    const input = JSON.stringify(Object.fromEntries(most));
    return toClaim(await this.#sql.unsafe(CLAIM_WAITING, [this.#relayId, this.#leaseMs, input], { prepare: true }));
  }

  /** The throttles that messages wait for, at most so many: those behind this one, in the database's order. */
  async throttles(most: number, after = ""): Promise<readonly string[]> {
    return (await this.#sql.unsafe(THROTTLES, [most, after], { prepare: true })).map((row) => row.throttle as string);
  }

  /** Makes due what waits for throttles that are no more, many at a time, so that no lock is held for long. */
  async unthrottle(keys: readonly string[]): Promise<void> {
    const input = JSON.stringify(keys);
    for (let messages = UNTHROTTLED; messages === UNTHROTTLED;) {
      const [row] = await this.#sql.unsafe(UNTHROTTLE, [input, UNTHROTTLED]);
      messages = row?.messages as number;
    }
  }

  /** Writes outcomes and next states. @returns the messages that were still ours */
  async settle(settlements: readonly Settlement[]): Promise<ReadonlySet<string>> {
    const values = [this.#relayId, bySeq(settlements, settlementInput), JSON.stringify(outcomesInput(settlements))];
    const bounces = bouncesInput(settlements, this.#onBounce);
    if (bounces === undefined) return seqs(await this.#sql.unsafe(SETTLE, values, { prepare: true }));
    return seqs(await this.#sql.unsafe(SETTLE_BOUNCES, [...values, ...bounces], { prepare: true }));
  }

  /**
   * Writes what has become of some recipients of a message that is still under way, and stays ours.
   * @returns whether it is
   */
  async settlePart(part: SettledPart): Promise<boolean> {
    const settlement = { ...part, next: undefined };
    const values = [this.#relayId, bySeq([settlement], settlementInput), JSON.stringify(outcomesInput([settlement]))];
    return (await this.#sql.unsafe(SETTLE_PART, values, { prepare: true })).length > 0;
  }

  /** Gives back what was not started. @returns the messages that were still ours */
  async release(held: readonly Unstarted[]): Promise<ReadonlySet<string>> {
    const input = bySeq(held, ({ lease, attempt, delayMs, throttle, crashes }) => ({
      ...{ lease, attempt, delay: delayMs, throttle: throttle ?? null, crashes: crashes ?? null },
    }));
    return seqs(await this.#sql.unsafe(RELEASE, [this.#relayId, input], { prepare: true }));
  }

  /** Prolongs leases by their full length. @returns the messages that are still ours */
  async renew(held: readonly Held[]): Promise<ReadonlySet<string>> {
    const input = bySeq(held, ({ lease }) => ({ lease }));
    return seqs(await this.#sql.unsafe(RENEW, [this.#relayId, input, this.#leaseMs], { prepare: true }));
  }

  /**
   * Milliseconds until something falls due (a schedule, a retry, the end of a lease or of a digest's window); 0 or
   * less: now; undefined: none, as far as was asked.
   */
  async nextDueMs({ sinceClaim, withinMs }: NextDueOptions = {}): Promise<number | undefined> {
    const agoMs = sinceClaim ? this.#floors.emptiedMs(this.#clock.now()) : undefined;
    const rows = await this.#sql.unsafe(NEXT_DUE, [agoMs ?? null, withinMs ?? null], { prepare: true });
    this.#digests.note(rows[0]?.digest_ms);
    return waitMsOf(rows);
  }

  /** Milliseconds until the first lease of a dead relay ends; undefined: there is none. */
  async deadLeaseMs(): Promise<number | undefined> {
    return waitMsOf(await this.#sql.unsafe(DEAD_LEASES, [this.#relayId]));
  }

  /** Counts what waits though it is due, or was due and is one of `givenBack`; and what relays hold. */
  async remaining(givenBack: Iterable<string>): Promise<Remaining> {
    return toRemaining(await this.#sql.unsafe(REMAINING, [JSON.stringify([...givenBack])]));
  }
}

/** What the statements are told about each message, under its number. */
function bySeq<T extends Held>(messages: readonly T[], toInput: (message: T) => Record<string, unknown>): string {
  return JSON.stringify(Object.fromEntries(messages.map((message) => [message.seq, toInput(message)])));
}

function seqs(rows: readonly Record<string, unknown>[]): ReadonlySet<string> {
  return new Set(rows.map((row) => row.seq as string));
}
