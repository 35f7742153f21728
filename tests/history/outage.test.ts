import { expect, test } from "bun:test";
import { thoroughly } from "../thoroughly.ts";
import { databaseOutage } from "./outage.ts";
import { tellRun } from "./tell.ts";

const MAILS = 3_000;
/** Longer than statements wait (2 s), and than a lease lasts (5 s). */
const AWAY_MS = 7_000;

for (const kills of thoroughly ? [false, true] : [true]) {
  const what = kills ? "with a relay that is killed meanwhile" : "with the relay up all the while";
  test(
    `an outage of the database in the middle of a campaign, ${what}: nothing is lost, and nothing is sent twice`,
    async () => {
      const { run, readyz, copiesTooMany, takenWhileAway, inJournal } = await databaseOutage({
        ...{ mails: MAILS, awayMs: AWAY_MS, kills },
      });
      if (run.verdict.findings.length > 0) throw new Error(tellRun(run));
      expect(readyz).toContain("database home does not answer");
      expect(takenWhileAway).toBeGreaterThan(0);
      expect(inJournal).toBe(takenWhileAway);
      expect(run.verdict.states).toEqual({ sent: MAILS });
      expect({ copiesTooMany, uncertain: run.verdict.recorded }).toEqual({ copiesTooMany: 0, uncertain: 0 });
    },
    120_000,
  );
}
