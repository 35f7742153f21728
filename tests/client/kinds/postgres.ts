import postgres from "postgres";
import type { Connection } from "../../../mod.ts";
import type { Execute, Kind, OpenKind } from "./kind.ts";

function postgresKind(name: string, nested: boolean): Kind {
  return {
    name,
    interactive: true,
    open: (url) => {
      const sql = postgres(url, { onnotice: () => {} });
      const transaction: OpenKind["transaction"] = async <T>(
        work: (tx: Connection, execute: Execute) => Promise<T>,
      ) => {
        const results: T[] = [];
        const run = async (tx: postgres.TransactionSql) => {
          results.push(await work(tx, (text, values) => tx.unsafe(text, values)));
        };
        await sql.begin((tx) => nested ? tx.savepoint(run) : run(tx));
        // It has resolved, so there is one; postgres.js itself would unwrap promises in it.
        return results[0] as T;
      };
      return Promise.resolve({ connection: sql, transaction, [Symbol.asyncDispose]: () => sql.end() });
    },
  };
}

/** postgres.js, in `sql.begin`. */
export const postgresBegin: Kind = postgresKind("postgres.js begin", false);

/** postgres.js, in a savepoint of a transaction. */
export const postgresSavepoint: Kind = postgresKind("postgres.js savepoint", true);
