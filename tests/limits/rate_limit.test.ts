import { expect, test } from "bun:test";
import { formatLimit, parseLimit, RateLimits } from "../../relay/limits/rate_limit.ts";
import { parseRates } from "../../relay/settings/rates.ts";

const ROUTES = new Map([["internal", "SMTP_URL_INTERNAL"], ["provider", "SMTP_URL_PROVIDER"]]);

function limits(written: string): RateLimits {
  return new RateLimits(parseRates(written, ROUTES));
}

function keys(written: string, route: string, ...emails: readonly string[]): readonly (readonly [string, number])[] {
  return limits(written).chargesOf({ route, stream: null, recipients: emails.map((email) => ({ email })) })
    .map(({ key, cost }) => [key, cost]);
}

test("a mail counts once for its stream, however many recipients it has, and a mail of none or of another for none", () => {
  const its = limits("60/m, stream:bulk=600/m, stream:news=1/s");
  const keysOf = (stream: string | null) =>
    its.chargesOf({ route: "internal", stream, recipients: [{ email: "a@b.example" }, { email: "c@d.example" }] })
      .map(({ key, cost }) => [key, cost]);
  expect(keysOf("bulk")).toEqual([["60/m", 1], ["stream:bulk=600/m", 1]]);
  expect(keysOf("bulk2")).toEqual([["60/m", 1]]);
  expect(keysOf(null)).toEqual([["60/m", 1]]);
  expect(its.limitOf("stream:bulk=600/m")).toEqual({ count: 600, periodMs: 60_000 });
  expect(its.limitOf("stream:bulk=60/m")).toBeUndefined();
  expect(its.gates(["internal"]).map(({ key }) => key)).toEqual(["60/m"]);
});

test("a limit is written as it is read, in the shortest way", () => {
  for (const text of ["1/s", "60/m", "2000/h", "50000/d", "10/6s", "7/90s"]) {
    expect(formatLimit(parseLimit(text) ?? { count: 0, periodMs: 0 })).toBe(text);
  }
  expect(formatLimit(parseLimit("60/60s") ?? { count: 0, periodMs: 0 })).toBe("60/m");
  expect(parseLimit("60/1d")).toEqual({ count: 60, periodMs: 86_400_000 });
  for (
    const text of [
      "",
      "60",
      "/m",
      "0/m",
      "-1/m",
      "1.5/m",
      "60/M",
      "60/min",
      "60/0s",
      "60/999ms",
      "60/25h",
      "60/2d",
      "1e3/m",
      "60 / m",
    ]
  ) {
    expect({ text, limit: parseLimit(text) }).toEqual({ text, limit: undefined });
  }
});

test("a mail counts once for all mail and for its route, and for a domain once for each recipient there", () => {
  const written = "60/m, 2000/h, route:internal=30/m, domain:gmail.com=100/m, domain:*=300/m";
  expect(keys(written, "provider", "a@GMAIL.com", "b@gmail.com", "c@example.org")).toEqual([
    ["60/m", 1],
    ["2000/h", 1],
    ["domain:gmail.com=100/m", 2],
    ["domain:example.org=300/m", 1],
  ]);
  expect(keys(written, "internal", "a@example.org")).toEqual([
    ["60/m", 1],
    ["2000/h", 1],
    ["route:internal=30/m", 1],
    ["domain:example.org=300/m", 1],
  ]);
  // One name, however it is written.
  expect(keys("domain:MÜNCHEN.example=1/s", "internal", "a@xn--mnchen-3ya.example")).toEqual([
    ["domain:xn--mnchen-3ya.example=1/s", 1],
  ]);
  expect(keys("route:internal=30/m", "provider", "a@example.org")).toEqual([]);
});

test("only what concerns every mail is a gate", () => {
  const both = limits("60/m, route:internal=30/m, domain:*=300/m");
  expect(both.gates(["internal", "provider"]).map(({ key }) => key)).toEqual(["60/m"]);
  expect(both.gates(["internal"]).map(({ key }) => key)).toEqual(["60/m", "route:internal=30/m"]);
});

test("the limit behind a key is found, and a key of other settings has none", () => {
  const its = limits("60/m, domain:gmail.com=100/m, domain:*=300/m, domain:*=9000/h");
  expect(its.limitOf("60/m")).toEqual({ count: 60, periodMs: 60_000 });
  expect(its.limitOf("domain:gmail.com=100/m")).toEqual({ count: 100, periodMs: 60_000 });
  expect(its.limitOf("domain:example.org=300/m")).toEqual({ count: 300, periodMs: 60_000 });
  expect(its.limitOf("domain:example.org=9000/h")).toEqual({ count: 9_000, periodMs: 3_600_000 });
  for (
    const key of ["61/m", "domain:gmail.com=300/m", "domain:example.org=100/m", "route:internal=60/m", "all=60/m", ""]
  ) {
    expect({ key, limit: its.limitOf(key) }).toEqual({ key, limit: undefined });
  }
});
