import { expect, test } from "bun:test";
import type { Leg } from "../../relay/delivery/holdings.ts";
import { Breaker } from "../../relay/routes/breaker.ts";
import { RouteLine } from "../../relay/routes/route_line.ts";
import { createSmtpTransport } from "../../relay/smtp/smtp.ts";
import { message, recipient } from "../claimed_message.ts";

/** A line of a route that nobody has sent anything by yet, and the time that it goes by. */
function lineAt(startMs: number, options: { readonly isOnly?: boolean } = {}) {
  const time = { nowMs: startMs };
  const breaker = new Breaker(() => 0.5);
  const line = new RouteLine({
    route: {
      ...{ name: "internal", variable: "SMTP_URL_INTERNAL", connections: 4, breaker },
      transport: createSmtpTransport({ host: "127.0.0.1", port: 1, tls: "none", ehloName: "relay.test" }),
    },
    isOnly: options.isOnly ?? false,
    clock: { now: () => time.nowMs, after: () => () => {} },
    work: () => Promise.resolve(),
    onIdle: () => {},
  });
  return { line, breaker, time };
}

/** The most times within a quarter of a second. */
function densest(times: readonly number[]): number {
  const sorted = [...times].sort((a, b) => a - b);
  let first = 0;
  return sorted.reduce((most, atMs, last) => {
    while ((sorted[first] as number) <= atMs - 250) first++;
    return Math.max(most, last - first + 1);
  }, 0);
}

for (const stepMs of [0, 0.01, 1, 40]) {
  test(`mail for a full route comes back 500 in a quarter of a second, though ${stepMs} ms pass between two`, () => {
    const { line, time } = lineAt(1_000);
    const times = Array.from({ length: 5_000 }, () => {
      time.nowMs += stepMs;
      const againMs = line.fullAgainMs();
      expect(againMs - time.nowMs).toBeGreaterThanOrEqual(250);
      return againMs;
    });
    expect(densest(times)).toBeLessThanOrEqual(500);
    // And no later than that asks for.
    expect(Math.max(...times)).toBeLessThanOrEqual(Math.max(time.nowMs, 1_000 + 10 * 250) + 500);
  });
}

test("mail for a route that is out comes back from its probe on, in groups, and what failed behind the first of them", () => {
  const { line, breaker } = lineAt(1_000);
  const [, , failed] = ["a", "b", "c"].map((id) => breaker.failed(id, { code: "connect_refused" }, 1_000).retryAtMs);
  expect(failed).toBe(2_000);
  const times = Array.from({ length: 1_200 }, () => line.outAgainMs());
  expect(Math.min(...times)).toBe(2_000);
  expect(Math.max(...times)).toBe(2_500);
  expect(densest(times)).toBeLessThanOrEqual(500);
  const { line: other, breaker: its } = lineAt(1_000);
  for (const id of ["a", "b", "c"]) its.failed(id, { code: "connect_refused" }, 1_000);
  const first = other.outAgainMs();
  expect(other.failedAgainMs(2_000)).toBeGreaterThan(first);
});

test("while the probe is under way, mail stays away for about as long as the wait that follows", () => {
  const { line, breaker, time } = lineAt(1_000);
  for (const id of ["a", "b", "c"]) breaker.failed(id, { code: "connect_refused" }, 1_000);
  time.nowMs = 2_000;
  breaker.started("d", 2_000);
  expect(line.isOut).toBe(true);
  expect(line.outAgainMs()).toBe(3_000);
});

test("the only route keeps its mail until the probe and no longer: nothing is claimed before", () => {
  const { line, breaker, time } = lineAt(1_000, { isOnly: true });
  for (const id of ["a", "b", "c"]) breaker.failed(id, { code: "connect_refused" }, 1_000);
  expect([line.outAgainMs(), line.failedAgainMs(2_000), line.probedAgainMs()]).toEqual([2_000, 2_000, 2_000]);
  time.nowMs = 2_500;
  expect(line.outAgainMs()).toBe(2_500);
});

test("fewer mails are held while they have many recipients, and as many as ever when the next ones have one", () => {
  const { line } = lineAt(1_000);
  const usual = line.room().free;
  /** Takes mails in, and sees them off at once. */
  const pass = (mails: number, recipients: number) => {
    for (let count = 0; count < mails; count++) {
      const leg: Leg = {
        holding: {
          message: message(),
          lease: "2",
          leaseEndsMs: 60_000,
          started: false,
          isGivenBack: false,
          hasEnded: false,
          again: undefined,
          legs: [],
        },
        recipients: Array.from({ length: recipients }, (_, position) => recipient(position)),
        ...{ routes: ["internal"], line: undefined, againMs: 0, result: undefined },
      };
      line.push(leg);
      line.leave(leg);
    }
  };
  pass(50, 500);
  // 10,000 recipients, for 4 connections.
  expect(line.room().free).toBeLessThanOrEqual(22);
  expect(line.room().free).toBeGreaterThanOrEqual(12);
  pass(50, 5_000);
  expect(line.room().free).toBe(12);
  pass(100, 1);
  expect(line.room().free).toBe(usual);
});
