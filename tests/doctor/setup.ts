import { checkDatabase } from "../../relay/doctor/database.ts";
import type { Finding, Level } from "../../relay/doctor/finding.ts";
import { type Clock, systemClock } from "../../relay/time/clock.ts";

/** What a test may choose of a look at a database. */
export interface LookOptions {
  readonly variable?: string;
  readonly name?: string;
  readonly pooled?: boolean;
  readonly isEmbedded?: boolean;
  readonly clock?: Clock;
}

/** Looks at a database as `doctor` does. */
export function look(url: string, options: LookOptions = {}): Promise<readonly Finding[]> {
  const { variable = "DATABASE_URL", name = "home", pooled = false, isEmbedded = false, clock = systemClock } = options;
  return checkDatabase({
    database: { name, display: "test", url, pooled },
    variable,
    isEmbedded,
    clock,
    pollMs: 5_000,
  });
}

/** The findings of one check, as `level: found → fix`. */
export function found(findings: readonly Finding[], check: string): readonly string[] {
  return findings.filter((finding) => finding.check === check).map(({ level, found, fix }) =>
    `${level}: ${found}${fix === undefined ? "" : ` → ${fix}`}`
  );
}

/** What is not well, by check and level. */
export function notWell(findings: readonly Finding[]): readonly (readonly [check: string, level: Level])[] {
  return findings.filter(({ level }) => level !== "ok").map(({ check, level }) => [check, level] as const);
}
