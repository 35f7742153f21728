import { expect, test } from "bun:test";
import type { Outcome } from "../../relay/delivery/transport.ts";
import { formatBounceRules, parseBounceRules } from "../../relay/settings/bounces.ts";
import { bounceOf } from "../../relay/smtp/bounce.ts";

const DAY_MS = 86_400_000;

test("rules are read as they are written, and written as they are read", () => {
  expect(parseBounceRules("ignore")).toBeUndefined();
  expect(parseBounceRules("hard=suppress")).toEqual({ hard: { forMs: undefined }, soft: undefined });
  const both = "hard=suppress for 90d, soft=suppress after 5 in 7d for 30d";
  expect(parseBounceRules(both)).toEqual({
    hard: { forMs: 90 * DAY_MS },
    soft: { after: 5, withinMs: 7 * DAY_MS, forMs: 30 * DAY_MS },
  });
  for (const text of [both, "hard=suppress", "soft=suppress after 2 in 12h"]) {
    expect(formatBounceRules(parseBounceRules(text) as NonNullable<ReturnType<typeof parseBounceRules>>)).toBe(text);
  }
});

test("what would count wrongly, or nothing, is refused with what to write", () => {
  const wrong: Record<string, string> = {
    "suppress-hard": '"suppress-hard" is no rule; write ignore, or hard=suppress, soft=suppress after 5 in 7d for 30d',
    "hard=suppress after 3 in 7d": "of which the first says it all",
    "soft=suppress": "does not say after how many",
    "soft=suppress after 1 in 7d": "at least 2",
    "soft=suppress after 5 in 91d": "write at most 90d",
    "soft=suppress after 5 in 7": '"7" in "soft=suppress after 5 in 7" is no duration',
    "hard=suppress, hard=suppress for 3d": "it has two rules for hard",
    "hard=suppress, ignore": '"ignore" is no rule',
  };
  for (const [text, words] of Object.entries(wrong)) expect(() => parseBounceRules(text)).toThrow(words);
});

function said(kind: Outcome["kind"], code: number, enhanced?: string, rest: Partial<Outcome> = {}) {
  const reply = { code, text: "no", ...(enhanced === undefined ? {} : { enhanced }) };
  return bounceOf({ position: 0, kind, phase: "rcpt", blame: "recipient", reason: "no", reply, ...rest });
}

test("only a reply that there is no such mailbox is hard, and only what the mailbox itself says is soft", () => {
  for (const enhanced of ["5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10"]) {
    expect(said("bounced", 550, enhanced)).toBe("hard");
  }
  for (const enhanced of ["5.2.0", "5.2.1", "5.2.2", undefined]) expect(said("bounced", 550, enhanced)).toBe("soft");
  expect(said("deferred", 450, "4.1.1")).toBe("soft");
  expect(said("deferred", 452, "4.2.2")).toBe("soft");
  for (const enhanced of ["5.0.0", "5.1.7", "5.1.8", "5.3.0", "5.4.4", "5.5.3", "5.6.0", "5.7.0", "5.7.1", "5.7.26"]) {
    expect(said("bounced", 550, enhanced)).toBeUndefined();
  }
  // A greylist says no more than this, and neither does a server in trouble.
  for (const code of [450, 451, 452]) expect(said("deferred", code)).toBeUndefined();
  expect(said("deferred", 450, "4.7.1")).toBeUndefined();
  expect(said("bounced", 554)).toBeUndefined();
  expect(said("bounced", 550, "5.1.1", { blame: "sender", phase: "mail" })).toBeUndefined();
  expect(said("bounced", 550, "5.1.1", { blame: "message", phase: "final" })).toBeUndefined();
  expect(said("uncertain", 550, "5.1.1")).toBeUndefined();
  expect(said("sent", 250, "2.1.5")).toBeUndefined();
});
