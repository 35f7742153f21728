import postgres, { type Sql } from "postgres";
import { withoutForeignParameters } from "../src/client_parameters.ts";
import { migrate, schemaProblem, schemaState } from "./migrate.ts";
import { PROGRAM_VERSION } from "./schema.ts";

/** A database that this relay serves, with its schema in order. */
export interface RelayDatabase {
  readonly name: string;
  /** `host/name`, for logs and pages. */
  readonly display: string;
  readonly sql: Sql;
  /** The version of its schema. */
  readonly schemaVersion: number;
  /** The names of the migrations that were applied now. */
  readonly migrated: readonly string[];
}

/** A database that cannot be served; the message is one sentence with the fix. */
export class DatabaseProblem extends Error {
  override readonly name = "DatabaseProblem";
}

export interface ConnectOptions {
  readonly name: string;
  readonly display: string;
  readonly url: string;
  /** A transaction pooler stands between: no prepared statements. */
  readonly pooled: boolean;
}

/** Statements under way at a time: claim, settle, release and a mail's attachments. */
const POOL_SIZE = 6;
const CONNECT_TIMEOUT_S = 10;

/** Connects, without looking at the schema. */
export function connect({ url, pooled }: Pick<ConnectOptions, "url" | "pooled">): Sql {
  return postgres(withoutForeignParameters(url), {
    max: POOL_SIZE,
    prepare: !pooled,
    connect_timeout: CONNECT_TIMEOUT_S,
    connection: { application_name: "mailchute relay" },
    onnotice: () => {},
    fetch_types: false,
  });
}

/**
 * Connects and sees to it that the schema fits: brings it up to date where the role may.
 *
 * @throws {DatabaseProblem} when it cannot be reached or must not be served
 */
export async function openDatabase(options: ConnectOptions): Promise<RelayDatabase> {
  const { name, display } = options;
  const sql = connect(options);
  try {
    const before = await schemaState(sql);
    const problem = schemaProblem(before, display);
    const migrated = problem === undefined ? [] : await migrateIfAllowed(sql, problem);
    const after = await schemaState(sql);
    const remaining = schemaProblem(after, display);
    if (remaining !== undefined) throw new DatabaseProblem(remaining);
    await checkRights(sql, display);
    return { name, display, sql, schemaVersion: after.version, migrated };
  } catch (cause) {
    await sql.end({ timeout: 0 });
    if (cause instanceof DatabaseProblem) throw cause;
    if (codeOf(cause) === "42501") throw missingRights(display, new URL(options.url).username, cause);
    throw unreachable(name, display, cause);
  }
}

async function migrateIfAllowed(sql: Sql, problem: string): Promise<readonly string[]> {
  try {
    return await migrate(sql);
  } catch (error) {
    if (codeOf(error) === "42501") throw new DatabaseProblem(problem);
    throw error;
  }
}

/** What the relay works on: each of these rights on each of these tables. A list in one call would ask for any of them. */
const RIGHTS = `
select bool_and(has_table_privilege('mailchute.' || t, p)) as allowed, current_user as role
from unnest(array['content', 'attachment', 'message', 'recipient', 'attempt', 'queue', 'relay']) as t,
  unnest(array['select', 'insert', 'update', 'delete']) as p`;

async function checkRights(sql: Sql, display: string): Promise<void> {
  const [row] = await sql.unsafe(RIGHTS);
  if (!row?.allowed) throw missingRights(display, row?.role as string);
}

function missingRights(display: string, role: string, cause?: unknown): DatabaseProblem {
  return new DatabaseProblem(
    `Cannot serve the database ${display}: the role ${role} may not work on the queue; its owner runs: grant mailchute_relay to ${role}`,
    { cause },
  );
}

/** Says why a database cannot be used, with the variable that names it. */
export function unreachable(name: string, display: string, cause: unknown): DatabaseProblem {
  const variable = name === "home" ? "DATABASE_URL" : `DATABASE_URL_${name.toUpperCase()}`;
  const reason = cause instanceof Error ? cause.message || codeOf(cause) : String(cause);
  return new DatabaseProblem(`Cannot use the database ${display}: ${reason}; check ${variable}`, { cause });
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

/** Records this start. @returns the relay's id in this database */
export async function registerRelay(
  sql: Sql,
  relay: { readonly instance: string; readonly host: string; readonly pid: number },
): Promise<string> {
  const [row] = await sql`
    insert into mailchute.relay (instance, host, pid, version)
    values (${relay.instance}, ${relay.host}, ${relay.pid}, ${PROGRAM_VERSION}) returning id::text as id`;
  return row?.id as string;
}

/** Says that the relay is alive; `asleep` as the claim loop left it. */
export async function beat(sql: Sql, relayId: string): Promise<void> {
  await sql`update mailchute.relay set heartbeat_at = now() where id = ${relayId}::bigint`;
}

/** Tells enqueue whether it has to ring. */
export async function setAsleep(sql: Sql, relayId: string, asleep: boolean): Promise<void> {
  await sql`update mailchute.relay set asleep = ${asleep}, heartbeat_at = now() where id = ${relayId}::bigint`;
}

/** Records the end of this run. */
export async function markStopped(sql: Sql, relayId: string): Promise<void> {
  await sql`update mailchute.relay set stopped_at = now(), asleep = false where id = ${relayId}::bigint`;
}
