import { expect, test } from "bun:test";
import { readSettings } from "../../relay/config.ts";
import { lasts, leaseNotice, RENEWALS_PER_LEASE, statementLimitMs } from "../../relay/queue/lease.ts";

test("a mail is begun and ended on a lease that has more than a quarter left, and on no other", () => {
  const at = (leftMs: number) => lasts({ leaseEndsMs: 1_000_000 + leftMs }, { nowMs: 1_000_000, leaseMs: 120_000 });
  expect([30_001, 30_000, 1, 0, -1].map(at)).toEqual([true, false, false, false, false]);
});

test("with every lease that brings no notice, the relay may miss two renewals, wait for the third as long as it may, and go on", () => {
  for (let leaseMs = 1_000; leaseMs <= 3_600_000; leaseMs += 500) {
    const isSound = 2 * leaseMs / RENEWALS_PER_LEASE + statementLimitMs(leaseMs) <= leaseMs * 3 / 4;
    expect({ leaseMs, isSound }).toEqual({ leaseMs, isSound: leaseNotice(leaseMs) === undefined });
  }
});

test("a start with a lease that is too short says so, with the numbers and the fix", () => {
  const noticesOf = (lease: string) =>
    readSettings(
      { DATABASE_URL: "postgres://h/d", SMTP_URL: "smtp://h", RELAY_LEASE: lease },
      () => "",
      { terminal: false },
    ).notices;
  expect(noticesOf("8s")).toEqual([]);
  expect(noticesOf("2m")).toEqual([]);
  const [notice = "", ...more] = noticesOf("3s");
  expect(more).toEqual([]);
  for (const part of ["RELAY_LEASE=3s", "every 750 ms", "2000 ms", "8s or more"]) expect(notice).toContain(part);
});
