/**
 * Puts mails into a queue in the app's own Postgres, in the app's own transaction; a relay beside the SMTP server sends
 * them.
 *
 * @example Build a mail's statement and run it where the app's own statements run
 * ```ts
 * import { createMailer } from "@mailchute/mailchute";
 *
 * // Any connection will do: postgres(url), neon(url), a Pool of pg. This one only shows what it is asked.
 * const db = { query: (text: string, values: string[]) => Promise.resolve({ rows: [{ text, values }] }) };
 * const mail = createMailer(db, { from: "Shop <shop@example.com>" });
 * const { text, values } = await mail.statement({ to: "ann@example.com", subject: "Welcome", text: "Hello Ann" });
 * if (text !== "select id, created from mailchute.enqueue_v1($1::text::jsonb)" || values.length !== 1) throw new Error("unexpected");
 * ```
 * @module
 */
export type { Address, NamedAddress } from "./src/address.ts";
export type { Attachment, AttachmentFields, BinaryAttachment, TextAttachment } from "./src/attachment.ts";
export { createMailer } from "./src/client.ts";
export type { Digest, DigestFields, DigestTime, DigestWait } from "./src/digest.ts";
export type {
  BatchName,
  CallOptions,
  CanceledOf,
  KeyOptions,
  Mailer,
  MailerOptions,
  SendOptions,
  Sent,
  StatusOf,
  Suppressions,
  TagName,
} from "./src/mailer.ts";
export type { Connection, Method } from "./src/connection.ts";
export { MailchuteError } from "./src/error.ts";
export type { Issue, MailchuteErrorCode } from "./src/error.ts";
export type { Html, HtmlElement } from "./src/html.ts";
export { LIMITS } from "./src/limits.ts";
export type { Limits } from "./src/limits.ts";
export type {
  CustomHeaders,
  HtmlBody,
  HtmlMail,
  MessageFields,
  MessageInput,
  SubjectLine,
  TemplateBody,
  TemplateMail,
  TextBody,
  TextMail,
} from "./src/message_input.ts";
export type { ManyProgress, SendManyOptions, SentMany } from "./src/send_many.ts";
export { isFinal } from "./src/state.ts";
export type { FinalState, OpenState, State } from "./src/state.ts";
export type { Statement } from "./src/statement.ts";
export type { FilledTemplate, SharedTemplate, StoredTemplate } from "./src/stored_template.ts";
export type {
  MailTemplate,
  ManyRecipient,
  ManyRecipients,
  NoFieldOfATemplate,
  NoOthers,
  Value,
  VariablesOf,
} from "./src/template_variables.ts";
// What VariablesOf is made of, so that the compiler's messages name nothing that cannot be looked up.
export type { IsSeen, NamesIn, Texts, Trimmed } from "./src/template_variables.ts";
export type { Suppression, SuppressionReason } from "./src/suppression.ts";
export type { WaitOptions } from "./src/wait.ts";
export type {
  AttemptStatus,
  BatchStatus,
  DigestStatus,
  EventStatus,
  MessageStatus,
  RecipientStatus,
} from "./src/status.ts";
