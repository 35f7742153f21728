import { driverOf } from "../src/connection.ts";
import type { Clock } from "../relay/clock.ts";
import type { Rows, Statements } from "../relay/statements.ts";

/** A statement that was not answered in time. It may have been executed. */
export class NoAnswer extends Error {
  override readonly name = "NoAnswer";
  readonly code = "no_answer";
}

/**
 * Runs statements on the app's connection, known by its shape as in the client. Each has a limit: a driver may wait for ever for a
 * connection that cannot be made (postgres.js in workerd, when TLS fails).
 *
 * @throws {MailchuteError} `connection_unsupported`
 */
export function statementsOf(
  connection: unknown,
  { limitMs, clock }: { readonly limitMs: number; readonly clock: Pick<Clock, "after"> },
): Statements {
  const driver = driverOf(connection, "database");
  return {
    unsafe: async (text, values = []) => {
      // Drivers take numbers, booleans and null as well as the client's texts.
      const work = Promise.resolve(driver.run(text, values as string[]));
      const late = Promise.withResolvers<never>();
      const cancel = clock.after(
        limitMs,
        () => late.reject(new NoAnswer(`The database did not answer within ${limitMs} ms`)),
      );
      const answer = await Promise.race([work, late.promise]).finally(cancel);
      return rowsOf(answer);
    },
  };
}

function rowsOf(answer: unknown): Rows {
  const rows: unknown = Array.isArray(answer) ? answer : (answer as { readonly rows?: unknown } | undefined)?.rows;
  if (Array.isArray(rows)) return rows as Rows; // objects, by the options that driverOf gives
  throw new TypeError("Cannot use the answer of database: it is no list of rows");
}
