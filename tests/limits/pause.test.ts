import { expect, test } from "bun:test";
import { describePause, pauseOf, pausesOfThrottle, throttleOfPauses } from "../../relay/limits/pause.ts";

test("a pause keeps back its stream or its domain, however the domain is written, and nothing else", () => {
  const keys = new Set(["stream=bulk", "domain=xn--mnchen-3ya.example"]);
  const of = (stream: string | null, to: string) => pauseOf({ app: "shop", stream, batch: null, to }, keys);
  expect(of("bulk", "ann@example.com")).toBe("stream=bulk");
  expect(of("bulk2", "ann@example.com")).toBeUndefined();
  expect(of(null, "ann@example.com")).toBeUndefined();
  expect(of(null, "ann@MÜNCHEN.example")).toBe("domain=xn--mnchen-3ya.example");
  expect(of(null, "ann@a.xn--mnchen-3ya.example")).toBeUndefined();
  const batch = "018f0000-0000-7000-8000-000000000001";
  expect(pauseOf({ app: "shop", stream: null, batch, to: "ann@example.com" }, new Set([`batch=${batch}`]))).toBe(
    `batch=${batch}`,
  );
  expect(pauseOf({ app: "shop", stream: null, batch: null, to: "ann@example.com" }, new Set(["batch=null"])))
    .toBeUndefined();
  // A mail of no stream is in none that is called so.
  expect(pauseOf({ app: "shop", stream: null, batch: null, to: "ann@example.com" }, new Set(["stream=null"]))).toBe(
    undefined,
  );
});

test("the pause of an app keeps back its mail to whomever, and no other app's", () => {
  const keys = new Set(["app=shop", "domain=example.com"]);
  const of = (app: string, to: string) => pauseOf({ app, stream: null, batch: null, to }, keys);
  expect(of("shop", "ann@example.net")).toBe("app=shop");
  expect(of("Shop", "ann@example.net")).toBeUndefined();
  expect(of("Shop", "ann@example.com")).toBe("domain=example.com");
});

test("the pause of all mail comes before every other, and without pauses nothing is kept back", () => {
  expect(pauseOf({ app: "shop", stream: "bulk", batch: null, to: "a@b.example" }, new Set(["stream=bulk", "all"])))
    .toBe("all");
  expect(pauseOf({ app: "shop", stream: "bulk", batch: null, to: "a@b.example" }, new Set())).toBeUndefined();
});

test("the throttle of pauses names each once, in order, and is told from that of a limit", () => {
  const throttle = throttleOfPauses(["domain=b.example", "domain=a.example", "domain=b.example"]);
  expect(throttle).toBe("paused:domain=a.example,domain=b.example");
  expect(pausesOfThrottle(throttle)).toEqual(["domain=a.example", "domain=b.example"]);
  for (const limit of ["60/m", "domain:paused.example=60/m", "stream:paused=1/s"]) {
    expect(pausesOfThrottle(limit)).toBeUndefined();
  }
});

test("the throttle of very many pauses still fits into an index", () => {
  const keys = Array.from({ length: 500 }, (_, index) => `domain=${"d".repeat(60)}${index}.example`);
  const throttle = throttleOfPauses(keys);
  expect(throttle.length).toBeLessThan(1_100);
  const named = pausesOfThrottle(throttle) ?? [];
  expect(named.length).toBeGreaterThan(5);
  expect(named.every((key) => keys.includes(key))).toBe(true);
});

test("people read what is paused", () => {
  expect(["all", "app=shop", "stream=bulk", "batch=42", "domain=example.com"].map(describePause)).toEqual([
    "all mail",
    "app shop",
    "stream bulk",
    "batch 42",
    "mail to example.com",
  ]);
});
