import { expect, test } from "bun:test";
import { aheadOf, capacityOf, freeAt, type Limit, readyAtMs, take, tokenMs } from "../../relay/limits/throttle.ts";
import { prng } from "../mime/prng.ts";

const LIMITS: readonly Limit[] = [
  { count: 1, periodMs: 1_000 },
  { count: 3, periodMs: 1_000 },
  { count: 60, periodMs: 60_000 },
  { count: 7, periodMs: 60_000 },
  { count: 2_000, periodMs: 3_600_000 },
  { count: 6_000, periodMs: 60_000 },
  { count: 50_000, periodMs: 86_400_000 },
];

/** Asks at random for a while, often while there is nothing. @returns what was granted, and when */
function run(limit: Limit, seed: number, options: { readonly largest: number; readonly starts?: number }) {
  const { int } = prng(seed);
  const given: { readonly atMs: number; readonly granted: number }[] = [];
  let fullAtMs = 0;
  let nowMs = options.starts ?? 1_000_000;
  for (let step = 0; step < 2_000; step++) {
    // Now and then a pause that fills it.
    nowMs += int(20) === 0 ? int(2 * limit.periodMs) : int(Math.ceil(tokenMs(limit) * 2));
    const first = 1 + int(options.largest);
    const taken = take(limit, fullAtMs, { first, most: first + int(5 + limit.count / 10), nowMs });
    fullAtMs = taken.fullAtMs;
    if (taken.granted > 0) given.push({ atMs: nowMs, granted: taken.granted });
  }
  return given;
}

for (const limit of LIMITS) {
  for (const largest of [1, 10]) {
    test(`${limit.count} in ${limit.periodMs} ms: no window sees more than the rate and the bucket, by mails to ${largest} at most`, () => {
      const given = run(limit, 7 * largest + limit.count, { largest });
      expect(given.length).toBeGreaterThan(200);
      let over = -Infinity;
      for (let first = 0; first < given.length; first++) {
        let sum = 0;
        for (let last = first; last < Math.min(given.length, first + 300); last++) {
          sum += given[last]?.granted as number;
          const windowMs = (given[last]?.atMs as number) - (given[first]?.atMs as number);
          // The last one may have found one token, and taken more.
          over = Math.max(over, sum - (capacityOf(limit) + windowMs / tokenMs(limit) + largest - 1));
        }
      }
      expect(over).toBeLessThanOrEqual(1e-3);
      // The bound is met: the bucket was full once, and emptied.
      expect(over).toBeGreaterThan(-largest - 2);
    });
  }

  test(`${limit.count} in ${limit.periodMs} ms: whoever asks when it is said gets what he wants, however much that is`, () => {
    const { int } = prng(limit.count);
    let fullAtMs = 0;
    let nowMs = 5_000;
    for (let step = 0; step < 500; step++) {
      const first = 1 + int(3 * limit.count);
      nowMs = Math.max(nowMs, readyAtMs(limit, fullAtMs));
      expect(freeAt(limit, fullAtMs, nowMs)).toBeGreaterThanOrEqual(1);
      const taken = take(limit, fullAtMs, { first, most: first, nowMs });
      expect(taken.granted).toBe(first);
      // And not a moment earlier than it is said.
      fullAtMs = taken.fullAtMs;
      const readyMs = readyAtMs(limit, fullAtMs);
      if (readyMs > nowMs + 2) expect(freeAt(limit, fullAtMs, readyMs - 2)).toBeLessThan(1);
    }
  });

  test(`${limit.count} in ${limit.periodMs} ms: what is taken ahead and used late keeps the limit too`, () => {
    const { tokens, ms } = aheadOf(limit);
    expect(tokens).toBeLessThanOrEqual(limit.count / 10);
    // Used at the end of a window what was taken up to `ms` before it.
    expect(capacityOf(limit) + ms / tokenMs(limit)).toBeLessThanOrEqual(tokens === 0 ? limit.count + 1 : limit.count);
    expect(capacityOf(limit)).toBeGreaterThanOrEqual(1);
  });
}

test("a bucket that nobody has used for a month holds no more than a full one", () => {
  const limit = { count: 5, periodMs: 5_000 };
  const month = 30 * 86_400_000;
  expect(take(limit, 0, { first: 1, most: 1_000, nowMs: month }).granted).toBe(5);
  expect(take(limit, month, { first: 1, most: 1_000, nowMs: month }).granted).toBe(5);
});
