import type { DatabaseUnderTest } from "./database.ts";
import { fail, type Finding, ok, span, warn } from "./finding.ts";

const NOW = "select extract(epoch from clock_timestamp())::float8 * 1000 as now_ms";

const WARN_MS = 1_000;
const FAIL_MS = 120_000;

/** Whether the database's clock and ours agree: its times stand in mails, and certificates are judged by ours. */
export async function checkClock({ sql, clock }: DatabaseUnderTest): Promise<readonly Finding[]> {
  const beforeMs = clock.now();
  const [row] = await sql.unsafe(NOW);
  const afterMs = clock.now();
  // It was read somewhere between: what lies within the round trip is no difference.
  const nowMs = row?.now_ms as number;
  const aheadMs = nowMs < beforeMs ? nowMs - beforeMs : Math.max(0, nowMs - afterMs);
  return [findingOfSkew(aheadMs)];
}

/** Judges by how much the database's clock is ahead of ours. */
export function findingOfSkew(aheadMs: number): Finding {
  const found = `the database's is ${span(aheadMs)} ${aheadMs < 0 ? "behind" : "ahead of"} ours`;
  const fix = "set both machines by NTP";
  if (Math.abs(aheadMs) >= FAIL_MS) return fail("clock", found, fix);
  if (Math.abs(aheadMs) > WARN_MS) return warn("clock", found, fix);
  return ok("clock", "agrees with ours");
}
