import type { Sql } from "postgres";
import { connect, type ConnectOptions } from "../database/database.ts";
import type { DatabaseUnderTest } from "./database.ts";
import { type Finding, ok, warn } from "./finding.ts";

const WHICH = "select pg_backend_pid() as pid";

/**
 * Whether a transaction pooler stands between. One of our connections asks which server process it talks to, a second
 * one holds a transaction, and the first asks again: a pooler that lends processes for a transaction has lent that one
 * away.
 */
export async function checkPooler({ sql, database, variable }: DatabaseUnderTest): Promise<readonly Finding[]> {
  const fix = `set ${variable.replace(/_UNPOOLED$/, "")}_UNPOOLED to the direct address of the database`;
  if (database.pooled) {
    return [warn("pooler", "the host is a pooler by its name: LISTEN/NOTIFY does not work through it", fix)];
  }
  if (await isLent(sql, database)) {
    const found = "a transaction pooler stands between: LISTEN/NOTIFY does not work through it";
    return [warn("pooler", found, fix)];
  }
  return [ok("pooler", "none")];
}

/** One statement after the other keeps to one of our connections. */
async function isLent(sql: Sql, database: ConnectOptions): Promise<boolean> {
  const other = connect(database);
  try {
    // Logged in before the first question, so that nothing but the transaction lies between the two.
    await other.unsafe(WHICH);
    const [before] = await sql.unsafe(WHICH);
    const after = await other.begin(async (tx) => {
      await tx.unsafe(WHICH);
      const [row] = await sql.unsafe(WHICH);
      return row?.pid;
    });
    return before?.pid !== after;
  } finally {
    await other.end({ timeout: 1 });
  }
}
