import { neon, neonConfig } from "@neondatabase/serverless";
import { drizzle } from "drizzle-orm/neon-http";
import { drizzleSql } from "./drizzle_sql.ts";
import type { Kind } from "./kind.ts";

/** Drizzle on Neon over HTTP, which has no open transactions. */
export const drizzleNeonHttp: Kind = {
  name: "Drizzle on Neon over HTTP",
  interactive: false,
  open: (url, standin) => {
    standin.configure(neonConfig);
    const db = drizzle({ client: neon(url) });
    return Promise.resolve({
      connection: db,
      transaction: () => Promise.reject(new Error("HTTP has no open transactions")),
      batch: async (statements) => {
        const [first, ...rest] = statements.map((statement) => db.execute(drizzleSql(statement)));
        return first && await db.batch([first, ...rest]);
      },
      [Symbol.asyncDispose]: () => Promise.resolve(),
    });
  },
};
