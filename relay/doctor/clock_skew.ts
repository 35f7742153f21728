import { NOTICED_MS } from "../database/clock_watch.ts";
import { aheadMs } from "../time/clock.ts";
import type { DatabaseUnderTest } from "./database.ts";
import { fail, type Finding, ok, span, warn } from "./finding.ts";

const NOW = "select extract(epoch from clock_timestamp())::float8 * 1000 as now_ms";

const FAIL_MS = 120_000;

/** Whether the database's clock and ours agree: its times stand in mails, and certificates are judged by ours. */
export async function checkClock({ sql, clock }: DatabaseUnderTest): Promise<readonly Finding[]> {
  const beforeMs = clock.now();
  const [row] = await sql.unsafe(NOW);
  return [findingOfSkew(aheadMs({ beforeMs, nowMs: row?.now_ms as number, afterMs: clock.now() }))];
}

/** Judges by how much the database's clock is ahead of ours. */
function findingOfSkew(skewMs: number): Finding {
  const found = `the database's is ${span(skewMs)} ${skewMs < 0 ? "behind" : "ahead of"} ours`;
  const fix = "set both machines by NTP";
  if (Math.abs(skewMs) >= FAIL_MS) return fail("clock", found, fix);
  if (Math.abs(skewMs) > NOTICED_MS) return warn("clock", found, fix);
  return ok("clock", "agrees with ours");
}
