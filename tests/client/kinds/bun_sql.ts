import { SQL, type TransactionSQL } from "bun";
import type { Connection } from "../../../mod.ts";
import type { Execute, Kind, OpenKind } from "./kind.ts";
import { withClient } from "./pool_and_client.ts";

function bunKind(name: string, transactionOf: (sql: SQL) => OpenKind["transaction"]): Kind {
  return {
    name,
    interactive: true,
    open: (url) => {
      const sql = new SQL(url);
      return Promise.resolve({
        connection: sql,
        transaction: transactionOf(sql),
        [Symbol.asyncDispose]: () => sql.close({ timeout: 0 }),
      });
    },
  };
}

function inBegin(sql: SQL, nested: boolean): OpenKind["transaction"] {
  return async <T>(work: (tx: Connection, execute: Execute) => Promise<T>): Promise<T> => {
    const run = (tx: TransactionSQL) => work(tx, (text, values) => tx.unsafe(text, values));
    return await sql.begin(async (tx) => nested ? await tx.savepoint(run) : await run(tx)) as T;
  };
}

/** Bun's own driver, in `sql.begin`. */
export const bunBegin: Kind = bunKind("Bun.SQL begin", (sql) => inBegin(sql, false));

/** Bun's own driver, in a savepoint of a transaction. */
export const bunSavepoint: Kind = bunKind("Bun.SQL savepoint", (sql) => inBegin(sql, true));

/** Bun's own driver, in a transaction that the app began on a reserved connection. */
export const bunReserve: Kind = bunKind("Bun.SQL reserve", (sql) => async (work) => {
  const reserved = await sql.reserve();
  try {
    return await withClient(reserved, (text, values) => reserved.unsafe(text, values), work);
  } finally {
    reserved.release();
  }
});
