import * as v from "valibot";
import type { Address } from "./address.ts";
import { type Connection, type Driver, driverOf, MAX_TIMEOUT_MS, run } from "./connection.ts";
import { MailchuteError } from "./error.ts";
import { type Fault, field, headers, key, mailbox, mailboxes, oneOf, over, stream, tags, time } from "./field.ts";
import { LIMITS } from "./limits.ts";
import { checkFields, refuse } from "./finding.ts";
import { type Defaults, type MessageInput, parseMessage, SEND } from "./message.ts";
import { cancel, enqueue, neonHttpBytes, type Query, reschedule, type Statement, status } from "./statement.ts";
import { type MessageStatus, parseStatus } from "./status.ts";
import { isUuid, uuidv7 } from "./uuid.ts";

/** What a mailer does with each of its mails. */
export interface MailerOptions {
  /** Who mails are from that say nothing else. */
  readonly from?: Address | undefined;
  /** Where answers go to mails that say nothing else. */
  readonly replyTo?: Address | readonly Address[] | undefined;
  /** Headers of all mails; a mail's own header of the same name replaces one. */
  readonly headers?: Readonly<Record<string, string>> | readonly (readonly [name: string, value: string])[] | undefined;
  /** Tags of all mails, before their own. */
  readonly tags?: readonly string[] | undefined;
  /** The stream of mails that name none. */
  readonly stream?: string | undefined;
  /** `required` makes a forgotten `tx` in send, cancel and reschedule an error. @default `db` is used */
  readonly transaction?: "required" | undefined;
  /** Longest wait for an answer of the database; 1 to 2,147,483,647. @default {30_000} */
  readonly timeoutMs?: number | undefined;
}

/** Where a call runs. */
export interface CallOptions {
  /** The app's own transaction; the call is part of it, and nothing happens unless it commits. @default the mailer's `db` */
  readonly tx?: Connection | undefined;
}

/** What keeps a mail from being queued twice. */
export interface KeyOptions {
  /** 1 to 256 bytes, such as `receipt/1042`. The same key with the same mail adds nothing, with another mail is an error. */
  readonly idempotencyKey?: string | undefined;
}

/** How a mail is sent. */
export interface SendOptions extends CallOptions, KeyOptions {}

/** A mail in the queue. */
export interface Sent {
  /** A UUIDv7; the Message-ID comes from it. */
  readonly id: string;
  /** `false` when the idempotency key was used before: the id is the first mail's. */
  readonly created: boolean;
}

/** Puts mails into the queue and asks about them. */
export interface Mailer {
  /**
   * Puts a mail into the queue, in the transaction `tx`.
   *
   * @throws {MailchuteError} when the mail is not in the queue; for `timeout` it may be: send again with the same idempotency key
   */
  send(message: MessageInput, options?: SendOptions): Promise<Sent>;
  /**
   * Makes the SQL statement that puts a mail into the queue, and does not run it: for `sql.transaction([...])` of Neon over HTTP.
   *
   * @throws {MailchuteError} when the mail is not valid
   */
  statement(message: MessageInput, options?: KeyOptions): Promise<Statement>;
  /** Tells all about a mail but its content; undefined when this app has none with that id. */
  get(id: string, options?: CallOptions): Promise<MessageStatus | undefined>;
  /** Takes a mail back. `too_late`: it is being sent, or it is final. */
  cancel(id: string, options?: CallOptions): Promise<"canceled" | "too_late" | "unknown">;
  /** Moves a mail to another time. `too_late`: an attempt was made, or is being made. */
  reschedule(id: string, at: Date | string, options?: CallOptions): Promise<"rescheduled" | "too_late" | "unknown">;
}

const DEFAULT_TIMEOUT_MS = 30_000;
const GET = "Cannot get the mail's status";

const MAILER = {
  from: field(mailbox),
  replyTo: field(mailboxes),
  headers: field(headers),
  tags: field(tags),
  stream: field(stream),
  transaction: field(oneOf("required")),
  timeoutMs: field(timeout),
};
const CALL = { tx: v.unknown() };
const KEY = { idempotencyKey: field((value, fault) => key(value, LIMITS.idempotencyKeyBytes, fault)) };

/**
 * Makes a mailer. It opens nothing and keeps nothing: a mailer per request is fine.
 *
 * @example Order and mail exist together or not at all
 * ```ts
 * import type { Sql } from "postgres";
 *
 * async function order(sql: Sql, number: number): Promise<void> {
 *   const mail = createMailer(sql, { from: "Shop <shop@example.com>" });
 *   await sql.begin(async (tx) => {
 *     await tx`insert into orders (number) values (${number})`;
 *     const message = { to: "ann@example.com", subject: "Receipt", text: "Thanks!" };
 *     await mail.send(message, { tx, idempotencyKey: `receipt/${number}` });
 *   });
 * }
 * ```
 * @param db a connection or a pool, or an open transaction; a transaction can also come with each call
 * @throws {MailchuteError} `connection_unsupported` when `db` is none, `validation_error` when an option is wrong
 */
export function createMailer(db: Connection, options: MailerOptions = {}): Mailer {
  // The rest of its shape is looked at when it is used: apps hand in proxies that connect at the first touch.
  if (Object(db) !== db) driverOf(db, "db");
  const { transaction, timeoutMs = DEFAULT_TIMEOUT_MS, ...defaults } = check<
    Defaults & Pick<MailerOptions, "transaction" | "timeoutMs">
  >(MAILER, options, "Cannot make the mailer");

  function choose(tx: unknown, what: string): Driver {
    if (transaction === "required" && what !== GET && (tx === undefined || tx === db)) {
      throw new MailchuteError("transaction_required", `${what}: no transaction is given: pass it as { tx }`);
    }
    return tx === undefined ? driverOf(db, "db") : driverOf(tx, "tx");
  }

  /** Asks about a mail by its id. */
  async function ask<T extends string>(query: Query, options: CallOptions, what: string): Promise<T | undefined> {
    const { tx } = check<CallOptions>(CALL, options, what);
    // Not for the database: inside a transaction, its refusal of a bad UUID would undo the app's own work.
    if (!isUuid(String(query.values[0]))) return undefined;
    const driver = choose(tx, what);
    return (await run(driver, query, { what, timeoutMs })).answer as T | undefined ?? undefined;
  }

  async function prepare(message: MessageInput, idempotencyKey: string | undefined): Promise<Statement> {
    const parsed = await parseMessage(message, defaults);
    return enqueue(parsed, { id: uuidv7(Date.now(), crypto.randomUUID()), idempotencyKey });
  }

  return {
    async send(message, options = {}) {
      const { tx, idempotencyKey } = check<SendOptions>({ ...CALL, ...KEY }, options, SEND);
      const driver = choose(tx, SEND);
      const statement = await prepare(message, idempotencyKey);
      refuseLarge(driver, statement);
      const { id, created } = await run(driver, statement, { what: SEND, timeoutMs });
      return { id: String(id), created: created === true || created === "t" };
    },

    async statement(message, options = {}) {
      const { idempotencyKey } = check<KeyOptions>(KEY, options, SEND);
      const statement = await prepare(message, idempotencyKey);
      refuseLarge(driverOf(db, "db"), statement);
      return statement;
    },

    async get(id, options = {}) {
      const answer = await ask(status(id), options, GET);
      return answer === undefined ? undefined : parseStatus(answer);
    },

    async cancel(id, options = {}) {
      return await ask<"canceled" | "too_late">(cancel(id), options, "Cannot cancel the mail") ?? "unknown";
    },

    async reschedule(id, at, options = {}) {
      const what = "Cannot reschedule the mail";
      // An empty string is no time: `at` has no default.
      const parsed = check<{ readonly at: string }>({ at: field(time) }, { at: at ?? "" }, what).at;
      return await ask<"rescheduled" | "too_late">(reschedule(id, parsed), options, what) ?? "unknown";
    },
  };
}

/** Reads options, or throws all that is wrong with them. */
function check<T>(fields: Readonly<Record<string, v.GenericSchema>>, options: object, what: string): T {
  // A connection given in the place of its options is a function, or an object of names that are unknown here.
  const { output, findings } = checkFields<T>(
    fields,
    typeof options === "function" ? { options } : { ...options },
    "it is no option",
  );
  refuse(what, findings);
  return output;
}

function refuseLarge(driver: Driver, statement: Statement): void {
  if (!driver.isNeonHttp) return;
  over(neonHttpBytes(statement), LIMITS.neonHttpBytes, (reason) => {
    const message = `${reason} when encoded for Neon over HTTP: a Pool or postgres.js has no such limit`;
    refuse(SEND, [{ path: "message", message, limit: true }]);
  });
}

function timeout(value: unknown, fault: Fault): number {
  if (typeof value === "number" && value >= 1 && value <= MAX_TIMEOUT_MS) return value;
  fault(`it is not a number of milliseconds from 1 to ${MAX_TIMEOUT_MS}`);
  return DEFAULT_TIMEOUT_MS;
}
