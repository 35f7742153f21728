import type { DatabaseUnderTest } from "./database.ts";
import { fail, type Finding, ok, warn } from "./finding.ts";

const VERSION = `
select current_setting('server_version_num')::int / 10000 as major, current_setting('server_version') as text,
  current_setting('server_encoding') as encoding`;

/** The majors that the tests run on. */
const OLDEST_MAJOR = 14;
const NEWEST_MAJOR = 18;

/** Whether this Postgres is one that we know, and the database takes every character. */
export async function checkServerVersion({ sql }: DatabaseUnderTest): Promise<readonly Finding[]> {
  const [row] = await sql.unsafe(VERSION);
  const version = findingOfVersion(row?.major as number, row?.text as string);
  if (row?.encoding === "UTF8") return [version];
  const fix = "use a database with the encoding UTF8: pg_dump this one, and restore it into one that has it";
  return [version, fail("postgres", `the encoding ${row?.encoding}, which lacks characters that mails have`, fix)];
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
