import postgres, { type Sql } from "postgres";
import { errorCode } from "../error_code.ts";
import { addressOf } from "../place/place.ts";
import { statementLimitMs } from "../queue/lease.ts";
import type { DatabaseTls } from "../settings/database_tls.ts";
import { databaseVariable } from "../settings/database_url.ts";
import type { Clock } from "../time/clock.ts";
import { ConnectionPool } from "./connection_pool.ts";
import { migrate } from "./migrate.ts";
import { rightsAdvice } from "./rights_advice.ts";
import { schemaProblem, schemaState } from "./schema_state.ts";
import { driverOptions } from "./server_options.ts";

/** A database that this relay serves, with its schema in order. */
export interface RelayDatabase {
  readonly name: string;
  /** `host/name`, for logs and pages. */
  readonly display: string;
  /** Where it is, as the database itself remembers it. */
  readonly address: string;
  readonly sql: ConnectionPool;
  /** Opens a connection for LISTEN. */
  readonly openSession: (hooks: SessionHooks) => ListeningSession;
  /** The version of its schema. */
  readonly schemaVersion: number;
  /** The names of the migrations that were applied now. */
  readonly migrated: readonly string[];
}

/** What is told about a session that listens. */
export interface SessionHooks {
  readonly onNotify: (channel: string) => void;
  readonly onClose: () => void;
}

/** One connection of its own, for LISTEN. */
export interface ListeningSession {
  /** Listens to these from now on. @returns true */
  listen(channels: readonly string[]): Promise<true>;
  /** What this very session listens to, by the server's own word. */
  channels(): Promise<readonly string[]>;
  /** Listens to nothing any more. */
  unlisten(): Promise<unknown>;
  /** Ends the connection, answered or not. */
  end(): Promise<void>;
}

/** A database that cannot be served; the message is one sentence with the fix. */
export class DatabaseProblem extends Error {
  override readonly name = "DatabaseProblem";
}

export interface ConnectOptions {
  readonly name: string;
  readonly display: string;
  readonly url: string;
  /** What the URL says of TLS, with the files that it names. @default {none} */
  readonly tls?: DatabaseTls | undefined;
  /** A transaction pooler stands between: no prepared statements. */
  readonly pooled: boolean;
  /**
   * Where it is, when its URL does not tell: an embedded one has another port at each start.
   * @default {that of the URL}
   */
  readonly address?: string;
}

/** The address of a database, as the database itself remembers it. */
export function placeOf({ url, address }: ConnectOptions): string {
  return address ?? addressOf(url);
}

/** What the limits of a database's statements follow from. */
export interface Timing {
  readonly leaseMs: number;
  readonly clock: Clock;
}

const APPLICATION = "mailchute relay";
/** Statements under way at a time: claim, settle, release and a mail's attachments. */
const POOL_SIZE = 6;
const CONNECT_TIMEOUT_S = 10;
/** Often enough that no firewall forgets a connection that has nothing to say. */
const KEEP_ALIVE_S = 30;

/**
 * What the relay asks again and again it finds by an index, and its plans are kept. One that was made while a table was
 * empty would read all of it, for hours, once it has grown: a first campaign would take ten times as long.
 */
const PLANS = { enable_seqscan: "off", plan_cache_mode: "force_generic_plan" };

/**
 * What is ours is named with its schema, all else is Postgres'. In the role's own path any app may have put a function
 * that fits an argument better than one of pg_catalog, which then wins: it would run with the rights of this role,
 * which reads all mails.
 */
const PATH = { search_path: "pg_catalog" };

/**
 * Statements that take a row which another has just changed look at it again. Where the database or the role makes all
 * transactions serializable they would fail instead, and an app's with them: a claim reads what an enqueue writes. And
 * a time that is told in milliseconds keeps all its digits, which below 0 it would not.
 */
const MEANINGS = { default_transaction_isolation: "read committed", extra_float_digits: 1 } as const;

/**
 * The driver knows no other form of a time, or takes the day for the month. Every pooler takes this parameter: JDBC
 * begins each connection with it.
 */
const TIMES = { DateStyle: "ISO" };

/**
 * Connects, without looking at the schema.
 *
 * @param keepsPlans for the statements of the queue
 * @param pinned what holds whatever the database and the role have set; `all` looks for nothing in the role's own
 * search_path. Poolers refuse it as they do `keepsPlans`.
 */
export function connect(
  { url, tls, pooled, keepsPlans, pinned, onClose }: Pick<ConnectOptions, "url" | "tls" | "pooled"> & {
    readonly keepsPlans?: boolean;
    readonly pinned?: "all" | "all but its path" | undefined;
    readonly onClose?: () => void;
  },
): Sql {
  const server = driverOptions({ url, tls });
  return postgres(server.url, {
    ...server.options,
    max: POOL_SIZE,
    prepare: !pooled,
    connect_timeout: CONNECT_TIMEOUT_S,
    keep_alive: KEEP_ALIVE_S,
    connection: {
      application_name: APPLICATION,
      ...TIMES,
      ...(keepsPlans === true ? PLANS : {}),
      ...(pinned === undefined ? {} : MEANINGS),
      ...(pinned === "all" ? PATH : {}),
    },
    onnotice: () => {},
    ...(onClose === undefined ? {} : { onclose: onClose }),
    fetch_types: false,
  });
}

function openSession(
  database: Pick<ConnectOptions, "url" | "tls">,
  { onNotify, onClose }: SessionHooks,
): ListeningSession {
  const server = driverOptions(database);
  const options = {
    ...server.options,
    ...{ max: 1, prepare: false, fetch_types: false, max_lifetime: null, idle_timeout: 0 },
    ...{ connect_timeout: CONNECT_TIMEOUT_S, keep_alive: KEEP_ALIVE_S, connection: { application_name: APPLICATION } },
    onnotice: () => {},
    onclose: onClose,
    // Not in the driver's types: `sql.listen` opens a connection that cannot be asked anything.
    onnotify: onNotify,
  };
  const sql = postgres(server.url, options);
  const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`;
  return {
    listen: async (channels) => {
      await sql.unsafe(channels.map((name) => `listen ${quoted(name)}`).join("; "));
      return true;
    },
    channels: async () => (await sql.unsafe("select pg_listening_channels() as name")).map(({ name }) => String(name)),
    unlisten: () => sql.unsafe("unlisten *"),
    end: () => sql.end({ timeout: 0 }),
  };
}

/**
 * Connects and sees to it that the schema fits: brings it up to date where the role may.
 *
 * @throws {DatabaseProblem} when it cannot be reached or must not be served
 */
export async function openDatabase(options: ConnectOptions, timing: Timing): Promise<RelayDatabase> {
  const { name, display, url, tls } = options;
  const sql = new ConnectionPool({
    // A pooler keeps no plans, and knows no such parameters.
    open: ({ prepare, onClose }) =>
      connect({ url, tls, pooled: !prepare, keepsPlans: prepare, pinned: prepare ? "all" : undefined, onClose }),
    prepare: !options.pooled,
    statementMs: statementLimitMs(timing.leaseMs),
    clock: timing.clock,
  });
  try {
    const before = await schemaState(sql);
    const problem = schemaProblem(before, display);
    const migrated = problem === undefined ? [] : await migrateIfAllowed(options, problem);
    const after = await schemaState(sql);
    const remaining = schemaProblem(after, display);
    if (remaining !== undefined) throw new DatabaseProblem(remaining);
    const [rights] = await sql.unsafe(RIGHTS);
    if (!rights?.allowed) throw await missingRights(options);
    if (rights.read_only) throw new DatabaseProblem(readOnly(options, rights.role as string));
    return {
      ...{ name, display, sql, migrated, address: placeOf(options), schemaVersion: after.version },
      openSession: (hooks) => openSession(options, hooks),
    };
  } catch (cause) {
    await sql.end({ timeout: 0 });
    if (cause instanceof DatabaseProblem) throw cause;
    if (errorCode(cause) === "42501") throw await missingRights(options, cause);
    throw unreachable(name, display, cause);
  }
}

async function migrateIfAllowed(options: ConnectOptions, problem: string): Promise<readonly string[]> {
  // A migration takes as long as it takes.
  const sql = connect(options);
  try {
    return await migrate(sql);
  } catch (error) {
    if (errorCode(error) === "42501") throw new DatabaseProblem(problem);
    throw error;
  } finally {
    await sql.end({ timeout: 1 });
  }
}

/**
 * What the relay works on: each of these rights on each of these tables, and what it only reads. A list in one call
 * would ask for any of them.
 */
const RIGHTS = `
select bool_and(has_table_privilege('mailchute.' || t, p)) and has_table_privilege('mailchute.pause', 'select') as allowed,
  current_user::text as role, current_setting('transaction_read_only') = 'on' as read_only
from unnest(array['content', 'attachment', 'message', 'recipient', 'attempt', 'queue', 'relay', 'place', 'throttle']) as t,
  unnest(array['select', 'insert', 'update', 'delete']) as p`;

async function missingRights(options: ConnectOptions, cause?: unknown): Promise<DatabaseProblem> {
  const sql = connect(options);
  try {
    const { role, advice } = await rightsAdvice(sql);
    const problem = `Cannot serve the database ${options.display}: the role ${role} may not work on the queue`;
    return new DatabaseProblem(`${problem}; ${advice}`, { cause });
  } finally {
    await sql.end({ timeout: 1 });
  }
}

/** A replica says so too. */
function readOnly({ name, display }: ConnectOptions, role: string): string {
  const fix = `name the primary in ${
    databaseVariable(name)
  }, or let it write: alter role ${role} set default_transaction_read_only = off`;
  return `Cannot serve the database ${display}: transactions are read-only there; ${fix}`;
}

/** Says why a database cannot be used, with the variable that names it. */
export function unreachable(name: string, display: string, cause: unknown): DatabaseProblem {
  const reason = cause instanceof Error ? cause.message || errorCode(cause) : String(cause);
  return new DatabaseProblem(`Cannot use the database ${display}: ${reason}; check ${databaseVariable(name)}`, {
    cause,
  });
}
