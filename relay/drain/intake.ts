import type { Leg } from "../delivery/holdings.ts";
import { pauseOf, pausesOfThrottle } from "../limits/pause.ts";
import type { Pauses } from "../limits/pauses.ts";
import type { Charge, Charged, RateLimits } from "../limits/rate_limit.ts";
import type { Limit } from "../limits/throttle.ts";
import type { Refusal, Throttles } from "../limits/throttles.ts";
import type { ClaimedMessage, ClaimOptions, Queue } from "../queue/queue.ts";
import type { LegResult } from "../queue/settlement.ts";
import type { Clock } from "../time/clock.ts";

// DESIGN: what one database's drain claims. Without limits, as much as there is room for. A limit that concerns every
// mail (a gate) is looked at before a claim: what may not start stays where it is, in its order. Whether another limit
// concerns a mail, a claim finds out: such a mail goes back once, with the name of its throttle, and is claimed by that
// name, high before normal before low and oldest first, when the throttle has a token. Nobody overtakes it: what comes
// for a throttle that others wait for is put behind them.

type Skipped = Extract<LegResult, { readonly kind: "skipped" }>;

/** The limits of a relay, and who keeps them. */
export interface Rates {
  readonly limits: RateLimits;
  readonly throttles: Throttles;
}

/** What an intake needs. */
export interface IntakeOptions {
  readonly queue: Queue;
  readonly clock: Clock;
  /** Undefined: no limits. */
  readonly rates?: Rates | undefined;
  readonly pauses: Pick<Pauses, "keys">;
  /** All there are. */
  readonly routes: readonly { readonly name: string }[];
}

/** A limit that keeps mail back. */
export interface ReachedLimit {
  /** As in RELAY_RATE, such as `route:internal=30/m`. */
  readonly limit: string;
  /** When there will be leave for one more mail, as far as this relay knows. */
  readonly untilMs: number;
}

/** What was claimed. */
export interface Taken {
  readonly messages: readonly ClaimedMessage[];
  readonly nowMs: number;
  /** There may be more. */
  readonly filled: boolean;
}

/** As many as are remembered; the others are found when these are gone. */
const MOST_KEYS = 10_000;

/** How soon to look again for what is on its way. */
const AGAIN_MS = 250;

/** For so long after it was sent to wait, mail may be on its way back to the database. */
const ON_ITS_WAY_MS = 5_000;

/** A throttle that mail of this database waits for. */
interface Waited {
  readonly limit: Limit;
  /** When to look again. */
  againMs: number;
  /** When mail was last sent to wait for it. */
  sentMs: number;
}

interface Plan {
  /** How many to claim that wait for each throttle. */
  readonly waiting: ReadonlyMap<string, number>;
  /** How many others. */
  readonly fresh: number;
  /** How many the gates let through. */
  readonly gated: number;
}

/** Decides what to claim, and claims it. */
export class Intake {
  readonly #options: IntakeOptions;
  readonly #gates: readonly Charge[];
  /** The throttles that mail of this database waits for, and when to look again. */
  readonly #waitedFor = new Map<string, Waited>();
  /** The gates that let nothing through, and until when. */
  readonly #shut = new Map<string, number>();

  constructor(options: IntakeOptions) {
    this.#options = options;
    this.#gates = options.rates?.limits.gates(options.routes.map(({ name }) => name)) ?? [];
  }

  /** How long until a limit lets more through, at most so long. */
  waitMs(longestMs: number): number {
    const againMs = this.#againMs;
    return againMs === undefined ? longestMs : Math.min(longestMs, Math.max(1, againMs - this.#options.clock.now()));
  }

  /** When there may be more to claim, as far as the limits know; undefined: they keep nothing back. */
  get #againMs(): number | undefined {
    if (this.#shut.size > 0) return Math.max(...this.#shut.values());
    let first = Infinity;
    for (const { againMs } of this.#waitedFor.values()) first = Math.min(first, againMs);
    return first === Infinity ? undefined : first;
  }

  /** Mail of this database waits for a limit. */
  get isWaiting(): boolean {
    return this.#waitedFor.size > 0;
  }

  /** The limits that keep mail back now. */
  get reached(): readonly ReachedLimit[] {
    const nowMs = this.#options.clock.now();
    const waited = [...this.#waitedFor].map(([limit, { againMs }]) => ({ limit, untilMs: againMs }));
    const shut = [...this.#shut].map(([limit, untilMs]) => ({ limit, untilMs })).filter(({ untilMs }) =>
      untilMs > nowMs
    );
    return [...shut, ...waited.filter(({ limit }) => !this.#shut.has(limit))];
  }

  /** Claims what may start now, at most so many. @returns undefined when nothing may: see `waitMs` */
  async claim(room: number, how: ClaimOptions): Promise<Taken | undefined> {
    const { queue, rates } = this.#options;
    if (rates === undefined) {
      const { messages, nowMs, hasMore } = await queue.claim(room, how);
      return { messages, nowMs, filled: hasMore };
    }
    const plan = this.#plan(room, rates.throttles);
    if (plan === undefined) return undefined;
    const waited = plan.waiting.size === 0 ? undefined : await queue.claimWaiting(plan.waiting);
    for (const [key, might] of plan.waiting) {
      const its = waited?.messages.filter(({ waitedFor }) => waitedFor === key) ?? [];
      const has = its.length;
      if (!this.#isGate(key)) rates.throttles.claimed(key, this, { might, has, asks: this.#unpaused(its) });
      if (has < might) this.#foundEmpty(key);
    }
    const fresh = plan.fresh === 0 ? undefined : await queue.claim(plan.fresh, how).catch((error) => {
      // What is claimed is ours, whether or not there is more.
      if (waited === undefined || waited.messages.length === 0) throw error;
      return undefined;
    });
    const messages = [...waited?.messages ?? [], ...fresh?.messages ?? []];
    const all = { might: plan.gated, has: messages.length, asks: this.#unpaused(messages) };
    for (const { key } of this.#gates) rates.throttles.claimed(key, this, all);
    const nowMs = waited !== undefined && waited.messages.length > 0 ? waited.nowMs : fresh?.nowMs ?? Number.NaN;
    const hasMore = fresh === undefined || fresh.hasMore;
    // Though no mail has come, there may be windows of digests that have ended, or a lane that was not asked.
    return { messages, nowMs, filled: messages.length > 0 ? hasMore : fresh?.hasMore === true };
  }

  /** Whether there are limits at all. */
  get isLimited(): boolean {
    return this.#options.rates !== undefined;
  }

  /** Takes what the mail to these recipients needs. @returns why it may not start yet */
  async take(leg: Leg, route: string): Promise<Skipped | undefined> {
    const { rates } = this.#options;
    if (rates === undefined) return undefined;
    const charges = rates.limits.chargesOf(chargedOf(leg, route));
    const refusal = charges.length === 0 ? undefined : await rates.throttles.take(charges);
    return refusal === undefined ? undefined : this.#sendToWait(refusal);
  }

  /**
   * Why a mail has to stand behind others that wait already; undefined: nobody waits for what it needs, or it has
   * waited itself.
   */
  mustWait(leg: Leg, route: string): Skipped | undefined {
    const { rates } = this.#options;
    if (rates === undefined || this.#waitedFor.size === 0 || leg.holding.message.waitedFor !== null) return undefined;
    for (const { key } of rates.limits.chargesOf(chargedOf(leg, route))) {
      const waited = this.#waitedFor.get(key);
      if (waited === undefined || this.#isGate(key)) continue;
      return this.#sendToWait({ throttle: key, againMs: waited.againMs });
    }
    return undefined;
  }

  /**
   * Looks what waits: also what another relay, or another run, has left. What neither these settings limit nor a pause
   * keeps back is due now.
   *
   * @returns the throttles that mail waits for, of those that are remembered
   */
  async discover(): Promise<ReadonlySet<string>> {
    const { queue, clock } = this.#options;
    const waited = new Set<string>();
    // All of them, though not all are remembered: the end of a pause is found here and nowhere else.
    for (let last: string | undefined = ""; last !== undefined;) {
      const keys: readonly string[] = await queue.throttles(MOST_KEYS, last);
      const free = keys.filter((key) => this.#isFree(key));
      if (free.length > 0) await queue.unthrottle(free);
      for (const throttle of keys) {
        this.#remember({ throttle, againMs: clock.now() }, 0);
        if (this.#waitedFor.has(throttle)) waited.add(throttle);
      }
      last = keys.length < MOST_KEYS ? undefined : keys.at(-1);
    }
    return waited;
  }

  /** Until when `run --once` should wait for a throttle; undefined: nothing waits for one. */
  async worthWaitingUntilMs(): Promise<number | undefined> {
    if (this.#options.rates === undefined) return undefined;
    const waited = await this.discover();
    // With nothing on its way, this is all.
    for (const key of this.#waitedFor.keys()) if (!waited.has(key)) this.#waitedFor.delete(key);
    if (this.#waitedFor.size > 0) return this.#againMs;
    return this.#shut.size > 0 && (await this.#options.queue.nextDueMs() ?? 1) <= 0 ? this.#againMs : undefined;
  }

  /** There is no such limit any more, or one of the pauses has ended. */
  #isFree(throttle: string): boolean {
    const { rates, pauses } = this.#options;
    const its = pausesOfThrottle(throttle);
    if (its === undefined) return rates?.limits.limitOf(throttle) === undefined;
    return its.some((key) => !pauses.keys.has(key));
  }

  /**
   * How many of these are not set aside at once: a token that is kept for the others would keep back whoever comes
   * behind them.
   */
  #unpaused(messages: readonly ClaimedMessage[]): number {
    const { keys } = this.#options.pauses;
    if (keys.size === 0) return messages.length;
    return messages.filter(({ app, stream, batch, recipients }) =>
      recipients.some(({ open, email }) => open && pauseOf({ app, stream, batch, to: email }, keys) === undefined)
    ).length;
  }

  #sendToWait(refusal: Refusal): Skipped {
    this.#remember(refusal, this.#options.clock.now());
    return { kind: "skipped", ...refusal };
  }

  #remember({ throttle, againMs }: Refusal, sentMs: number): void {
    const known = this.#waitedFor.get(throttle);
    if (known !== undefined) return void (known.sentMs = Math.max(known.sentMs, sentMs));
    const limit = this.#options.rates?.limits.limitOf(throttle);
    if (limit === undefined || this.#waitedFor.size >= MOST_KEYS) return;
    this.#waitedFor.set(throttle, { limit, againMs, sentMs });
  }

  #foundEmpty(key: string): void {
    const nowMs = this.#options.clock.now();
    const waited = this.#waitedFor.get(key);
    if (waited === undefined) return;
    if (nowMs - waited.sentMs > ON_ITS_WAY_MS) this.#waitedFor.delete(key);
    else waited.againMs = Math.max(waited.againMs, nowMs + AGAIN_MS);
  }

  #isGate(key: string): boolean {
    return this.#gates.some((gate) => gate.key === key);
  }

  #plan(room: number, throttles: Throttles): Plan | undefined {
    const nowMs = this.#options.clock.now();
    let gated = room;
    this.#shut.clear();
    for (const { key, limit } of this.#gates) {
      const turn = throttles.turn(key, limit, this);
      gated = Math.min(gated, turn.count);
      if (turn.count === 0) this.#shut.set(key, turn.againMs);
    }
    if (gated === 0) return undefined;
    const waiting = new Map<string, number>();
    let left = gated;
    for (const [key, entry] of this.#waitedFor) {
      if (left === 0) break;
      const isGate = this.#isGate(key);
      if (entry.againMs > nowMs) continue;
      const { count, againMs } = isGate ? { count: left, againMs: nowMs } : throttles.turn(key, entry.limit, this);
      entry.againMs = againMs;
      if (count === 0) continue;
      waiting.set(key, Math.min(count, left));
      left -= Math.min(count, left);
    }
    return { waiting, fresh: left, gated };
  }
}

function chargedOf({ holding, recipients }: Leg, route: string): Charged {
  const { copy, stream } = holding.message;
  // Redirected, they all get one copy.
  return { route, recipients: copy === undefined ? recipients : recipients.slice(0, 1), stream };
}
