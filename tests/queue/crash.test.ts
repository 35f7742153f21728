import { expect, test } from "bun:test";
import { aftermath, aloneMs } from "../../relay/queue/crash.ts";
import { conclude } from "../../relay/queue/settlement.ts";
import { message, NOW_MS } from "../claimed_message.ts";

const RULES = { maxAgeMs: 86_400_000, maxAttempts: undefined, onUncertain: "retry" } as const;
const CONTEXT = { rules: RULES, nowMs: NOW_MS, aheadMs: 0, random: () => 0.5 };

/** What the journal says of a mail: its first recipient is uncertain, and the others had not been begun. */
function knownOf(claimed: ReturnType<typeof message>) {
  const [first, ...others] = claimed.recipients.filter(({ open }) => open);
  if (first === undefined) throw new Error("It has nobody");
  const outcome = { position: 0, kind: "uncertain", phase: "final", blame: "network", reason: "said so" } as const;
  return conclude(claimed, [
    { recipients: [first], result: { kind: "attempted", route: "default", outcomes: [outcome] } },
    { recipients: others, result: { kind: "skipped", againMs: NOW_MS } },
  ], CONTEXT);
}

test("a crash counts for what was in flight, whether the journal knows something of it or not, and for nothing else", () => {
  const claimed = { ...message(), crashes: 1 };
  const conclusion = knownOf(claimed);
  expect(aftermath(claimed, { conclusion, wasInFlight: true })).toMatchObject({ settlement: { crashes: 2 } });
  expect(aftermath(claimed, { conclusion, wasInFlight: false })).toBe(conclusion);
  const release = { kind: "release", againMs: NOW_MS } as const;
  expect(aftermath(claimed, { conclusion: release, wasInFlight: true })).toMatchObject({ kind: "release", crashes: 2 });
});

test("of a mail that was alone those fail who would be tried again, and who waits for a person keeps the row", () => {
  for (const [held, next] of [[false, undefined], [true, "held"]] as const) {
    const claimed = { ...message(1, held), crashes: 3, wasAlone: true };
    const ended = aftermath(claimed, { conclusion: knownOf(claimed), wasInFlight: true });
    if (ended.kind !== "settle") throw new Error("It is given back");
    const open = claimed.recipients.filter((each) => each.open);
    expect(ended.settlement.recipients.map(({ state }) => state)).toEqual(open.map(() => "failed"));
    expect(ended.settlement.recipients[0]?.reason).toContain("4 times in a row");
    expect(ended.settlement.next).toBe(next);
    expect(ended.settlement.outcomes).toMatchObject([{ position: 0, kind: "uncertain" }]);
  }
});

test("a mail keeps the others waiting for a minute, then for twice as long at each crash, and never for more than half an hour", () => {
  const minutes = [3, 4, 5, 6, 7, 8, 100].map((crashes) => aloneMs({ crashes }) / 60_000);
  expect(minutes).toEqual([1, 2, 4, 8, 16, 30, 30]);
});
