import type { Statements } from "../database/statements.ts";
import { type Pause, PAUSE_OF_ALL } from "./pause.ts";

/** Rung in the home database when a pause begins or ends. */
export const PAUSE_CHANNEL = "mailchute_pause";

/** A handful of rows. */
const READ = `select key, reason, since, by from mailchute.pause order by key`;

/** Who pauses again says why anew. `is_new`: it was not paused before. */
const BEGIN = `
insert into mailchute.pause as p (key, reason) values ($1, $2)
on conflict (key) do update set reason = excluded.reason, by = excluded.by
returning p.xmax = 0 as is_new`;

/** For relays, which may pause nothing else. */
const PAUSE_BATCH = "select mailchute.pause_batch($1::uuid, $2)";

const END = "delete from mailchute.pause where key = $1 returning key";

const RING = `select pg_notify('${PAUSE_CHANNEL}', '')`;

/** Reads the pauses that are in force, that of all mail first. */
export async function readPauses(sql: Statements): Promise<readonly Pause[]> {
  const pauses = (await sql.unsafe(READ, [], { prepare: true })).map((row): Pause => ({
    ...{ key: row.key as string, since: row.since as Date, by: row.by as string },
    ...(row.reason === null ? {} : { reason: row.reason as string }),
  }));
  return pauses.sort((one, other) => Number(other.key === PAUSE_OF_ALL) - Number(one.key === PAUSE_OF_ALL));
}

/** Begins a pause, or says anew why. @returns false when it was in force already */
export async function beginPause(
  sql: Statements,
  { key, reason }: { readonly key: string; readonly reason: string | undefined },
): Promise<boolean> {
  const [row] = await sql.unsafe(BEGIN, [key, reason ?? null]);
  await sql.unsafe(RING);
  return row?.is_new === true;
}

/** Pauses a batch, as a relay; leaves a pause that is in force as it is. */
export async function pauseBatch(
  sql: Statements,
  { batch, reason }: { readonly batch: string; readonly reason: string },
): Promise<void> {
  await sql.unsafe(PAUSE_BATCH, [batch, reason]);
  await sql.unsafe(RING);
}

/** Ends a pause; relays make due what waits for it. @returns false when there was none */
export async function endPause(sql: Statements, key: string): Promise<boolean> {
  const ended = await sql.unsafe(END, [key]);
  await sql.unsafe(RING);
  return ended.length > 0;
}
