import { neon, neonConfig } from "@neondatabase/serverless";
import type { Kind } from "./kind.ts";

/** Neon over HTTP, which has no open transactions. */
export const neonHttp: Kind = {
  name: "Neon over HTTP",
  interactive: false,
  open: (url, standin) => {
    standin.configure(neonConfig);
    const sql = neon(url);
    return Promise.resolve({
      connection: sql,
      transaction: () => Promise.reject(new Error("HTTP has no open transactions")),
      batch: (statements) => sql.transaction(statements.map(([text, values]) => sql.query(text, values))),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    });
  },
};
