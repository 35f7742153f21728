import { Turns } from "../drain/turns.ts";
import { aheadOf, capacityOf, freeAt, type Limit, readyAtMs, take, tokenMs, type Wish } from "./throttle.ts";

/** For how long mail that was claimed for a token is expected to take it. */
const PROMISE_MS = 1_000;

/**
 * What one relay knows of one throttle: the bucket at home, as it was last seen, and the tokens taken ahead. Pure but
 * for what it remembers.
 */
export class ThrottleBucket {
  readonly key: string;
  readonly limit: Limit;
  readonly turns: Turns<object> = new Turns();
  /**
   * When the bucket at home will be full, as far as we know: others may have taken more since. Undefined: we have not
   * asked yet.
   */
  #fullAtMs: number | undefined;
  /** While home is away: our share of the limit. */
  #share: { readonly limit: Limit; fullAtMs: number } | undefined;
  #reserve = 0;
  #reserveEndsMs = 0;
  #owed = 0;
  #promised: { count: number; readonly endsMs: number }[] = [];

  constructor(key: string, limit: Limit) {
    this.key = key;
    this.limit = limit;
  }

  /** Nothing that could not be asked for again. */
  get isIdle(): boolean {
    return this.#reserve === 0 && this.#owed === 0 && this.turns.isEmpty;
  }

  /** What to tell home: tokens used while it was away, or with a minus, taken and not used. */
  get owed(): number {
    return this.#owed;
  }

  /** The tokens that are ours, without those that were taken too long ago. */
  reserve(nowMs: number): number {
    if (nowMs >= this.#reserveEndsMs) this.#giveBack(this.#reserve);
    return this.#reserve;
  }

  /** Uses tokens that are ours, right after they were asked for. @returns false when there are not so many */
  use(cost: number): boolean {
    if (cost > this.#reserve) return false;
    this.#reserve -= cost;
    return true;
  }

  /** Puts back what was used for a mail that another throttle keeps back. */
  unuse(cost: number): void {
    this.#reserve += cost;
  }

  /** Home has answered. */
  answered(
    { granted, fullMs, owed }: { readonly granted: number; readonly fullMs: number; readonly owed: number },
    at: {
      readonly sentMs: number;
      readonly nowMs: number;
    },
  ): void {
    this.#fullAtMs = at.nowMs + fullMs;
    this.#share = undefined;
    this.#owed -= owed;
    this.#reserve += granted;
    this.#reserveEndsMs = Math.max(at.nowMs + 1, at.sentMs + aheadOf(this.limit).ms);
  }

  /** Gives back what is more than may be kept. */
  keepAhead(): void {
    this.#giveBack(this.#reserve - aheadOf(this.limit).tokens);
  }

  /** Takes from our share: home is away, and so many relays share the limit. */
  takeAlone(wish: Wish, { relays, nowMs }: { readonly relays: number; readonly nowMs: number }): void {
    this.#share ??= shareOf(this.limit, { relays, nowMs });
    const { limit, fullAtMs } = this.#share;
    const taken = take(limit, fullAtMs, { ...wish, nowMs });
    this.#share.fullAtMs = taken.fullAtMs;
    this.#reserve += taken.granted;
    this.#reserveEndsMs = nowMs + aheadOf(this.limit).ms;
    // The bucket at home fills meanwhile as if nobody took from it. More than all of it is never owed.
    this.#owed = Math.min(this.#owed + taken.granted, capacityOf(this.limit));
  }

  /** How many tokens there may be, ours among them; undefined: nobody knows. */
  free(nowMs: number): number | undefined {
    const reserve = this.reserve(nowMs);
    if (this.#share !== undefined) return reserve + freeAt(this.#share.limit, this.#share.fullAtMs, nowMs);
    if (this.#fullAtMs === undefined) return undefined;
    return reserve + freeAt(this.limit, this.#fullAtMs + this.#owed * tokenMs(this.limit), nowMs);
  }

  /** When there is a token, or since when there has been one. */
  readyMs(): number {
    if (this.#share !== undefined) return readyAtMs(this.#share.limit, this.#share.fullAtMs);
    return readyAtMs(this.limit, (this.#fullAtMs ?? 0) + this.#owed * tokenMs(this.limit));
  }

  /** How many mails have been claimed that will take a token in a moment. */
  promised(nowMs: number): number {
    this.#promised = this.#promised.filter(({ count, endsMs }) => count > 0 && endsMs > nowMs);
    return this.#promised.reduce((sum, { count }) => sum + count, 0);
  }

  /** Mails have been claimed that will take a token. */
  promise(count: number, nowMs: number): void {
    if (count > 0) this.#promised.push({ count, endsMs: nowMs + PROMISE_MS });
  }

  /** One of them has asked for it. */
  asked(): void {
    const first = this.#promised.find(({ count }) => count > 0);
    if (first !== undefined) first.count--;
  }

  #giveBack(tokens: number): void {
    if (tokens <= 0) return;
    this.#reserve -= tokens;
    this.#owed -= tokens;
  }
}

/** A relay's part of a limit. It is empty at first: what the bucket at home held, others may have taken. */
function shareOf(limit: Limit, { relays, nowMs }: { readonly relays: number; readonly nowMs: number }) {
  const count = Math.max(1, Math.floor(limit.count / relays));
  const share = { count, periodMs: count * tokenMs(limit) * relays };
  return { limit: share, fullAtMs: nowMs + share.periodMs };
}
