import { expect, test } from "bun:test";
import { type Floor, LaneFloors, type Scan } from "../../relay/drain/lane_floors.ts";
import type { Lane, LaneLimit } from "../../relay/drain/lane_shares.ts";

const NOW_MS = Date.parse("2026-11-22T12:00:00.000Z");
const JUST_NOW = { due: "2026-11-22T11:59:59.750Z", seq: "0" };
const BEGIN = { due: "-infinity", seq: "0" };
const OLD = { due: "2026-11-22 11:00:00.123456+00", seq: "17" };

const ORDER: readonly LaneLimit[] = [
  { lane: 0, most: 100, isOwed: false },
  { lane: 1, most: 100, isOwed: false },
  { lane: 2, most: 100, isOwed: false },
];

function scan(got: Scan["got"], last: Partial<Record<Lane, Floor>>, more: Partial<Scan> = {}): Scan {
  const entries = Object.entries(last).map(([lane, floor]) => [Number(lane) as Lane, floor] as const);
  return { order: ORDER, got, last: new Map(entries), hasMore: true, atMs: 0, nowMs: NOW_MS, ...more };
}

/** Where the next claim begins in each lane. */
function begins(floors: LaneFloors, nowMs: number): readonly Floor[] {
  return floors.under(ORDER, nowMs).map(({ due, seq }) => ({ due, seq }));
}

test("a claim begins behind the last row of the one before; a lane that had nothing more, a little before now", () => {
  const floors = new LaneFloors();
  expect(begins(floors, 0)).toEqual([BEGIN, BEGIN, BEGIN]);
  floors.note(scan([0, 40, 60], { 1: { due: "2026-11-22 11:30:00+00", seq: "3" }, 2: OLD }));
  expect(begins(floors, 1)).toEqual([JUST_NOW, JUST_NOW, OLD]);
});

test("a lane that the claim has not come to keeps its floor, or has none", () => {
  const floors = new LaneFloors();
  begins(floors, 0);
  floors.note(scan([100, 0, 0], { 0: OLD }));
  expect(begins(floors, 1)).toEqual([OLD, BEGIN, BEGIN]);
  floors.note(scan([0, 0, 100], { 2: OLD }));
  floors.note(scan([100, 0, 0], { 0: OLD }));
  expect(begins(floors, 2)).toEqual([OLD, JUST_NOW, OLD]);
});

test("a lane that gave all it was owed begins behind that; one that could not, a little before now", () => {
  const owed: readonly LaneLimit[] = [
    { lane: 1, most: 12, isOwed: true },
    { lane: 2, most: 6, isOwed: true },
    { lane: 0, most: 100, isOwed: false },
  ];
  const floors = new LaneFloors();
  begins(floors, 0);
  floors.note(scan([91, 3, 6], { 0: OLD, 1: OLD, 2: OLD }, { order: owed }));
  expect(begins(floors, 1)).toEqual([OLD, JUST_NOW, OLD]);
});

test("every second, after a claim that left nothing, and when the clock was put back, a claim begins at the first entry", () => {
  for (
    const [nowMs, hasMore, expected] of [
      [999, true, OLD],
      [1_000, true, BEGIN],
      [1, false, BEGIN],
      [-1, true, BEGIN],
    ] as const
  ) {
    const floors = new LaneFloors();
    begins(floors, 0);
    floors.note(scan([100, 0, 0], { 0: OLD }, { hasMore }));
    expect({ nowMs, hasMore, floor: begins(floors, nowMs)[0] }).toEqual({ nowMs, hasMore, floor: expected });
  }
});

test("the second counts from the last claim that began at the first entry, however many came since", () => {
  const floors = new LaneFloors();
  const first: Floor[] = [];
  for (let nowMs = 0; nowMs < 3_000; nowMs += 100) {
    first.push(begins(floors, nowMs)[0] as Floor);
    floors.note(scan([100, 0, 0], { 0: OLD }));
  }
  expect(first.flatMap((floor, index) => floor === OLD || floor.due !== BEGIN.due ? [] : [index])).toEqual([0, 10, 20]);
});

test("emptiedMs() tells when a claim left nothing, and not while one is under way", () => {
  const floors = new LaneFloors();
  expect(floors.emptiedMs(5)).toBeUndefined();
  begins(floors, 10);
  floors.note(scan([1, 0, 0], { 0: OLD }, { hasMore: false, atMs: 10 }));
  expect(floors.emptiedMs(30)).toBe(20 + 250);
  begins(floors, 31);
  expect(floors.emptiedMs(32)).toBeUndefined();
  floors.note(scan([100, 0, 0], { 0: OLD }));
  expect(floors.emptiedMs(33)).toBeUndefined();
});
