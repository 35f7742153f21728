/**
 * A transport for nodemailer that puts mails into the queue, for apps and libraries that send with nodemailer.
 *
 * @module
 */
import type { Mailbox } from "../address.ts";
import { MailchuteError } from "../error.ts";
import type { Mailer } from "../mailer.ts";
import { messageId } from "../mime/message_id.ts";
import { VERSION } from "../version.ts";
import type { ComposedMail } from "./composed_mail.ts";
import { type Converted, messageOf } from "./message_of.ts";
import type { QueueFields } from "./queue_fields.ts";
import { refusalOf } from "./refusal_of.ts";

export type { ComposedMail, QueueFields };

/** What `sendMail` answers. A type and no interface, since nodemailer asks for one that may have further fields. */
export type QueuedInfo = {
  /** The mail's id in the queue: for `mail.get` and `mail.cancel`. */
  readonly id: string;
  /** `false` when the idempotency key was used before: the id is the first mail's. */
  readonly created: boolean;
  /** As all copies of the mail will have it. */
  messageId: string;
  envelope: { from: string | false; to: string[] };
  /** All recipients: the queue has them. What becomes of each, `mail.get` tells. */
  accepted: string[];
  /** Always empty: a mail is in the queue for all, or the promise rejects. */
  rejected: string[];
  /** Always empty. */
  pending: string[];
  /** Such as `Queued as 0190d5a0-0000-7000-8000-000000000000`. */
  response: string;
};

/** A transport as nodemailer 6 to 10 take it. */
export interface QueueTransport {
  /** Who it is, for nodemailer's log. */
  readonly name: string;
  /** The version of this package. */
  readonly version: string;
  /** Puts one mail into the queue. */
  send(mail: ComposedMail, callback: (error: Error | null, info?: QueuedInfo) => void): void;
  /** Asks the database one question, as the app's role: whether it answers, has the schema and lets the role in. */
  verify(): Promise<true>;
  /** The same, for who takes no promise. */
  verify(callback: (error: Error | null, success?: true) => void): void;
  /** There is always room. */
  isIdle(): boolean;
  /** Nothing to close: the connection is the app's. */
  close(): void;
}

/** A UUID that no mail has. */
const NO_ID = "00000000-0000-7000-8000-000000000000";

/**
 * Makes a transport for nodemailer that puts each mail into the queue:
 * `nodemailer.createTransport(mailchuteTransport(mail))`.
 *
 * It takes a mailer, and no connection with options of its own, so that an app says once who its mails are from and
 * where they are kept, and so that its tests hand in the mailer of `mailchute/testing`. What only a queue knows goes
 * into the field `mailchute` of a message: `tx`, `idempotencyKey`, `tags`, `metadata`, `priority`, `scheduledAt`,
 * `expiresAt`, `unsubscribe`, `onUncertain`, `stream`, `digest`, `template`, `overrideSuppression`. The promise of
 * `sendMail` says that the mail is queued, and `mail.get(info.id)` what became of it.
 *
 * @example Receipts in the app's own transaction, through nodemailer
 * ```ts
 * import nodemailer from "nodemailer";
 * import type { Sql } from "postgres";
 * import { createMailer } from "@mailchute/mailchute";
 *
 * async function order(sql: Sql, number: number): Promise<void> {
 *   const transport = nodemailer.createTransport(mailchuteTransport(createMailer(sql)));
 *   await sql.begin(async (tx) => {
 *     const mailchute: QueueFields = { tx, idempotencyKey: `receipt/${number}` };
 *     const message = { from: "shop@example.com", to: "ann@example.com", subject: "Receipt", text: "Thanks!", mailchute };
 *     await transport.sendMail(message);
 *   });
 * }
 * ```
 * @throws {MailchuteError} `validation_error` when `mail` is no mailer
 */
export function mailchuteTransport(mail: Mailer): QueueTransport {
  if (typeof Object(mail).send !== "function") {
    const issue = { path: "mail", message: "it is not a mailer: pass what createMailer returns" };
    throw new MailchuteError("validation_error", `Cannot make the transport: ${issue.path}: ${issue.message}`, {
      issues: [issue],
    });
  }
  return {
    name: "mailchute",
    version: VERSION,
    send(composed, callback) {
      queue(mail, composed).then((info) => callback(null, info), callback);
    },
    verify(callback?: (error: Error | null, success?: true) => void) {
      const asked = mail.get(NO_ID).then((): true => true);
      if (callback === undefined) return asked;
      return void asked.then(() => callback(null, true), callback);
    },
    isIdle: () => true,
    close: () => {},
  } as QueueTransport;
}

async function queue(mail: Mailer, composed: ComposedMail): Promise<QueuedInfo> {
  const converted = await messageOf(composed);
  const { message, options, attachmentPaths } = converted;
  try {
    const { id, created } = await mail.send(message, options);
    const from = await fromOf(mail, converted);
    const to = recipientsOf(converted);
    return {
      ...{ id, created },
      messageId: messageId({ id, from }),
      envelope: { from: message.returnPath === "" ? false : message.returnPath ?? from.email, to },
      ...{ accepted: [...to], rejected: [], pending: [] },
      response: created ? `Queued as ${id}` : `Queued before as ${id}`,
    };
  } catch (error) {
    throw refusalOf(error, attachmentPaths);
  }
}

/** The mail's own From, or the one that the mailer gives it, which only a statement tells. */
async function fromOf(mail: Mailer, { message }: Converted): Promise<Mailbox> {
  if (message.from !== undefined) return message.from as Mailbox;
  const { values } = await mail.statement({ to: "nobody@example.com", subject: "", text: "" });
  return JSON.parse(String(values[0])).from;
}

function recipientsOf({ message: { to, cc, bcc } }: Converted): string[] {
  return [to, cc, bcc].flatMap((list) => (list ?? []) as readonly Mailbox[]).map(({ email }) => email);
}
