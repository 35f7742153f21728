import { CamelCasePlugin, CompiledQuery, Kysely, ParseJSONResultsPlugin, PostgresDialect } from "kysely";
import pg from "pg";
import type { Kind } from "./kind.ts";
import { quiet } from "./pool_and_client.ts";

/** Kysely on node-postgres, with plugins that change what they can of an answer. */
export const kysely: Kind = {
  name: "Kysely",
  interactive: true,
  open: (connectionString) => {
    const pool = quiet(new pg.Pool({ connectionString }));
    const plugins = [new CamelCasePlugin(), new ParseJSONResultsPlugin()];
    const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }), plugins });
    return Promise.resolve({
      connection: db,
      transaction: (work) =>
        db.transaction().execute((trx) =>
          work(trx, (text, values) => trx.executeQuery(CompiledQuery.raw(text, [...values])))
        ),
      [Symbol.asyncDispose]: () => db.destroy(),
    });
  },
};
