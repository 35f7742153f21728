import type { Clock } from "../time/clock.ts";
import type { Charge } from "./rate_limit.ts";
import { ThrottleBucket } from "./throttle_bucket.ts";
import type { Answer, Asked } from "./throttle_table.ts";
import type { Limit } from "./throttle.ts";
import { aheadOf } from "./throttle.ts";

// DESIGN: one for a relay, shared by its databases. A mail asks for its tokens right before it is started; who asks
// while a question is under way goes with the next one, in order. Whoever cannot be served is told when there will be a
// token, and waits in the database (intake.ts). While the home database does not answer, a limit is kept by this
// relay's share of it, which is never more than the limit.

/** What the throttles need. */
export interface ThrottlesOptions {
  readonly ask: (asked: readonly Asked[]) => Promise<Answer>;
  readonly clock: Clock;
  /** Home does not answer, or does again. */
  readonly onAway: (isAway: boolean, error?: unknown) => void;
}

/** Why a mail may not start yet, and when it may be worth another look. */
export interface Refusal {
  readonly throttle: string;
  readonly againMs: number;
}

/** How many mails somebody may claim, and when more. */
export interface Turn {
  readonly count: number;
  readonly againMs: number;
}

interface Request {
  readonly charges: readonly Charge[];
  readonly answer: (refusal: Refusal | undefined) => void;
}

/** The longest wait for home. */
const ASK_MS = 2_000;

/** How often home is asked whether it is back. */
const BACK_MS = 1_000;

/** When nobody knows: after the answer to a question that is under way. */
const SOON_MS = 20;

/** What is known of so many throttles, no more: the rest can be asked for again. */
const MOST_BUCKETS = 10_000;

/** Gives mails leave to start, at the rates that all relays keep together. */
export class Throttles {
  readonly #options: ThrottlesOptions;
  readonly #buckets = new Map<string, ThrottleBucket>();
  #requests: Request[] = [];
  #running = false;
  #relays = 1;
  #isAway = false;
  #askedHomeMs = 0;

  constructor(options: ThrottlesOptions) {
    this.#options = options;
  }

  /** Takes all that a mail needs, or nothing. @returns why it may not start yet */
  take(charges: readonly Charge[]): Promise<Refusal | undefined> {
    return new Promise((answer) => {
      this.#requests.push({ charges, answer });
      if (this.#running) return;
      this.#running = true;
      void this.#run();
    });
  }

  /** How many mails that wait for a throttle somebody may claim now. */
  turn(key: string, limit: Limit, who: object): Turn {
    const nowMs = this.#options.clock.now();
    const bucket = this.#bucket(key, limit);
    const known = bucket.free(nowMs);
    // Who asks for one finds out.
    const free = (known ?? 1) - bucket.promised(nowMs);
    const readySinceMs = known === undefined ? nowMs : bucket.readyMs();
    const count = bucket.turns.shareOf(who, { free: Math.max(0, free), readySinceMs, nowMs });
    return {
      count,
      againMs: known !== undefined && known < 1 ? Math.max(bucket.readyMs(), nowMs + 1) : nowMs + SOON_MS,
    };
  }

  /**
   * Somebody has claimed: as many as he might, or all that there were. `asks`: how many of them are going to ask for a
   * token.
   */
  claimed(
    key: string,
    who: object,
    { might, has, asks = has }: { readonly might: number; readonly has: number; readonly asks?: number },
  ): void {
    const bucket = this.#buckets.get(key);
    bucket?.promise(asks, this.#options.clock.now());
    bucket?.turns.had(who, { hasMore: has >= might });
  }

  async #run(): Promise<void> {
    while (this.#requests.length > 0) {
      const requests = this.#requests;
      this.#requests = [];
      const open = requests.filter((request) => !this.#refuseEmpty(request));
      if (open.length > 0) await this.#provide(open);
      for (const request of open) this.#serve(request);
      for (const bucket of bucketsOf(open, (charge) => this.#bucket(charge.key, charge.limit))) bucket.keepAhead();
    }
    this.#running = false;
  }

  /** Sends away who needs a token where there is none. */
  #refuseEmpty({ charges, answer }: Request): boolean {
    const nowMs = this.#options.clock.now();
    const empty = charges.map(({ key, limit }) => this.#bucket(key, limit))
      .filter((bucket) => (bucket.free(nowMs) ?? 1) < 1);
    const [last] = empty.sort((a, b) => b.readyMs() - a.readyMs());
    if (last === undefined) return false;
    for (const { key } of charges) this.#buckets.get(key)?.asked();
    answer({ throttle: last.key, againMs: Math.max(last.readyMs(), nowMs + 1) });
    return true;
  }

  /** Gets tokens for all who ask, as far as there are any. */
  async #provide(requests: readonly Request[]): Promise<void> {
    const { clock } = this.#options;
    const wishes = new Map<ThrottleBucket, { first: number; most: number }>();
    for (const { key, limit, cost } of requests.flatMap(({ charges }) => charges)) {
      const bucket = this.#bucket(key, limit);
      const wish = wishes.get(bucket);
      if (wish === undefined) wishes.set(bucket, { first: cost, most: cost });
      else wish.most += cost;
    }
    const nowMs = clock.now();
    const asked: Asked[] = [];
    for (const [bucket, { first, most }] of wishes) {
      const { key, limit, owed } = bucket;
      const reserve = bucket.reserve(nowMs);
      if (reserve >= most) continue;
      const ahead = aheadOf(limit).tokens;
      asked.push({ key, limit, owed, first: Math.max(1, first - reserve), most: most - reserve + ahead });
    }
    if (asked.length === 0) return;
    if (!this.#isAway) await this.#ask(asked);
    else if (nowMs - this.#askedHomeMs > BACK_MS) void this.#ask([]);
    if (!this.#isAway) return;
    for (const { key, limit, first, most } of asked) {
      const wish = { first, most: most - aheadOf(limit).tokens };
      this.#bucket(key, limit).takeAlone(wish, { relays: this.#relays, nowMs: clock.now() });
    }
  }

  async #ask(asked: readonly Asked[]): Promise<void> {
    const { ask, clock, onAway } = this.#options;
    const sentMs = clock.now();
    // While one question is under way, no other is asked.
    this.#askedHomeMs = Infinity;
    const late = Promise.withResolvers<never>();
    const cancel = clock.after(ASK_MS, () => late.reject(new Error(`No answer within ${ASK_MS} ms`)));
    try {
      const { granted, relays } = await Promise.race([ask(asked), late.promise]);
      this.#relays = relays ?? this.#relays;
      for (const answer of granted) {
        const owed = asked.find(({ key }) => key === answer.key)?.owed ?? 0;
        this.#buckets.get(answer.key)?.answered({ ...answer, owed }, { sentMs, nowMs: clock.now() });
      }
      if (this.#isAway) onAway(false);
      this.#isAway = false;
    } catch (error) {
      if (!this.#isAway) onAway(true, error);
      this.#isAway = true;
    } finally {
      cancel();
      this.#askedHomeMs = clock.now();
    }
  }

  #serve({ charges, answer }: Request): void {
    const nowMs = this.#options.clock.now();
    const buckets = charges.map((charge) => ({ ...charge, bucket: this.#bucket(charge.key, charge.limit) }));
    for (const { bucket } of buckets) bucket.asked();
    for (const [index, { key, bucket, cost }] of buckets.entries()) {
      if (bucket.use(cost)) continue;
      for (const before of buckets.slice(0, index)) before.bucket.unuse(before.cost);
      return answer({ throttle: key, againMs: Math.max(bucket.readyMs(), nowMs + SOON_MS) });
    }
    answer(undefined);
  }

  #bucket(key: string, limit: Limit): ThrottleBucket {
    const known = this.#buckets.get(key);
    if (known !== undefined) return known;
    if (this.#buckets.size >= MOST_BUCKETS) {
      for (const [other, bucket] of this.#buckets) if (bucket.isIdle) this.#buckets.delete(other);
    }
    const bucket = new ThrottleBucket(key, limit);
    this.#buckets.set(key, bucket);
    return bucket;
  }
}

function bucketsOf(
  requests: readonly Request[],
  find: (charge: Charge) => ThrottleBucket,
): ReadonlySet<ThrottleBucket> {
  return new Set(requests.flatMap(({ charges }) => charges.map(find)));
}
