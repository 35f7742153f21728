import { over } from "./field.ts";
import { refuse } from "./finding.ts";
import { LIMITS } from "./limits.ts";
import type { Message } from "./message.ts";
import { octets } from "./octets.ts";

/**
 * A mail as one SQL statement, for drivers that take a list of statements. Run it once, in the transaction that it
 * belongs to.
 */
export interface Statement {
  /** The SQL, with one parameter. */
  readonly text: string;
  /** The parameter's value. */
  // Not readonly: the drivers' own types ask for arrays that they could change.
  readonly values: string[];
  /**
   * The mail's id. With an idempotency key that was used before, the row that the statement returns has the first
   * mail's.
   */
  readonly id: string;
}

/** What a request has beside the mail. */
export interface EnqueueOptions {
  readonly id: string;
  readonly idempotencyKey: string | undefined;
}

/** What is asked of the database. */
export type Query = Pick<Statement, "text" | "values">;

// One parameter each, cast from text: a driver that knows json would turn a string into a JSON string, and PgBouncer or
// Neon would need the types of anything else.
const ENQUEUE = "select id, created from mailchute.enqueue_v1($1::text::jsonb)";

/**
 * Puts a mail into the queue. Nothing in it changes from call to call but the id, which the idempotency hash leaves
 * out.
 */
export function enqueue(message: Message, options: EnqueueOptions): Statement {
  // JSON leaves out a key that is undefined.
  return { text: ENQUEUE, values: [JSON.stringify({ ...options, ...message })], id: options.id };
}

/**
 * Refuses what Neon would not take over HTTP, before it is sent: JSON, in which a statement's JSON stands escaped once
 * more.
 *
 * @param call the head of the error, and where the app gave what is too large
 * @throws {MailchuteError} `too_large`
 */
export function refuseLarge(
  driver: { readonly isNeonHttp?: boolean },
  query: Query,
  call: { readonly what: string; readonly path: string },
): void {
  if (!driver.isNeonHttp) return;
  const bytes = octets(JSON.stringify({ query: query.text, params: query.values }));
  over(bytes, LIMITS.neonHttpBytes, (reason) => {
    const message = `${reason} when encoded for Neon over HTTP: a Pool or postgres.js has no such limit`;
    refuse(call.what, [{ path: call.path, message, limit: true }]);
  });
}
