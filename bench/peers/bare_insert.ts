import type { Sql } from "postgres";

// The least that any queue in Postgres can do: one row, one index, one statement, in the same round trip and by the
// same driver.

/** Makes the table: a primary key and the bytes. */
export async function makeBareTable(sql: Sql): Promise<void> {
  await sql.unsafe("create table public.bare (id uuid primary key, body text not null)").simple();
  await sql.unsafe(FUNCTION).simple();
}

/**
 * A function that an app may call which may not write the table, as `enqueue_v1` is one: it reads the JSON and does the
 * same insert, and no more.
 */
const FUNCTION = `
create function public.bare_v1(request jsonb, out id uuid, out created boolean)
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  id := (request ->> 'id')::uuid;
  insert into public.bare (id, body) values (bare_v1.id, request::text);
  created := true;
end $$`;

/** One row; both as text, as the client's own parameter is. */
export const BARE_INSERT = "insert into public.bare (id, body) values ($1::text::uuid, $2)";

/** The same through the function. */
export const BARE_CALL = "select id, created from public.bare_v1($1::text::jsonb)";
