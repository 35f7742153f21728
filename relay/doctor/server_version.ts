import type { DatabaseUnderTest } from "./database.ts";
import { fail, type Finding, ok, warn } from "./finding.ts";

const VERSION =
  "select current_setting('server_version_num')::int / 10000 as major, current_setting('server_version') as text";

/** The majors that the tests run on. */
const OLDEST_MAJOR = 14;
const NEWEST_MAJOR = 18;

/** Whether this Postgres is one that we know. */
export async function checkServerVersion({ sql }: DatabaseUnderTest): Promise<readonly Finding[]> {
  const [row] = await sql.unsafe(VERSION);
  return [findingOfVersion(row?.major as number, row?.text as string)];
}

/** Judges a major version. */
export function findingOfVersion(major: number, text: string): Finding {
  if (major < OLDEST_MAJOR) {
    return fail("postgres", `version ${text}`, `update the server: version ${OLDEST_MAJOR} is the oldest that works`);
  }
  if (major > NEWEST_MAJOR) {
    return warn(
      "postgres",
      `version ${text}, newer than any that mailchute is tested on`,
      `look for a newer mailchute, or use version ${OLDEST_MAJOR} to ${NEWEST_MAJOR}`,
    );
  }
  return ok("postgres", `version ${text}`);
}
