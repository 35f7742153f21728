import { type Connection, type Driver, driverOf, run } from "./connection.ts";
import { MailchuteError } from "./error.ts";
import { field, headers, mailbox, mailboxes, oneOf, stream, tags } from "./field.ts";
import type { KeyOptions, Mailer, MailerOptions, SendOptions } from "./mailer.ts";
import { type Defaults, parseMessage, SEND } from "./message.ts";
import type { MessageInput } from "./message_input.ts";
import { CALL, check, KEY, TIMEOUT } from "./options.ts";
import { enqueue, refuseLarge, type Statement } from "./statement.ts";
import { uuidv7 } from "./uuid.ts";

// DESIGN: what every app needs, sending one mail, is here and is loaded with the package. The rest is loaded when it is
// first asked for, since a Worker pays for each byte that it starts with.

/** How long a call waits for the database. */
export const DEFAULT_TIMEOUT_MS = 30_000;

const MAILER = {
  from: field(mailbox),
  replyTo: field(mailboxes),
  headers: field(headers),
  tags: field(tags),
  stream: field(stream),
  transaction: field(oneOf("required")),
  timeoutMs: TIMEOUT,
};

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

  function choose(tx: unknown, what: string, isChange = true): Driver {
    const driver = tx === undefined ? driverOf(db, "db") : driverOf(tx, "tx");
    const needed = transaction === "required" && isChange;
    if (tx === undefined ? needed : driver.isRoot || (needed && tx === db)) {
      throw new MailchuteError(
        "transaction_required",
        `${what}: no open transaction is given as { tx }: pass what begin() or transaction() hands out, or the client it began on ` +
          "(for neon's transaction([...]): mail.statement)",
      );
    }
    return driver;
  }

  async function prepare(message: MessageInput, idempotencyKey: string | undefined): Promise<Statement> {
    const parsed = await parseMessage(message, defaults, timeoutMs);
    return enqueue(parsed, { id: uuidv7(Date.now(), crypto.randomUUID()), idempotencyKey });
  }

  async function later(): Promise<Pick<Mailer, "get" | "cancel" | "reschedule" | "wait" | "suppressions">> {
    const { followUp } = await import("./follow_up.ts");
    return followUp({ choose, timeoutMs });
  }

  return {
    async send(message, options = {}) {
      heedHtml(message);
      const { tx, idempotencyKey } = check<SendOptions>({ ...CALL, idempotencyKey: KEY }, options, SEND);
      const driver = choose(tx, SEND);
      const statement = await prepare(message, idempotencyKey);
      refuseLarge(driver, statement, { what: SEND, path: "message" });
      const { id, created } = await run(driver, statement, { what: SEND, timeoutMs });
      return { id: String(id), created: created === true || created === "t" };
    },

    async statement(message, options = {}) {
      heedHtml(message);
      const { idempotencyKey } = check<KeyOptions>({ idempotencyKey: KEY }, options, SEND);
      const statement = await prepare(message, idempotencyKey);
      refuseLarge(driverOf(db, "db"), statement, { what: SEND, path: "message" });
      return statement;
    },

    async sendMany(template, recipients, options) {
      heedHtml(template);
      const { sendMany } = await import("./send_many.ts");
      return await sendMany({ choose, defaults, timeoutMs }, template, recipients, options);
    },

    get: (async (...call: Parameters<Mailer["get"]>) => (await later()).get(...call)) as Mailer["get"],
    cancel: (async (...call: Parameters<Mailer["cancel"]>) => (await later()).cancel(...call)) as Mailer["cancel"],
    reschedule: async (...call) => (await later()).reschedule(...call),
    wait: async (...call) => (await later()).wait(...call),
    suppressions: {
      add: async (...call) => (await later()).suppressions.add(...call),
      get: async (...call) => (await later()).suppressions.get(...call),
      remove: async (...call) => (await later()).suppressions.remove(...call),
    },
  };
}

/**
 * HTML that is still rendered may fail before it is waited for, or when an option is refused and nobody waits: that
 * must not end the process.
 */
function heedHtml(mail: object): void {
  (async () => await Object(mail).html)().catch(() => {});
}
