import { expect, test } from "bun:test";
import type { Outcome } from "../relay/delivery/transport.ts";
import {
  type AttemptFacts,
  BACKOFF_MS,
  backoffMs,
  expiryReason,
  JITTER,
  type NextContext,
  nextState,
  UNCERTAIN_DELAY_MS,
} from "../src/policy.ts";
import { prng } from "./mime/prng.ts";

const NOW_MS = Date.UTC(2026, 10, 1);
const DAY_MS = 86_400_000;
const LONGEST_MS = Math.max(...BACKOFF_MS) * (1 + JITTER);

function outcome(kind: Outcome["kind"]): Outcome {
  return { position: 0, kind, phase: "final", blame: "recipient", reason: "Said so" };
}

function facts(changes: Partial<AttemptFacts> = {}): AttemptFacts {
  return { number: 1, ageFromMs: NOW_MS, expiresAtMs: undefined, onUncertain: undefined, ...changes };
}

function context(
  changes: Partial<NextContext["rules"]> & { readonly nowMs?: number; readonly random?: number } = {},
): NextContext {
  const { nowMs = NOW_MS, random = 0.5, ...rules } = changes;
  return { nowMs, random, rules: { maxAgeMs: 5 * DAY_MS, maxAttempts: undefined, onUncertain: "retry", ...rules } };
}

/** A thousand attempts under a thousand rules: young and old, with and without limits, at any number. */
function* cases(): Generator<readonly [AttemptFacts, NextContext]> {
  const { int } = prng(20_261_101);
  for (let count = 0; count < 1_000; count++) {
    const attempt = facts({
      number: 1 + int(30),
      ageFromMs: NOW_MS - int(7 * DAY_MS),
      expiresAtMs: int(3) === 0 ? NOW_MS - DAY_MS + int(2 * DAY_MS) : undefined,
      onUncertain: ([undefined, "retry", "hold"] as const)[int(3)],
    });
    yield [
      attempt,
      context({
        maxAgeMs: 60_000 + int(6 * DAY_MS),
        maxAttempts: int(2) === 0 ? undefined : 1 + int(20),
        onUncertain: int(2) === 0 ? "retry" : "hold",
        random: int(1_000_000) / 1_000_000,
      }),
    ];
  }
}

function endOf(attempt: AttemptFacts, { rules }: NextContext): number {
  return Math.min(attempt.expiresAtMs ?? Infinity, attempt.ageFromMs + rules.maxAgeMs);
}

test("a delay is never negative, never above the longest backoff with its jitter, and never wakes after the end", () => {
  let delays = 0;
  for (const [attempt, rules] of cases()) {
    for (const kind of ["deferred", "uncertain"] as const) {
      const next = nextState(outcome(kind), attempt, rules);
      if (next.state !== "deferred") continue;
      delays++;
      expect(next.delayMs).toBeGreaterThanOrEqual(0);
      expect(next.delayMs).toBeLessThanOrEqual(LONGEST_MS);
      expect(Number.isFinite(next.delayMs)).toBe(true);
      // A wait of less than a second is rounded up to one: the next look only says that it has expired.
      expect(NOW_MS + next.delayMs).toBeLessThanOrEqual(Math.max(endOf(attempt, rules), NOW_MS + 1_000));
    }
  }
  expect(delays).toBeGreaterThan(300);
});

test("a mail whose time, expiresAt or attempts have run out expires, and no other does", () => {
  let [expired, deferred] = [0, 0];
  for (const [attempt, rules] of cases()) {
    const next = nextState(outcome("deferred"), attempt, rules);
    const { maxAttempts } = rules.rules;
    const isOver = NOW_MS >= endOf(attempt, rules) || (maxAttempts !== undefined && attempt.number >= maxAttempts);
    expect(next.state).toBe(isOver ? "expired" : "deferred");
    if (isOver) expired++;
    else deferred++;
  }
  expect(Math.min(expired, deferred)).toBeGreaterThan(100);
});

test("uncertain waits at least five minutes, unless the end comes first", () => {
  let seen = 0;
  for (const [attempt, rules] of cases()) {
    const next = nextState(outcome("uncertain"), attempt, rules);
    if (next.state !== "deferred") continue;
    seen++;
    const untilEnd = Math.max(endOf(attempt, rules) - NOW_MS, 1_000);
    expect(next.delayMs).toBeGreaterThanOrEqual(Math.min(UNCERTAIN_DELAY_MS, untilEnd));
  }
  expect(seen).toBeGreaterThan(100);
  expect(UNCERTAIN_DELAY_MS).toBe(5 * 60_000);
});

test("uncertain is held exactly when the message says hold, or says nothing and the rules say hold", () => {
  for (const [attempt, rules] of cases()) {
    const next = nextState(outcome("uncertain"), attempt, rules);
    expect(next.state === "held").toBe((attempt.onUncertain ?? rules.rules.onUncertain) === "hold");
  }
  const held = nextState(outcome("uncertain"), facts({ onUncertain: "hold" }), context());
  expect(held).toEqual({
    state: "held",
    reason:
      "The server may have it: a person decides between mailchute settle --sent and mailchute retry --accept-duplicate",
  });
});

test("sent and bounced are final, whatever the age and the number", () => {
  for (const [attempt, rules] of cases()) {
    expect(nextState(outcome("sent"), attempt, rules)).toEqual({ state: "sent" });
    expect(nextState(outcome("bounced"), attempt, rules)).toEqual({ state: "bounced" });
  }
});

test("the backoff is 1m 5m 15m 30m 1h 2h 4h, and 4h from then on", () => {
  const minutes = [1, 2, 3, 4, 5, 6, 7, 8, 50].map((number) => backoffMs(number, 0.5) / 60_000);
  expect(minutes).toEqual([1, 5, 15, 30, 60, 120, 240, 240, 240]);
});

test("the jitter spreads each wait over 20 % to both sides, no more and no less", () => {
  const { int } = prng(7);
  for (let number = 1; number <= 10; number++) {
    const base = backoffMs(number, 0.5);
    expect(backoffMs(number, 0)).toBe(base * 0.8);
    expect(backoffMs(number, 1 - Number.EPSILON)).toBeCloseTo(base * 1.2, -1);
    const waits = Array.from({ length: 500 }, () => backoffMs(number, int(1_000_000) / 1_000_000));
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(base * 0.8);
    expect(Math.max(...waits)).toBeLessThanOrEqual(base * 1.2);
    expect(Math.max(...waits) - Math.min(...waits)).toBeGreaterThan(base * 0.3);
  }
});

test("the waits never shrink from one attempt to the next", () => {
  for (let number = 1; number < 20; number++) {
    expect(backoffMs(number + 1, 0.3)).toBeGreaterThanOrEqual(backoffMs(number, 0.3));
  }
});

test("maxAttempts: the attempt before the last is deferred, the last one expires and says how many there were", () => {
  const rules = context({ maxAttempts: 3 });
  expect(nextState(outcome("deferred"), facts({ number: 2 }), rules).state).toBe("deferred");
  expect(nextState(outcome("deferred"), facts({ number: 3 }), rules)).toEqual({
    state: "expired",
    reason: "Given up after 3 attempts (RELAY_MAX_ATTEMPTS)",
  });
  expect(nextState(outcome("deferred"), facts({ number: 4 }), rules).state).toBe("expired");
  expect(nextState(outcome("deferred"), facts({ number: 1_000 }), context()).state).toBe("deferred");
});

test("expiry: a millisecond before the end there is none, at the end there is", () => {
  const rules = context({ maxAgeMs: DAY_MS });
  const at = (nowMs: number) => ({ ...rules, nowMs });
  expect(expiryReason(facts(), at(NOW_MS + DAY_MS - 1))).toBeUndefined();
  expect(expiryReason(facts(), at(NOW_MS + DAY_MS))).toBe("It is older than RELAY_MAX_AGE");
  const limited = facts({ expiresAtMs: NOW_MS + 1_000 });
  expect(expiryReason(limited, at(NOW_MS + 999))).toBeUndefined();
  expect(expiryReason(limited, at(NOW_MS + 1_000))).toBe("Its expiresAt has passed");
});

test("a wait that reaches beyond the end wakes at the end, so that the mail expires then and not hours later", () => {
  const attempt = facts({ number: 7, ageFromMs: NOW_MS - DAY_MS });
  const next = nextState(outcome("deferred"), attempt, context({ maxAgeMs: DAY_MS + 90_000 }));
  expect(next).toEqual({ state: "deferred", delayMs: 90_000 });
});

test("a stream's waits stand in for the usual ones, the last repeats, and uncertain waits five minutes all the same", () => {
  const backoffMs = [5_000, 60_000];
  const wait = (kind: Outcome["kind"], number: number) =>
    nextState(outcome(kind), facts({ number, backoffMs }), context({ random: 0.5 }));
  expect([1, 2, 3, 30].map((number) => wait("deferred", number))).toEqual(
    [5_000, 60_000, 60_000, 60_000].map((delayMs) => ({ state: "deferred", delayMs })),
  );
  expect(wait("uncertain", 1)).toEqual({ state: "deferred", delayMs: UNCERTAIN_DELAY_MS });
});
