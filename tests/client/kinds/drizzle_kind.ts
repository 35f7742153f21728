import type { PgDatabase, PgQueryResultHKT } from "drizzle-orm/pg-core";
import { drizzleSql } from "./drizzle_sql.ts";
import type { OpenKind } from "./kind.ts";

/** A Drizzle database of any driver that has transactions. */
export function openDrizzle<T extends PgQueryResultHKT>(db: PgDatabase<T>, close: () => Promise<void>): OpenKind {
  return {
    connection: db,
    transaction: (work) =>
      db.transaction((tx) => work(tx, async (text, values) => await tx.execute(drizzleSql([text, values])))),
    [Symbol.asyncDispose]: close,
  };
}
