import type { Statements } from "../database/statements.ts";
import { differenceOf, type PresentPlace, type RememberedPlace } from "./place.ts";

/** What a look at the place of a database has found. */
export interface PlaceLook {
  readonly present: PresentPlace;
  /** Undefined: no relay has drained it yet. */
  readonly remembered: RememberedPlace | undefined;
  /** Why it is a copy; undefined: it is none. */
  readonly difference: string | undefined;
}

const LOOK = `
select p.only_row as is_remembered, p.system_identifier as remembered_system, p.database_oid::text as remembered_database,
  to_jsonb(p.addresses) as addresses, coalesce(p.server_started_at = pg_postmaster_start_time(), false) as is_same_run,
  (select d.oid::text from pg_database d where d.datname = current_database()) as database,
  has_function_privilege('pg_catalog.pg_control_system()', 'execute') as may_ask_system
from (values (1)) as one (row) left join mailchute.place p on true`;

const SYSTEM = "select system_identifier::text as system from pg_control_system()";

const REMEMBER_FIRST = `
insert into mailchute.place (system_identifier, database_oid, addresses, server_started_at)
values ($1, $2::text::oid, array[$3::text], pg_postmaster_start_time()) on conflict do nothing`;

/** The newest addresses: a tunnel may have another port each time. */
const REMEMBER = `
update mailchute.place set system_identifier = coalesce($1, system_identifier), server_started_at = pg_postmaster_start_time(),
  addresses = (array[$3::text] || array_remove(addresses, $3::text))[1:20]
where database_oid = $2::text::oid`;

const MOVE = `
update mailchute.place set system_identifier = $1, database_oid = $2::text::oid, addresses = array[$3::text],
  server_started_at = pg_postmaster_start_time(), since = now()`;

/** Compares the place that a database remembers with the one that it is in; changes nothing. */
export async function lookAtPlace(sql: Statements, address: string): Promise<PlaceLook> {
  const [row] = await sql.unsafe(LOOK);
  const [control] = row?.may_ask_system ? await sql.unsafe(SYSTEM) : [];
  const present: PresentPlace = {
    ...{ system: (control?.system ?? undefined) as string | undefined, database: row?.database as string },
    ...{ address, isSameRun: row?.is_same_run as boolean },
  };
  if (!row?.is_remembered) return { present, remembered: undefined, difference: undefined };
  const remembered: RememberedPlace = {
    system: (row.remembered_system ?? undefined) as string | undefined,
    database: row.remembered_database as string,
    addresses: row.addresses as readonly string[],
  };
  return { present, remembered, difference: differenceOf(remembered, present) };
}

/** Writes down what a look at a database that is no copy has found, if that is news. */
export async function rememberPlace(sql: Statements, { present, remembered }: PlaceLook): Promise<void> {
  const { system, database, address, isSameRun } = present;
  const values = [system ?? null, database, address];
  if (remembered === undefined) {
    await sql.unsafe(REMEMBER_FIRST, values);
    return;
  }
  const isNews = !isSameRun || remembered.addresses[0] === undefined || !remembered.addresses.includes(address) ||
    (remembered.system === undefined && system !== undefined);
  if (isNews) await sql.unsafe(REMEMBER, values);
}

/** Makes the place of a copy the one where its queue is drained. */
export async function moveHere(sql: Statements, { present }: PlaceLook): Promise<void> {
  await sql.unsafe(MOVE, [present.system ?? null, present.database, present.address]);
}
