import { expect, test } from "bun:test";
import { Pace } from "../relay/pace.ts";

const BOUNDS = { least: 8, most: 200 };

test("a new relay holds four times what its connections work on", () => {
  expect(new Pace(BOUNDS, 0).limit(0)).toBe(32);
});

test("a fast server is given as many mails as it settles in a quarter of a second, up to the most", () => {
  const pace = new Pace(BOUNDS, 0);
  pace.settled(60);
  expect(pace.limit(100)).toBe(150);
  pace.settled(10_000);
  expect(pace.limit(200)).toBe(200);
});

test("a slow server is given no more than its connections work on at once", () => {
  const pace = new Pace(BOUNDS, 0);
  pace.settled(1);
  expect(pace.limit(1_000)).toBe(8);
});

test("a burst that went out in a moment is a pace: the next one need not come in small claims", () => {
  const pace = new Pace(BOUNDS, 0);
  pace.settled(31);
  expect(pace.limit(16)).toBe(32);
  pace.settled(1);
  expect(pace.limit(16)).toBe(200);
});

test("many that are settled in the same millisecond are none", () => {
  const pace = new Pace(BOUNDS, 0);
  pace.settled(32);
  expect(pace.limit(0)).toBe(32);
});

test("an idle time is no pace, and a moment is none either", () => {
  const pace = new Pace(BOUNDS, 0);
  pace.settled(30);
  expect(pace.limit(99)).toBe(32);
  pace.settled(30);
  expect(pace.limit(100)).toBe(150);
  expect(pace.limit(60_000)).toBe(150);
});
