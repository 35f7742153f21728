import { expect, test } from "bun:test";
import { Pace } from "../../relay/drain/pace.ts";

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

test("a limit that was reached and left connections without mail is too low: it is doubled, and falls again slowly", () => {
  const pace = new Pace(BOUNDS, 0);
  // 40 a second is what 8 at a time come to where the database takes 200 ms to claim and to settle them.
  const windowOf = (number: number, done: number) => {
    pace.settled(done);
    return pace.limit(number * 100);
  };
  expect(windowOf(1, 1)).toBe(8);
  pace.full();
  pace.dry();
  expect(windowOf(2, 4)).toBe(16);
  pace.full();
  pace.dry();
  expect(windowOf(3, 4)).toBe(32);
  const limits = [4, 5, 6, 7, 8, 9].map((number) => windowOf(number, 4));
  expect(limits).toEqual([30, 28, 27, 26, 24, 23]);
});

test("a connection without mail is no reason to hold more while there was room for it", () => {
  const pace = new Pace(BOUNDS, 0);
  pace.dry();
  pace.full();
  pace.settled(1);
  expect(pace.limit(1_000)).toBe(8);
  // And each window begins anew.
  pace.dry();
  pace.settled(1);
  expect(pace.limit(2_000)).toBe(8);
});

test("one answer that settles what took long to send is no burst without bounds", () => {
  const pace = new Pace({ least: 12, most: 600 }, 0);
  pace.settled(12);
  expect(pace.limit(1_000)).toBe(12);
  expect(pace.limit(1_200)).toBe(12);
  pace.settled(12);
  expect(pace.limit(1_201)).toBe(96);
});
