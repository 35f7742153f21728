import type { Sql } from "postgres";
import { isOfPooler } from "../database/connection_pool.ts";
import { connect, type ConnectOptions } from "../database/database.ts";
import type { Clock } from "../time/clock.ts";
import { checkApps } from "./apps.ts";
import { checkClock } from "./clock_skew.ts";
import { checkConnection } from "./connection.ts";
import { checked, type Finding, span } from "./finding.ts";
import { checkIsolation } from "./isolation.ts";
import { checkListen } from "./listen.ts";
import { checkPauses } from "./pauses.ts";
import { checkPlace } from "./place.ts";
import { checkPooler } from "./pooler.ts";
import { checkQueue } from "./queue.ts";
import { checkRelays } from "./relays.ts";
import { checkRights } from "./rights.ts";
import { checkSchema } from "./schema.ts";
import { checkServerVersion } from "./server_version.ts";

/** What every check of a database is given. */
export interface DatabaseUnderTest {
  readonly sql: Sql;
  readonly database: ConnectOptions;
  /** The setting that names it, such as `DATABASE_URL_SHOP`. */
  readonly variable: string;
  readonly clock: Clock;
  /** It runs only while the relay that owns it does. */
  readonly isEmbedded: boolean;
  /** `RELAY_POLL`. */
  readonly pollMs: number;
}

/** One look at a database. */
export type DatabaseCheck = (test: DatabaseUnderTest) => Promise<readonly Finding[]>;

/** In this order; each of the second group needs the schema and the rights to read it. */
const ALWAYS: readonly (readonly [check: string, DatabaseCheck])[] = [
  ["postgres", checkServerVersion],
  ["clock", checkClock],
  ["pooler", checkPooler],
  ["isolation", checkIsolation],
  ["listen", checkListen],
];
const WITH_SCHEMA: readonly (readonly [check: string, DatabaseCheck])[] = [
  ["place", checkPlace],
  ["apps", checkApps],
  ["relays", checkRelays],
  ["pauses", checkPauses],
  ["queue", checkQueue],
];

/** A database may take a connection and then be silent for ever: frozen, or behind somebody's lock. */
const PATIENCE_MS = 20_000;

/** Looks at one database; changes nothing in it. */
export async function checkDatabase(options: Omit<DatabaseUnderTest, "sql">): Promise<readonly Finding[]> {
  let sql = connect({ ...options.database, pinned: options.database.pooled ? undefined : "all" });
  const connection: DatabaseCheck = async (test) => {
    try {
      return await checkConnection(test);
    } catch (error) {
      if (!isOfPooler(error)) throw error;
      await sql.end({ timeout: 0 });
      sql = connect(options.database);
      return await checkConnection({ ...test, sql });
    }
  };
  const fix = `look at the error; ${options.variable} names the database`;
  const run = (check: string, look: DatabaseCheck) =>
    checked(check, { fix }, () => inTime(look({ ...options, sql }), { clock: options.clock }));
  try {
    const findings = [...await run("connection", connection)];
    if (findings.some(({ check, level }) => check === "connection" && level !== "ok")) return findings;
    for (const [check, look] of ALWAYS) findings.push(...await run(check, look));
    for (const [check, look] of [["schema", checkSchema], ["rights", checkRights]] as const) {
      const found = await run(check, look);
      findings.push(...found);
      if (found.some(({ level }) => level !== "ok")) return findings;
    }
    for (const [check, look] of WITH_SCHEMA) findings.push(...await run(check, look));
    return findings;
  } finally {
    await sql.end({ timeout: 1 });
  }
}

async function inTime<T>(work: Promise<T>, { clock }: { readonly clock: Clock }): Promise<T> {
  let cancel = (): void => undefined;
  const late = new Promise<never>((_, reject) => {
    cancel = clock.after(PATIENCE_MS, () => reject(new Error(`no answer within ${span(PATIENCE_MS)}`)));
  });
  // What still comes after that is nobody's business.
  work.catch(() => undefined);
  try {
    return await Promise.race([work, late]);
  } finally {
    cancel();
  }
}
