import { expect, test } from "bun:test";
import { Breaker, BREAKER_RULES } from "../../relay/routes/breaker.ts";

const REFUSED = { code: "connect_refused" };
const middle = (): number => 0.5;

function openBreaker(random: () => number = middle): Breaker {
  const breaker = new Breaker(random);
  for (const id of ["a", "b", "c"]) breaker.failed(id, REFUSED, 0);
  return breaker;
}

test("a new breaker limits nothing", () => {
  expect(new Breaker(middle).allowance(0)).toEqual({ limit: Infinity });
});

test("the breaker opens when exactly three different mails have failed in a row", () => {
  const breaker = new Breaker(middle);
  breaker.failed("a", REFUSED, 0);
  breaker.failed("b", REFUSED, 0);
  expect(breaker.allowance(0).limit).toBe(Infinity);
  breaker.failed("c", REFUSED, 0);
  expect(breaker.allowance(0)).toEqual({ limit: 0, retryAtMs: 1_000 });
});

test("one mail alone never opens the breaker, however often it fails, but waits ever longer itself", () => {
  const breaker = new Breaker(middle);
  const waits = Array.from({ length: 10 }, () => breaker.failed("a", REFUSED, 0).retryAtMs);
  expect(breaker.allowance(0).limit).toBe(Infinity);
  expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000, 60_000]);
});

test("a success between failures starts the count anew", () => {
  const breaker = new Breaker(middle);
  for (const id of ["a", "b", "c", "d", "e", "f"]) {
    breaker.failed(id, REFUSED, 0);
    if (id === "b" || id === "d") breaker.succeeded(0);
  }
  expect(breaker.allowance(0).limit).toBe(Infinity);
});

test.each([
  "auth_rejected",
  "auth_required",
  "auth_unavailable",
  "tls_required",
  "tls_verify",
  "tls_injection",
  "greeting_refused",
])(
  "%s opens the breaker with the first mail",
  (code) => {
    const breaker = new Breaker(middle);
    expect(breaker.failed("a", { code }, 5_000)).toEqual({ retryAtMs: 6_000, wentOut: true, isFirst: true });
    expect(breaker.allowance(5_000).limit).toBe(0);
  },
);

test("half-open lets exactly one probe through", () => {
  const breaker = openBreaker();
  expect(breaker.allowance(999)).toEqual({ limit: 0, retryAtMs: 1_000 });
  expect(breaker.allowance(1_000)).toEqual({ limit: 1 });
  expect(breaker.allowance(1_000)).toEqual({ limit: 1 });
  breaker.started("d", 1_000);
  expect(breaker.allowance(1_000)).toEqual({ limit: 0 });
});

test("a probe that succeeds closes the breaker and forgets the delays", () => {
  const breaker = openBreaker();
  breaker.started("d", 1_000);
  breaker.succeeded(0);
  expect(breaker.allowance(1_000)).toEqual({ limit: Infinity });
  for (const id of ["a", "b", "c"]) breaker.failed(id, REFUSED, 2_000);
  expect(breaker.allowance(2_000)).toEqual({ limit: 0, retryAtMs: 3_000 });
});

test("a probe that fails doubles the delay", () => {
  const breaker = openBreaker();
  breaker.started("d", 1_000);
  expect(breaker.failed("d", REFUSED, 1_000)).toEqual({ retryAtMs: 3_000, wentOut: false, isFirst: false });
  breaker.started("e", 3_000);
  expect(breaker.failed("e", REFUSED, 3_000)).toEqual({ retryAtMs: 7_000, wentOut: false, isFirst: false });
});

test("mails that were under way when the breaker opened do not lengthen the delay", () => {
  const breaker = openBreaker();
  for (const id of ["d", "e", "f"]) {
    expect(breaker.failed(id, REFUSED, 10)).toEqual({ retryAtMs: 1_000, wentOut: false, isFirst: false });
  }
  expect(breaker.allowance(1_000)).toEqual({ limit: 1 });
  // Nor do they end the probe.
  breaker.started("g", 1_000);
  expect(breaker.failed("f", REFUSED, 1_500).retryAtMs).toBe(1_500);
  expect(breaker.allowance(1_500)).toEqual({ limit: 0 });
  expect(breaker.failed("g", REFUSED, 1_500).retryAtMs).toBe(3_500);
});

test("a probe that was given back lets another one go", () => {
  const breaker = openBreaker();
  breaker.started("d", 1_000);
  breaker.released("d");
  expect(breaker.allowance(1_000)).toEqual({ limit: 1 });
  breaker.started("e", 1_000);
  breaker.failed("e", { code: "aborted" }, 1_000);
  expect(breaker.allowance(1_000)).toEqual({ limit: 1 });
});

test("a clock that is set back while the breaker is open keeps it open no longer than its longest delay", () => {
  const hourMs = 3_600_000;
  const breaker = new Breaker(middle);
  for (const id of ["a", "b", "c"]) breaker.failed(id, REFUSED, hourMs);
  expect(breaker.allowance(hourMs)).toEqual({ limit: 0, retryAtMs: hourMs + 1_000 });
  const { retryAtMs = 0 } = breaker.allowance(0);
  expect(retryAtMs).toBeLessThanOrEqual(BREAKER_RULES.maxDelayMs * (1 + BREAKER_RULES.jitter));
  expect(breaker.allowance(retryAtMs).limit).toBe(1);
});

test("the first failure since it worked is news, and no other", () => {
  const breaker = new Breaker(middle);
  const isFirst = (id: string) => breaker.failed(id, REFUSED, 0).isFirst;
  expect(["a", "a", "b", "c", "d"].map(isFirst)).toEqual([true, false, false, false, false]);
  breaker.succeeded(0);
  expect(["a", "b"].map(isFirst)).toEqual([true, false]);
});

test("it goes out once for each outage, and the end of one tells how long it was", () => {
  const breaker = new Breaker(middle);
  const wentOut = (id: string, nowMs: number) => breaker.failed(id, REFUSED, nowMs).wentOut;
  expect(["a", "b", "c", "d"].map((id) => wentOut(id, 100))).toEqual([false, false, true, false]);
  breaker.started("d", 1_100);
  expect(wentOut("d", 1_100)).toBe(false);
  breaker.started("e", 3_100);
  expect(breaker.succeeded(3_200)).toBe(3_100);
  expect(breaker.succeeded(3_300)).toBeUndefined();
  // One mail alone does not open it, but whoever waits for that mail has to know.
  expect(["a", "a", "a", "a"].map((id) => wentOut(id, 4_000))).toEqual([false, false, true, false]);
  expect([breaker.stateAt(4_000), breaker.allowance(4_000).limit]).toEqual(["half-open", Infinity]);
  expect([breaker.succeeded(5_000), breaker.stateAt(5_000)]).toEqual([1_000, "closed"]);
});

test("property: every delay stays within its jitter, and doubles up to the maximum", () => {
  const { firstDelayMs, maxDelayMs, jitter } = BREAKER_RULES;
  for (let seed = 1; seed <= 200; seed++) {
    const random = randomFrom(seed);
    const breaker = openBreaker(random);
    let nowMs = 0;
    for (let opening = 0; opening < 30; opening++) {
      const { retryAtMs = Infinity } = breaker.allowance(nowMs);
      const base = Math.min(maxDelayMs, firstDelayMs * 2 ** opening);
      expect(retryAtMs - nowMs).toBeGreaterThanOrEqual(base * (1 - jitter));
      expect(retryAtMs - nowMs).toBeLessThanOrEqual(base * (1 + jitter));
      nowMs = retryAtMs;
      breaker.started("probe", nowMs);
      breaker.failed("probe", REFUSED, nowMs);
    }
  }
});

test("property: jitter uses its whole range", () => {
  expect(openBreaker(() => 0).allowance(0).retryAtMs).toBe(800);
  expect(openBreaker(() => 0.999_999).allowance(0).retryAtMs).toBe(1_200);
});

/** A small generator (mulberry32), so that a failure can be repeated. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
