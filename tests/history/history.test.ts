import { expect, test } from "bun:test";
import { thoroughly } from "../thoroughly.ts";
import { runHistory } from "./run_history.ts";
import { rollingRestart } from "./scenarios.ts";
import { summarise, tellRun } from "./tell.ts";

// Not a word of this is mocked: relays and apps are processes, Postgres is a Postgres. What fails prints its seed; `npm
// run soak -- history --seed N --seconds 15` is the way to more of it.

const SEEDS = thoroughly ? [1, 2] : [1];
const LASTS_MS = thoroughly ? 15_000 : 4_000;
const CAMPAIGN = thoroughly ? 3_000 : 1_500;

for (const seed of SEEDS) {
  test(
    `nothing is lost, sent though rolled back, or sent twice for no reason while everything goes wrong (seed ${seed})`,
    async () => {
      const run = await runHistory({ seed, lastsMs: LASTS_MS });
      console.log(`  ${summarise(run)}`);
      if (run.verdict.findings.length > 0) throw new Error(tellRun(run));
      // The run was one: mails came through, and not all at the first try.
      expect(run.verdict.committed).toBeGreaterThan(200);
      expect(run.verdict.rolledBack).toBeGreaterThan(0);
      expect(run.verdict.lookedUp).toBeGreaterThan(0);
      expect(run.verdict.recorded).toBeGreaterThan(0);
    },
    120_000,
  );
}

test("a rolling restart of two relays in the middle of a campaign sends no mail twice", async () => {
  const { run, copiesTooMany } = await rollingRestart({
    mails: CAMPAIGN,
    restarts: 3,
    everyMs: thoroughly ? 500 : 250,
  });
  if (run.verdict.findings.length > 0) throw new Error(tellRun(run));
  expect(run.verdict.states).toEqual({ sent: CAMPAIGN });
  expect(copiesTooMany).toBe(0);
}, 120_000);
