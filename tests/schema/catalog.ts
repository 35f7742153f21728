import type { Sql } from "postgres";

/**
 * What the schema consists of, one sorted line for each thing: two schemas are equal if and only if these texts are.
 */
export async function catalogText(sql: Sql): Promise<string> {
  const parts = await Promise.all(QUERIES.map(async ([kind, query]) => {
    const rows = await sql.unsafe(query);
    if (rows.length === 0) throw new Error(`The catalog has no ${kind}: the query for it has gone blind`);
    return rows.map((row) => `${kind}: ${row.line as string}`).sort();
  }));
  return parts.flat().join("\n");
}

/** Rights as a sorted list: their order in the catalog is the order of the grants. */
function rights(column: string): string {
  return `coalesce((select string_agg(a::text, ' ' order by a::text) from unnest(${column}) as a), 'default')`;
}

const QUERIES: readonly (readonly [kind: string, query: string])[] = [
  [
    "schema",
    `select concat_ws(' | ', nspname, nspowner::regrole, ${rights("nspacl")}) as line
     from pg_namespace where nspname = 'mailchute'`,
  ],
  [
    "relation",
    `select concat_ws(' | ', relname, relkind, relpersistence, relowner::regrole, reloptions::text, relrowsecurity, ${
      rights("relacl")
    }) as line
     from pg_class where relnamespace = 'mailchute'::regnamespace`,
  ],
  [
    "column",
    `select concat_ws(' | ', c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
       a.attstorage, pg_get_expr(d.adbin, d.adrelid), ${rights("a.attacl")}) as line
     from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
     left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
     where c.relnamespace = 'mailchute'::regnamespace and c.relkind = 'r'`,
  ],
  [
    "index",
    `select pg_get_indexdef(i.indexrelid) as line from pg_index i join pg_class c on c.oid = i.indexrelid
     where c.relnamespace = 'mailchute'::regnamespace`,
  ],
  [
    "constraint",
    `select concat_ws(' | ', conrelid::regclass, conname, convalidated, pg_get_constraintdef(oid)) as line
     from pg_constraint where connamespace = 'mailchute'::regnamespace`,
  ],
  [
    "function",
    `select concat_ws(' | ', p.oid::regprocedure, proowner::regrole, ${
      rights("proacl")
    }, pg_get_functiondef(p.oid)) as line
     from pg_proc p where pronamespace = 'mailchute'::regnamespace`,
  ],
  ["info", "select concat_ws(' | ', version, oldest_program) as line from mailchute.schema_info"],
];
