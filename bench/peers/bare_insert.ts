import type { Sql } from "postgres";

// The least that any queue in Postgres can do: one row, one index, one statement, in the same round trip and by the same driver.

/** Makes the table: a primary key and the bytes. */
export async function makeBareTable(sql: Sql): Promise<void> {
  await sql.unsafe("create table public.bare (id uuid primary key, body text not null)").simple();
}

/** One row; both as text, as the client's own parameter is. */
export const BARE_INSERT = "insert into public.bare (id, body) values ($1::text::uuid, $2)";
