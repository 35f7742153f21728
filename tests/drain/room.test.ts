import { expect, test } from "bun:test";
import { PATIENCE_MS, roomFor, type RouteRoom } from "../../relay/drain/room.ts";

const FREE: RouteRoom = { limit: Infinity, retryAtMs: undefined, free: 40, fullSinceMs: undefined };
const FULL: RouteRoom = { ...FREE, free: 0, fullSinceMs: 1_000 };
const OUT: RouteRoom = { ...FREE, limit: 0, retryAtMs: 5_000 };
const PROBED: RouteRoom = { ...FREE, limit: 0 };
const HALF_OPEN: RouteRoom = { ...FREE, limit: 1 };

/** Long after it became full. */
const LATE_MS = 1_000 + PATIENCE_MS;

test.each<[string, readonly RouteRoom[], number, ReturnType<typeof roomFor>]>([
  ["one route", [FREE], 1_000, { messages: 40, isProbe: false, againMs: undefined }],
  ["one full route", [FULL], LATE_MS, { messages: 0, isProbe: false, againMs: undefined }],
  ["one route that is out", [OUT], 1_000, { messages: 0, isProbe: false, againMs: 5_000 }],
  ["one half-open route", [HALF_OPEN], 1_000, { messages: 1, isProbe: true, againMs: undefined }],
  ["one route whose probe is under way", [PROBED], 1_000, { messages: 0, isProbe: false, againMs: undefined }],
  ["two free ones", [FREE, { ...FREE, free: 9 }], 1_000, { messages: 40, isProbe: false, againMs: undefined }],
  ["one out beside a free one", [OUT, FREE], 1_000, { messages: 40, isProbe: false, againMs: undefined }],
  ["one probed beside a free one", [PROBED, FREE], 1_000, { messages: 40, isProbe: false, againMs: undefined }],
  ["all out", [OUT, { ...OUT, retryAtMs: 3_000 }], 1_000, { messages: 0, isProbe: false, againMs: 3_000 }],
  ["all but one out, which can be probed", [OUT, HALF_OPEN], 1_000, {
    messages: 40,
    isProbe: false,
    againMs: undefined,
  }],
  ["one just full beside a free one", [FULL, FREE], LATE_MS - 1, { messages: 0, isProbe: false, againMs: LATE_MS }],
  ["one long full beside a free one", [FULL, FREE], LATE_MS, { messages: 40, isProbe: false, againMs: undefined }],
  ["all full", [FULL, FULL], LATE_MS, { messages: 0, isProbe: false, againMs: undefined }],
  ["one full, one out", [FULL, OUT], LATE_MS, { messages: 0, isProbe: false, againMs: 5_000 }],
  ["one full and out beside a free one", [{ ...OUT, ...{ free: 0, fullSinceMs: 1_000 } }, FREE], 1_001, {
    messages: 40,
    isProbe: false,
    againMs: undefined,
  }],
])("room with %s", (_, routes, nowMs, room) => {
  expect(roomFor(routes, nowMs, PATIENCE_MS)).toEqual(room);
});

test("without end to its patience a full route is waited for", () => {
  expect(roomFor([FULL, FREE], 1e9, Infinity)).toMatchObject({ messages: 0 });
});
