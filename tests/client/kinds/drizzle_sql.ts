import { type SQL, sql } from "drizzle-orm";
import type { OwnStatement } from "./kind.ts";

/** A statement of text and values in Drizzle's terms. */
export function drizzleSql([text, values]: OwnStatement): SQL {
  const chunks = text.split(/\$\d+/).flatMap((part, index) =>
    index < values.length ? [sql.raw(part), sql.param(values[index])] : [sql.raw(part)]
  );
  return sql.join(chunks);
}
