/** So many in so long: `60/m` is `{ count: 60, periodMs: 60_000 }`. */
export interface Limit {
  readonly count: number;
  readonly periodMs: number;
}

// DESIGN: a token bucket, told by one number: when it will be full. It holds `count` tokens and gets them back evenly,
// one each `tokenMs`, so that after a pause `count` mails go at once. Within t there are never more than count + t /
// tokenMs. One taking alone may ask for more than there is, a mail to many recipients of one domain: it goes when there
// is one token, and what it takes beyond is missing afterwards. So nobody who asks for little can keep out, for ever,
// somebody who asks for much.
//
// The bucket that counts stands in the home database (throttle_table.ts does the same in SQL). Who takes from it takes
// a little ahead, so that a fast limit does not cost a round trip for each mail; the bucket is so much smaller, and
// what is not used in time is not used at all.

/** Numbers that would be whole but for the arithmetic of floating point. */
const CLOSE = 1e-6;

/** The longest between taking a token and using it. */
const LONGEST_AHEAD_MS = 1_000;

/** The time in which one token comes back. */
export function tokenMs({ count, periodMs }: Limit): number {
  return periodMs / count;
}

/** How many tokens may be taken ahead, and for how long they are good: a tenth of the limit at the most. */
export function aheadOf(limit: Limit): { readonly tokens: number; readonly ms: number } {
  const ms = Math.min(LONGEST_AHEAD_MS, limit.periodMs / 10);
  return { tokens: Math.floor(ms / tokenMs(limit) + CLOSE), ms };
}

/** How many tokens the bucket holds. */
export function capacityOf(limit: Limit): number {
  const { tokens, ms } = aheadOf(limit);
  return tokens === 0 ? limit.count : limit.count - Math.ceil(ms / tokenMs(limit) - CLOSE);
}

/** The whole tokens that are there; less than 0 when somebody has taken more than there were. */
export function freeAt(limit: Limit, fullAtMs: number, nowMs: number): number {
  return Math.floor(capacityOf(limit) - Math.max(0, fullAtMs - nowMs) / tokenMs(limit) + CLOSE);
}

/** When there is a token. */
export function readyAtMs(limit: Limit, fullAtMs: number): number {
  return Math.ceil(fullAtMs - (capacityOf(limit) - 1) * tokenMs(limit) - CLOSE);
}

/** What somebody wants. */
export interface Wish {
  /** All of it or nothing, even if it is more than there is. */
  readonly first: number;
  /** As many as there are, up to this; at least `first`. */
  readonly most: number;
}

/**
 * Takes tokens.
 *
 * @example Two mails a second, and one to three recipients
 * ```ts
 * const limit = { count: 2, periodMs: 1_000 };
 * const one = take(limit, 0, { first: 1, most: 1, nowMs: 1_000 });
 * const three = take(limit, one.fullAtMs, { first: 3, most: 3, nowMs: 1_000 });
 * if (three.granted !== 3 || readyAtMs(limit, three.fullAtMs) !== 2_500) throw new Error("unexpected");
 * ```
 */
export function take(
  limit: Limit,
  fullAtMs: number,
  { first, most, nowMs }: Wish & { readonly nowMs: number },
): { readonly granted: number; readonly fullAtMs: number } {
  const free = freeAt(limit, fullAtMs, nowMs);
  const granted = free < 1 ? 0 : Math.max(first, Math.min(most, free));
  return { granted, fullAtMs: Math.max(fullAtMs, nowMs) + granted * tokenMs(limit) };
}
