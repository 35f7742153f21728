import { expect, test } from "bun:test";
import type { Outcome } from "../../relay/delivery/transport.ts";
import { conclude, type ConcludedLeg, expire, type LegResult } from "../../relay/queue/settlement.ts";
import { message, NOW_MS, recipient } from "../claimed_message.ts";

const MINUTE_MS = 60_000;
const RULES = { maxAgeMs: 86_400_000, maxAttempts: undefined, onUncertain: "retry" } as const;
const CONTEXT = { rules: RULES, nowMs: NOW_MS, aheadMs: 0, random: () => 0.5 };

/** A leg with one recipient. */
function leg(position: number, result: LegResult): ConcludedLeg {
  return { recipients: [recipient(position)], result };
}

function attempted(position: number, kind: Outcome["kind"]): ConcludedLeg {
  const outcome = { position, kind, phase: "final", blame: "recipient", reason: "said so" } as const;
  return leg(position, { kind: "attempted", route: `route${position}`, outcomes: [outcome] });
}

function skipped(position: number, waitMs: number): ConcludedLeg {
  return leg(position, { kind: "skipped", againMs: NOW_MS + waitMs });
}

function settlementOf(legs: readonly ConcludedLeg[], claimed = message()) {
  const conclusion = conclude(claimed, legs, CONTEXT);
  if (conclusion.kind !== "settle") throw new Error("It is given back");
  return conclusion.settlement;
}

test("a message of which nothing was tried is given back, for its first route that is worth another look", () => {
  expect(conclude(message(), [skipped(0, 7_000), skipped(1, 3_000)], CONTEXT)).toEqual({
    kind: "release",
    againMs: NOW_MS + 3_000,
  });
});

test("who was not tried is not written, and the attempt is given back when everybody else is final", () => {
  const settlement = settlementOf([attempted(0, "sent"), attempted(1, "bounced"), skipped(2, 3_000)]);
  expect(settlement).toMatchObject({ givesAttemptBack: true, next: 3_000, attempt: 1 });
  expect(settlement.outcomes.map(({ position, route }) => [position, route])).toEqual([[0, "route0"], [1, "route1"]]);
  expect(settlement.recipients.map(({ position, state }) => [position, state])).toEqual([[0, "sent"], [1, "bounced"]]);
  expect(settlementOf([attempted(0, "sent"), attempted(1, "bounced")])).not.toHaveProperty("givesAttemptBack");
});

test.each<[string, readonly ConcludedLeg[], number, number | "held" | undefined, boolean]>([
  ["all final", [attempted(0, "sent"), attempted(1, "bounced")], 1, undefined, false],
  ["one deferred", [attempted(0, "sent"), attempted(1, "deferred")], 1, MINUTE_MS, false],
  // The breaker asks again in seconds, and must not take the deferred along.
  ["one deferred, one not tried", [attempted(0, "deferred"), skipped(1, 3_000)], 1, MINUTE_MS, false],
  ["one deferred for hours, one not tried", [attempted(0, "deferred"), skipped(1, 3_000)], 6, 15 * MINUTE_MS, false],
  ["one uncertain, one not tried", [attempted(0, "uncertain"), skipped(1, 3_000)], 1, 5 * MINUTE_MS, false],
  ["one failed, one not tried", [leg(0, { kind: "failed", reason: "No" }), skipped(1, 3_000)], 1, 3_000, true],
])("with %s the message is looked at again in time", (_, legs, number, next, givesBack) => {
  const settlement = settlementOf(legs, message(number));
  expect(settlement.next).toBe(next as number);
  expect(settlement.givesAttemptBack ?? false).toBe(givesBack);
});

test("a held recipient keeps the row, and does not keep the others from another look", () => {
  expect(settlementOf([attempted(0, "sent"), attempted(1, "sent")], message(1, true)).next).toBe("held");
  expect(settlementOf([attempted(0, "sent"), skipped(1, 3_000)], message(1, true)).next).toBe(3_000);
});

test("a message whose time is over ends whether or not its routes are out, by the clock of the database", () => {
  const old = { ...message(1, true), firstDueMs: NOW_MS - RULES.maxAgeMs };
  expect(expire(message(), CONTEXT)).toBeUndefined();
  expect(expire({ ...old, firstDueMs: old.firstDueMs + 1 }, CONTEXT)).toBeUndefined();
  expect(expire({ ...old, firstDueMs: old.firstDueMs + 1 }, { ...CONTEXT, aheadMs: 1 })).toBeDefined();
  expect(expire(old, CONTEXT)).toMatchObject({
    next: "held",
    outcomes: [],
    recipients: [0, 1].map((position) => ({ position, state: "expired" })),
  });
});

test("who is deferred when the time is over by the clock of the database expires, whatever ours says", () => {
  const claimed = { ...message(), expiresAtMs: NOW_MS + 1 };
  const states = (aheadMs: number) => {
    const conclusion = conclude(claimed, [attempted(0, "deferred")], { ...CONTEXT, aheadMs });
    return conclusion.kind === "settle" && conclusion.settlement.recipients.map(({ state }) => state);
  };
  expect([states(0), states(1)]).toEqual([["deferred"], ["expired"]]);
});

test("a message of which all waits for a limit is given back with its name, for an hour at the longest, or until it expires", () => {
  const waits = leg(0, { kind: "skipped", againMs: NOW_MS + 5_000, throttle: "all=60/m" });
  const release = { kind: "release" as const, throttle: "all=60/m", againMs: NOW_MS + 60 * MINUTE_MS };
  expect(conclude(message(), [waits], CONTEXT)).toEqual(release);
  expect(conclude({ ...message(), expiresAtMs: NOW_MS + 90_000 }, [waits], CONTEXT)).toEqual({
    ...release,
    againMs: NOW_MS + 90_000,
  });
  // A route that is out knows when it is worth another look, and then the limit is asked again.
  expect(conclude(message(), [waits, skipped(1, 7_000)], CONTEXT)).toEqual({
    kind: "release",
    againMs: NOW_MS + 7_000,
  });
});

test("who waits for a limit while others were tried waits by its name, unless somebody was deferred", () => {
  const waits = leg(2, { kind: "skipped", againMs: NOW_MS + 5_000, throttle: "route:a=60/m" });
  expect(settlementOf([attempted(0, "sent"), waits])).toMatchObject({
    ...{ throttle: "route:a=60/m", next: 60 * MINUTE_MS, givesAttemptBack: true },
  });
  const deferred = settlementOf([attempted(0, "deferred"), waits]);
  expect(deferred).not.toHaveProperty("throttle");
  expect(deferred.next).toBe(MINUTE_MS);
});

const paused = (position: number, throttle = "paused:stream=bulk") =>
  leg(position, { kind: "skipped", againMs: Infinity, throttle });

test("a message that is paused waits by the name of the pause until it expires, however long that is", () => {
  const release = { kind: "release" as const, throttle: "paused:stream=bulk", againMs: NOW_MS + RULES.maxAgeMs };
  expect(conclude(message(), [paused(0), paused(1)], CONTEXT)).toEqual(release);
  expect(conclude({ ...message(), expiresAtMs: NOW_MS + 90_000 }, [paused(0)], CONTEXT)).toEqual({
    ...release,
    againMs: NOW_MS + 90_000,
  });
});

test("who waits for several pauses waits for the first of them that ends; who waits for a limit or a route too, for that", () => {
  const two = conclude(
    message(),
    [paused(0, "paused:domain=b.example"), paused(1, "paused:domain=a.example")],
    CONTEXT,
  );
  expect(two).toMatchObject({ throttle: "paused:domain=a.example,domain=b.example" });
  const limited = leg(1, { kind: "skipped", againMs: NOW_MS + 5_000, throttle: "60/m" });
  expect(conclude(message(), [paused(0), limited], CONTEXT)).toMatchObject({
    throttle: "60/m",
    againMs: NOW_MS + 60 * MINUTE_MS,
  });
  expect(conclude(message(), [paused(0), skipped(1, 7_000)], CONTEXT)).toEqual({
    kind: "release",
    againMs: NOW_MS + 7_000,
  });
});

test("a pause of some keeps the row of a message whose others are sent, deferred or held, and gives it a finite time", () => {
  expect(settlementOf([attempted(0, "sent"), paused(1)])).toMatchObject({
    ...{ throttle: "paused:stream=bulk", next: RULES.maxAgeMs, givesAttemptBack: true },
  });
  const deferred = settlementOf([attempted(0, "deferred"), paused(1)]);
  expect(deferred).not.toHaveProperty("throttle");
  expect(deferred.next).toBe(MINUTE_MS);
  const held = conclude({ ...message(), onUncertain: "hold" }, [attempted(0, "uncertain"), paused(1)], CONTEXT);
  expect(held).toMatchObject({ settlement: { throttle: "paused:stream=bulk", next: RULES.maxAgeMs } });
});
