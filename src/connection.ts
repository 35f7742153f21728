import { MailchuteError } from "./error.ts";
import type { Query } from "./statement.ts";
import { within } from "./within.ts";

// DESIGN: a driver is known by its shape, so that this package depends on none and mixes with every version of them. To
// add one, write how it is told from the others into `find`; what it answers is a list of rows, or an object that has
// one.

/**
 * A connection, a pool or an open transaction of what we know: postgres.js, Bun.SQL, node-postgres, Neon over HTTP or
 * WebSocket, Drizzle, Kysely, Prisma, TypeORM.
 */
export type Connection =
  | { readonly query: Method }
  | { readonly unsafe: Method }
  | { readonly execute: Method }
  | { readonly executeQuery: Method }
  | { readonly $queryRawUnsafe: Method };

/** A method of a driver, whatever it takes. */
export type Method = (...args: never[]) => unknown;

/** One row of an answer. */
export type Row = Readonly<Record<string, unknown>>;

/** How to talk to one kind of driver. */
export interface Driver {
  /** Then a request has a limit, and no transaction stays open. */
  readonly isNeonHttp?: boolean;
  /**
   * Whether it surely is no transaction: what hands out connections or opens transactions. A single connection may be
   * in one.
   */
  readonly isRoot?: boolean;
  run(text: string, values: string[]): PromiseLike<unknown>;
}

/** What is looked at to know a connection, and called. */
interface Known {
  query(text: string, values: string[], options: object | undefined): PromiseLike<unknown>;
  unsafe(text: string, values: string[], options: object): PromiseLike<unknown>;
  execute(sql: object): PromiseLike<unknown>;
  executeQuery(query: object): PromiseLike<unknown>;
  withoutPlugins(): Pick<Known, "executeQuery">;
  $queryRawUnsafe(text: string, ...values: string[]): PromiseLike<unknown>;
  readonly $client: unknown;
  readonly $connect: unknown;
  readonly begin: unknown;
  readonly getRepository: unknown;
  readonly isTransaction: unknown;
  readonly queryRunner: unknown;
  readonly release: unknown;
  readonly savepoint: unknown;
  readonly transaction: unknown;
}

/**
 * Finds out what kind of connection it is given.
 *
 * @param place how the caller names it: `db` or `tx`
 * @throws {MailchuteError} `connection_unsupported`
 */
export function driverOf(connection: unknown, place: string): Driver {
  const driver = find(connection);
  if (driver) return driver;
  // Only what kind of value it is: a string may be a URL with a password.
  const kind = connection === null ? "null" : typeof connection;
  throw new MailchuteError(
    "connection_unsupported",
    `Cannot use ${place} (${kind}): give a connection of postgres.js, Bun.SQL, pg, Neon, Drizzle, Kysely, Prisma or TypeORM ` +
      "(for neon's transaction([...]): mail.statement; for a URL: mailchute/postgres)",
  );
}

function find(connection: unknown): Driver | undefined {
  const known = Object(connection) as Known;
  const has = (name: keyof Known): boolean => typeof known[name] === "function";
  const isFunction = typeof connection === "function";
  // First, since a client of Prisma has a property for each table, of any name, which is no function.
  if (has("$queryRawUnsafe")) {
    return { isRoot: has("$connect"), run: (text, values) => known.$queryRawUnsafe(text, ...values) };
  }
  if (has("query")) {
    // The function that neon's transaction(fn) hands out sends nothing at once.
    if (isFunction && !has("transaction")) return undefined;
    // Whatever the app has set for Neon, rows are to be objects.
    const options = isFunction ? { arrayMode: false, fullResults: false } : undefined;
    return {
      isNeonHttp: isFunction,
      // A pool counts its connections; of TypeORM, only what belongs to a transaction has a QueryRunner.
      isRoot: isFunction || "totalCount" in known || (has("getRepository") && !known.queryRunner),
      run: (text, values) => known.query(text, values, options),
    };
  }
  if (isFunction && has("unsafe")) {
    return {
      // Bun's transactions have `begin` too, and so has what it reserves.
      isRoot: has("begin") && !has("savepoint") && !has("release"),
      // As the app's own queries: prepared, so that one round trip is enough, unless its connection says `prepare:
      // false`.
      run: (text, values) => known.unsafe(text, values, { prepare: true }),
    };
  }
  if (has("executeQuery")) {
    return {
      isRoot: !known.isTransaction,
      // Plugins would rename or parse what it answers.
      run: (sql, parameters) => known.withoutPlugins().executeQuery({ sql, parameters, query: { kind: "RawNode" } }),
    };
  }
  if (has("execute")) {
    return {
      // What Drizzle runs on tells the limit, and whether it is a pool; its transactions have no `$client`.
      ...find(known.$client),
      run: (sql, params) => {
        const wrapper: object = { getSQL: () => wrapper, toQuery: () => ({ sql, params }) };
        return known.execute(wrapper);
      },
    };
  }
  return undefined;
}

/**
 * Runs one statement and returns its one row. Always settles: a connection that hangs ends in `timeout`.
 *
 * @throws {MailchuteError} with the driver's error as its cause
 */
export async function run(
  driver: Driver,
  query: Query,
  options: { readonly what: string; readonly timeoutMs: number },
): Promise<Row> {
  const { what, timeoutMs } = options;
  try {
    const answer = await within(
      timeoutMs,
      driver.run(query.text, query.values),
      `${what}: the database did not answer`,
    );
    const rows: unknown = Array.isArray(answer) ? answer : (answer as { readonly rows?: unknown } | undefined)?.rows;
    if (Array.isArray(rows) && rows.length === 1) return rows[0];
  } catch (error) {
    // Loaded when something goes wrong, which it mostly does not.
    const { refusalOf } = await import("./refusal.ts");
    throw refusalOf(error, what);
  }
  throw new MailchuteError(
    "database_error",
    `${what}: the connection did not answer with one row`,
  );
}
