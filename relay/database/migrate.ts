import type { Sql, TransactionSql } from "postgres";
import { errorCode } from "../error_code.ts";
import { isOlder, OLDEST_PROGRAM, PROGRAM_VERSION, SCHEMA_VERSION } from "../version.ts";
import { schemaState } from "./schema_state.ts";
import { migrations, ROLES } from "./schema.ts";

// DESIGN: everything happens in one transaction under an advisory lock, as the owner of the schema. A superuser makes
// the owner `mailchute_owner`, a role that nobody can log in as; a plain database owner owns the schema itself. Roles
// belong to the cluster, so two databases may make them at the same moment: each is made in a block that takes "exists
// already" and "may not" for an answer.

/** The group roles; a role that is missing is granted nothing, and `grants` gives an app's role its rights directly. */
export const GROUP_ROLES = ["mailchute_client", "mailchute_relay", "mailchute_viewer", "mailchute_admin"] as const;

/** How long others are waited for. */
export interface Patience {
  /** At a time: whoever comes behind the migration, such as an app's enqueue, waits as long. */
  readonly lockMs: number;
  /** How often, a second apart. */
  readonly rounds: number;
}

const PATIENCE: Patience = { lockMs: 2_000, rounds: 20 };

/**
 * Brings the schema to this program's version.
 *
 * @returns the names of the migrations that were applied
 * @throws {PostgresError} when the role may not; nothing is changed then
 * @throws {Error} with who holds what it needs, when that is held for too long
 */
export async function migrate(sql: Sql, patience: Patience = PATIENCE): Promise<readonly string[]> {
  for (let round = 1;; round++) {
    try {
      // Named, since a role may have another default: with a snapshot from before the lock it would migrate what is
      // migrated.
      return await sql.begin("isolation level read committed", (tx) => migrateIn(tx, patience));
    } catch (error) {
      const code = errorCode(error);
      // An open transaction of an app, or another migration.
      const isHeld = code === "55P03";
      if (isHeld && round >= patience.rounds) throw new Error(await whoHolds(sql), { cause: error });
      if (isHeld) await sql.unsafe("select pg_sleep(1)");
      // Another database of this cluster changed the same role in the same instant ("tuple concurrently updated"), or a
      // relay at work held the other of two tables.
      else if ((code !== "XX000" && code !== "40P01") || round >= 5) throw error;
    }
  }
}

/** Those that a migration may wait for, the oldest first; what they are doing, only a superuser sees. */
const HOLDERS = `
select a.pid, a.usename as role, coalesce(a.xact_start, a.backend_start) as since from pg_stat_activity a
where a.pid <> pg_backend_pid() and a.datname = current_database() and exists (
  select from pg_locks l where l.pid = a.pid and l.granted and (l.locktype = 'advisory'
    or l.relation in (select c.oid from pg_class c where c.relnamespace = to_regnamespace('mailchute'))))
order by 3 limit 3`;

async function whoHolds(sql: Sql): Promise<string> {
  const holders = (await sql.unsafe(HOLDERS)).map(({ pid, role, since }) =>
    `process ${pid} of the role ${role}${since instanceof Date ? ` since ${since.toISOString()}` : ""}`
  );
  const who = holders.length === 0 ? "another session" : holders.join(", ");
  return `Cannot migrate: what it needs is held by ${who}; let it end, or end it with pg_terminate_backend, and try again`;
}

async function migrateIn(tx: TransactionSql, { lockMs }: Patience): Promise<readonly string[]> {
  await tx.unsafe(`set local lock_timeout = ${lockMs}`).simple();
  // What others have put into the role's own path would be bound into our functions for good, or run now.
  await tx.unsafe(`set local search_path = ${PATH}`).simple();
  // Else a database that has it off for an old application would take the backslashes out of our patterns.
  await tx.unsafe("set local standard_conforming_strings = on").simple();
  await tx.unsafe("select pg_advisory_xact_lock(hashtext('mailchute.migrate'))");
  const before = await schemaState(tx);
  if (before.oldestProgram !== undefined && isOlder(PROGRAM_VERSION, before.oldestProgram)) return [];
  await tx.unsafe(CHECK_ENCODING).simple();
  await tx.unsafe(MAKE_ROLES).simple();
  await tx.unsafe(MAKE_SCHEMA).simple();
  const [owner] = await tx.unsafe(
    "select nspowner::regrole::text as name from pg_namespace where nspname = 'mailchute'",
  );
  await tx.unsafe(`set local role ${owner?.name}`).simple();
  const pending = migrations().filter((migration) => migration.version > before.version);
  for (const migration of pending) await tx.unsafe(migration.text).simple();
  if (pending.length > 0) await tx.unsafe(recordVersion()).simple();
  await tx.unsafe(ROLES).simple();
  return pending.map((migration) => migration.name);
}

/** In which the migrations are read. */
const PATH = "pg_catalog, mailchute";

/** A mail may have any character, which any other encoding would refuse or, as SQL_ASCII, take for several. */
const CHECK_ENCODING = `do $$
begin
  if current_setting('server_encoding') <> 'UTF8' then
    raise exception 'Cannot make the schema mailchute in a database whose encoding is %: use one with the encoding UTF8',
      current_setting('server_encoding') using errcode = 'feature_not_supported';
  end if;
end $$;`;

/** Makes the group roles and the owner where this role may; leaves out what it may not. */
export const MAKE_ROLES = `do $$
declare
  wanted text;
begin
  foreach wanted in array array[${[...GROUP_ROLES, "mailchute_owner"].map((name) => `'${name}'`).join(", ")}] loop
    if not exists (select from pg_roles where rolname = wanted) then
      begin
        execute format('create role %I nologin', wanted);
      exception when insufficient_privilege or duplicate_object or unique_violation then
        null;
      end;
    end if;
  end loop;
end $$;`;

/** Makes the schema: owned by mailchute_owner where a superuser migrates, else by the role that migrates. */
export const MAKE_SCHEMA = `do $$
begin
  if not exists (select from pg_namespace where nspname = 'mailchute') then
    if (select rolsuper from pg_roles where rolname = current_user) then
      create schema mailchute authorization mailchute_owner;
    else
      create schema mailchute;
    end if;
  end if;
end $$;`;

/**
 * What follows belongs to the owner of the schema, whoever runs it: functions of a superuser would run with a
 * superuser's rights. For the session and not for the transaction, since we do not know whether the other tool opens
 * one.
 */
const AS_OWNER =
  `select set_config('role', pg_get_userbyid(nspowner), false) from pg_namespace where nspname = 'mailchute';`;

/** As `migrate` does; what the other tool has set comes back in the end. */
const IN_PATH = `select set_config('mailchute.search_path', current_setting('search_path'), false),
  set_config('mailchute.standard_conforming_strings', current_setting('standard_conforming_strings'), false);
set search_path = ${PATH};
set standard_conforming_strings = on;`;
const OUT_OF_PATH = `select set_config('search_path', current_setting('mailchute.search_path'), false),
  set_config('standard_conforming_strings', current_setting('mailchute.standard_conforming_strings'), false);`;

function recordVersion(): string {
  return `insert into mailchute.schema_info (version, oldest_program) values (${SCHEMA_VERSION}, '${OLDEST_PROGRAM}')
on conflict (only_row) do update set version = excluded.version, oldest_program = excluded.oldest_program, changed_at = now();`;
}

/** The text of the migrations after `from`, for another migration tool. */
export function migrationText(from: number): string {
  const pending = migrations().filter((migration) => migration.version > from);
  const files = pending.map((migration) => `-- ${migration.name}.sql\n${migration.text}`);
  return [
    IN_PATH,
    ...(from === 0 ? [CHECK_ENCODING, MAKE_ROLES, MAKE_SCHEMA] : []),
    AS_OWNER,
    ...files,
    recordVersion(),
    `-- roles.sql\n${ROLES}`,
    "reset role;",
    OUT_OF_PATH,
  ].join("\n");
}
