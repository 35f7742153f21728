import type { Rows, Statements } from "../relay/database/statements.ts";
import type { Clock } from "../relay/time/clock.ts";
import { driverOf } from "../src/connection.ts";

/** A statement that was not answered in time. It may have been executed. */
export class NoAnswer extends Error {
  override readonly name = "NoAnswer";
  readonly code = "no_answer";
}

/**
 * Runs statements on the app's connection, known by its shape as in the client. Each has a limit: a driver may wait for
 * ever for a connection that cannot be made (postgres.js in workerd, when TLS fails).
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

const PROBE = "select $1::boolean as is_known, $2::int as a_number, $3::text as no_text, $4::text::jsonb as a_list";
const LIST = '[{"a_b":null}]';

/**
 * Looks whether values come back as they are: a connection of the app may rename columns, or parse them in its own way,
 * and a mail that was read so would lack what was not found.
 *
 * @throws {Error} when they do not
 */
export async function checkAnswers(statements: Statements): Promise<void> {
  const [row] = await statements.unsafe(PROBE, [true, 7, null, LIST]);
  const isPlain = row?.is_known === true && row.a_number === 7 && row.no_text === null;
  if (isPlain && JSON.stringify(row.a_list) === LIST) return;
  throw new Error(
    "Cannot use database: its connection changes what the database answers (transform or types of postgres.js, type parsers of pg); " +
      "give one that does not, or a URL",
  );
}

function rowsOf(answer: unknown): Rows {
  const rows: unknown = Array.isArray(answer) ? answer : (answer as { readonly rows?: unknown } | undefined)?.rows;
  if (Array.isArray(rows)) return rows as Rows; // objects, by the options that driverOf gives
  throw new TypeError("Cannot use the answer of database: it is no list of rows");
}
