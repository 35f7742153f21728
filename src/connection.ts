import { MailchuteError } from "./error.ts";
import type { Query } from "./statement.ts";

// DESIGN: a driver is known by its shape, so that this package depends on none and mixes with every version of them. To add one, write
// how it is told from the others into `driverOf`; what it answers is a list of rows, or an object that has one.

/**
 * A connection, a pool or an open transaction of a driver that we know: postgres.js, Neon over HTTP or WebSocket, node-postgres.
 */
export type Connection =
  | { readonly query: (...args: never[]) => unknown }
  | { readonly unsafe: (...args: never[]) => unknown };

/** One row of an answer. */
export type Row = Readonly<Record<string, unknown>>;

/** How to talk to one kind of driver. */
export interface Driver {
  /** Then a request has a limit. */
  readonly isNeonHttp: boolean;
  run(query: Query): PromiseLike<unknown>;
}

type Run = (text: string, values: string[], options?: object) => PromiseLike<unknown>;

/**
 * Finds out what kind of connection it is given.
 *
 * @param place how the caller names it: `db` or `tx`
 * @throws {MailchuteError} `connection_unsupported`
 */
export function driverOf(connection: unknown, place: string): Driver {
  const { query, unsafe, transaction } = (connection ?? {}) as Partial<Record<"query" | "unsafe" | "transaction", Run>>;
  if (typeof connection === "function") {
    // Neon has `unsafe` too, which runs nothing; so has the function that its transaction(fn) hands out.
    if (typeof query === "function") {
      if (typeof transaction === "function") {
        // Whatever the app has set, rows are to be objects.
        const options = { arrayMode: false, fullResults: false };
        return { isNeonHttp: true, run: ({ text, values }) => query.call(connection, text, values, options) };
      }
    } else if (typeof unsafe === "function") {
      // As the app's own queries: prepared, so that one round trip is enough, unless its connection says `prepare: false`.
      return {
        isNeonHttp: false,
        run: ({ text, values }) => unsafe.call(connection, text, values, { prepare: true }),
      };
    }
  } else if (typeof query === "function") {
    return { isNeonHttp: false, run: ({ text, values }) => query.call(connection, text, values) };
  }
  // Only what kind of value it is: a string may be a URL with a password.
  const kind = connection === null ? "null" : typeof connection;
  throw new MailchuteError(
    "connection_unsupported",
    `Cannot use ${place} (${kind}): it is none of postgres.js, Neon over HTTP, or a Pool or Client of pg or Neon, and no open ` +
      "transaction of these (for neon's transaction([...]): mail.statement; for a URL: mailchute/postgres)",
  );
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
  let timer: ReturnType<typeof setTimeout> | undefined;
  const deadline = new Promise<never>((_, reject) => {
    const late = `${what}: the database did not answer within ${timeoutMs} ms`;
    timer = setTimeout(() => reject(new MailchuteError("timeout", late)), timeoutMs);
  });
  try {
    const answer = await Promise.race([driver.run(query), deadline]);
    const rows: unknown = Array.isArray(answer) ? answer : (answer as { readonly rows?: unknown } | undefined)?.rows;
    if (Array.isArray(rows) && rows.length === 1) return rows[0];
  } catch (error) {
    // Loaded when something goes wrong, which it mostly does not.
    const { refusalOf } = await import("./refusal.ts");
    throw refusalOf(error, what);
  } finally {
    clearTimeout(timer);
  }
  throw new MailchuteError(
    "database_error",
    `${what}: the connection did not answer with one row`,
  );
}
