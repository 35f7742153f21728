import type { Address } from "./address.ts";
import type { Connection } from "./connection.ts";
import type { CustomHeaders, MessageInput } from "./message_input.ts";
import type { SendManyOptions, SentMany } from "./send_many.ts";
import type { Statement } from "./statement.ts";
import type { BatchStatus, MessageStatus } from "./status.ts";
import type { Suppression, SuppressionReason } from "./suppression.ts";
import type { MailTemplate, ManyRecipients, NoOthers } from "./template_variables.ts";
import type { WaitOptions } from "./wait.ts";

/** What a mailer does with each of its mails. */
export interface MailerOptions {
  /** The sender of mails that name none. */
  readonly from?: Address | undefined;
  /** Where answers go to mails that do not say it themselves. */
  readonly replyTo?: Address | readonly Address[] | undefined;
  /** Headers of all mails; a mail's own header of the same name replaces one. */
  readonly headers?: CustomHeaders | undefined;
  /** Tags of all mails, before their own. */
  readonly tags?: readonly string[] | undefined;
  /** The stream of mails that name none. */
  readonly stream?: string | undefined;
  /** `required` makes a forgotten `tx` in send, cancel and reschedule an error. @default `db` is used */
  readonly transaction?: "required" | undefined;
  /**
   * Longest wait for an answer of the database, for HTML that is a promise and for the next bytes of a file, in
   * milliseconds; 1 to 2,147,483,647.
   * @default {30_000}
   */
  readonly timeoutMs?: number | undefined;
}

/** Where a call runs. */
export interface CallOptions {
  /**
   * The app's own transaction, never a pool; the call is part of it, and nothing happens unless it commits.
   * @default the mailer's `db`
   */
  readonly tx?: Connection | undefined;
}

/** What keeps a mail from being queued twice. */
export interface KeyOptions {
  /**
   * 1 to 256 bytes, such as `receipt/1042`. The same key with the same mail adds nothing, with another mail is an
   * error. The database compares what is written: one instant as a Date and as a string, or in two zones, is two.
   */
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

/** The name of a bulk send. */
export interface BatchName {
  /** As it was given to `sendMany`, or the id that stood for it. */
  readonly batch: string;
}

/** A label of mails. */
export interface TagName {
  /** One of those that the mails have. */
  readonly tag: string;
}

/** What is told of a mail, by its id, or of a bulk send. */
export type StatusOf<Which> = Which extends string ? MessageStatus : BatchStatus;

/** What became of a mail, by its id, or how many were taken back. */
export type CanceledOf<Which> = Which extends string ? "canceled" | "too_late" | "unknown" : number;

/** Puts mails into the queue and asks about them. */
export interface Mailer {
  /**
   * Puts a mail into the queue, in the transaction `tx`. With `template`, the database makes it of one of the app's
   * templates.
   *
   * @example A template in the reader's language
   * ```ts
   * async function welcome(mail: Mailer, user: { email: string; first: string; language: string }): Promise<void> {
   *   const { first, language } = user;
   *   await mail.send({ to: user.email, template: { name: "welcome", language, variables: { first } } });
   * }
   * ```
   * @throws {MailchuteError} when the mail is not in the queue; for `timeout` it may be: send again with the same
   * idempotency key
   */
  send(message: MessageInput, options?: SendOptions): Promise<Sent>;
  /**
   * Makes the SQL statement that puts a mail into the queue, and does not run it: for `sql.transaction([...])` of Neon
   * over HTTP.
   *
   * @throws {MailchuteError} when the mail is not valid
   */
  statement(message: MessageInput, options?: KeyOptions): Promise<Statement>;
  /**
   * Puts a mail for each recipient into the queue: the content once, and `{{names}}` in subject, text, html,
   * unsubscribe and headers for what each has of their own. The list may be of any length, and is read as it is needed.
   * `priority` is `low` unless the template says otherwise.
   *
   * Without `tx` it is sent and committed in parts: after an error those that are queued stay, and the same call with
   * the same `batch` adds the rest.
   *
   * @example The compiler asks for the variables
   * ```ts
   * async function news(mail: Mailer, readers: AsyncIterable<{ email: string; name: string }>): Promise<number> {
   *   async function* recipients() {
   *     for await (const { email, name } of readers) yield { to: email, variables: { name } };
   *   }
   *   const template = { subject: "News for {{name}}", html: "<p>Dear {{name}}</p>" } as const;
   *   const { created } = await mail.sendMany(template, recipients(), { batch: "news/2026-11" });
   *   return created;
   * }
   * ```
   * @throws {MailchuteError} as `send`; a recipient's issue has a path such as `recipients.7.variables.name`
   */
  sendMany<const T extends MailTemplate>(
    template: T & NoOthers<T>,
    recipients: ManyRecipients<T>,
    options?: SendManyOptions,
  ): Promise<SentMany>;
  /**
   * Tells all about a mail by its id, except its content; or, by the name of a batch, how far that is. The latter
   * counts every mail of the batch: it is for a look now and then. Undefined when this app has none of that id or name.
   */
  get<Which extends string | BatchName>(which: Which, options?: CallOptions): Promise<StatusOf<Which> | undefined>;
  /**
   * Waits until a mail is final, and tells all about it. Asks again and again, less often with time; for tests and for
   * jobs, not for a request.
   *
   * @throws {MailchuteError} `timeout` when it is still open then; `validation_error` when there is none with that id,
   * or it is not committed
   */
  wait(id: string, options?: WaitOptions): Promise<MessageStatus>;
  /**
   * Takes a mail back by its id, and answers a word; `too_late`: it is being sent, or it is final. By a batch or a tag,
   * takes back all mails that are neither, and answers how many.
   */
  cancel<Which extends string | BatchName | TagName>(which: Which, options?: CallOptions): Promise<CanceledOf<Which>>;
  /** Moves a mail to another time. `too_late`: an attempt was made, or is being made. */
  reschedule(id: string, at: Date | string, options?: CallOptions): Promise<"rescheduled" | "too_late" | "unknown">;
  /** The addresses that get no mail of this app, whoever asks for it: such a recipient ends as `suppressed`. */
  readonly suppressions: Suppressions;
}

/** What an app may say of addresses. Compared in lower case. */
export interface Suppressions {
  /**
   * Puts an address on the list, of this app only; one that is there gets the new reason, but a bounce or a complaint
   * stays one.
   * @param reason
   * @default {"manual"}
   */
  add(address: Address, reason?: SuppressionReason, options?: CallOptions): Promise<void>;
  /** Tells why an address gets no mail of this app; undefined: it does. */
  get(address: Address, options?: CallOptions): Promise<Suppression | undefined>;
  /** Takes an address off the list that this app has put there; false: it had not. */
  remove(address: Address, options?: CallOptions): Promise<boolean>;
}
