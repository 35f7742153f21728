import { readPauses } from "../limits/pause_table.ts";
import { describePause, type Pause, resumeOf } from "../limits/pause.ts";
import type { DatabaseUnderTest } from "./database.ts";
import { type Finding, inDatabase, ok, warn } from "./finding.ts";

/** Whether somebody has paused something, and forgotten it perhaps. */
export async function checkPauses({ sql, database }: DatabaseUnderTest): Promise<readonly Finding[]> {
  const pauses = await readPauses(sql);
  // Relays read those of their home database, and no others.
  const isHome = database.name === "home";
  if (pauses.length === 0) return isHome ? [ok("pauses", "nothing is paused")] : [];
  return pauses.map((pause) =>
    warn(
      "pauses",
      `${describePause(pause.key)} is paused ${aboutPause(pause)}${
        isHome ? "" : ", by relays whose home this database is, and no others"
      }`,
      `when it may go out: mailchute ${resumeOf(pause.key)}${inDatabase(database)}`,
    )
  );
}

function aboutPause({ since, by, reason }: Pause): string {
  return `since ${since.toISOString()} by ${by}${reason === undefined ? "" : ` (${reason})`}`;
}
