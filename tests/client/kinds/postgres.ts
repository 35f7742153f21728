import postgres from "postgres";
import type { Connection } from "../../../mod.ts";
import type { Execute, Kind, OpenKind } from "./kind.ts";
import { withClient } from "./pool_and_client.ts";

function postgresKind(
  name: string,
  transactionOf: (sql: postgres.Sql) => OpenKind["transaction"],
  prepare = true,
): Kind {
  return {
    name,
    interactive: true,
    open: (url) => {
      const sql = postgres(url, { prepare, onnotice: () => {} });
      return Promise.resolve({
        connection: sql,
        transaction: transactionOf(sql),
        // What hangs is not waited for.
        [Symbol.asyncDispose]: () => sql.end({ timeout: 1 }),
      });
    },
  };
}

function inBegin(sql: postgres.Sql, nested: boolean): OpenKind["transaction"] {
  return async <T>(work: (tx: Connection, execute: Execute) => Promise<T>) => {
    const results: T[] = [];
    const run = async (tx: postgres.TransactionSql) => {
      results.push(await work(tx, (text, values) => tx.unsafe(text, values)));
    };
    await sql.begin((tx) => nested ? tx.savepoint(run) : run(tx));
    // It has resolved, so there is one; postgres.js itself would unwrap promises in it.
    return results[0] as T;
  };
}

/** postgres.js, in `sql.begin`. */
export const postgresBegin: Kind = postgresKind("postgres.js begin", (sql) => inBegin(sql, false));

/** postgres.js, in a savepoint of a transaction. */
export const postgresSavepoint: Kind = postgresKind("postgres.js savepoint", (sql) => inBegin(sql, true));

/** postgres.js, in a transaction that the app began on a reserved connection. */
export const postgresReserve: Kind = postgresKind("postgres.js reserve", (sql) => async (work) => {
  const reserved = await sql.reserve();
  try {
    return await withClient(reserved, (text, values = []) => reserved.unsafe(text, values), work);
  } finally {
    reserved.release();
  }
});

/** postgres.js as a transaction pooler needs it, which lends out another server for each transaction. */
export const postgresUnprepared: Kind = postgresKind(
  "postgres.js with prepare: false",
  (sql) => inBegin(sql, false),
  false,
);
