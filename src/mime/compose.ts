import { type Mailbox, mailboxOf, parseAddress } from "../address.ts";
import { MailchuteError } from "../error.ts";
import { isUuid } from "../is_uuid.ts";
import { addressHeader, needsUtf8 } from "./address_list.ts";
import { attachmentOf, attachmentProblem, type MailAttachment } from "./attachment.ts";
import { writeBase64 } from "./base64.ts";
import { type AttachmentSlot, bodyPieces, type MailPiece } from "./body.ts";
import { headerProblem, repeatedHeader, textHeader, valueProblem } from "./header.ts";
import { messageId } from "./message_id.ts";
import { unsubscribeHeaders, unsubscribeProblem } from "./unsubscribe.ts";

export { attachmentOf, messageId };
export type { AttachmentSlot, MailAttachment, MailPiece };

/** A mail with all that readers will see of it; who else gets it is the envelope's business. */
export interface Mail {
  /** The message's UUID: Message-ID and boundaries come from it, so that every copy has the same bytes. */
  readonly id: string;
  readonly date: Date;
  readonly from: Mailbox;
  readonly to: readonly Mailbox[];
  readonly cc: readonly Mailbox[];
  readonly replyTo: readonly Mailbox[];
  readonly subject: string;
  readonly text?: string;
  readonly html?: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly attachments: readonly MailAttachment[];
  /** An https or mailto URL, written as List-Unsubscribe. */
  readonly unsubscribe?: string;
  /**
   * For a server without SMTPUTF8: addresses in To, Cc and Reply-To that are not ASCII can be read there, and not
   * answered to.
   * @default {false}
   */
  readonly isAsciiOnly?: boolean;
}

const encoder = new TextEncoder();
/** RFC 5322 section 3.3 writes years with four digits, from 1900 on. */
const MIN_DATE_MS = Date.UTC(1900);
const MAX_DATE_MS = Date.UTC(10_000) - 1;

/**
 * Writes a mail in wire format: CRLF, 7-bit, not dot-stuffed. The same mail always makes the same bytes.
 *
 * The one exception to 7-bit is an address whose local part is not ASCII: it stands in its header as UTF-8 (RFC 6532),
 * and the next hop needs SMTPUTF8. Everything is checked again here, since rows may have other writers than our client.
 *
 * @example
 * ```ts
 * const bytes = compose({
 *   id: "0190d5a0-0000-7000-8000-000000000000",
 *   date: new Date(0),
 *   from: { email: "shop@example.com" },
 *   to: [{ email: "ann@example.com" }],
 *   cc: [],
 *   replyTo: [],
 *   subject: "Hello",
 *   text: "Hi Ann",
 *   headers: [],
 *   attachments: [],
 * });
 * if (!new TextDecoder().decode(bytes).endsWith("\r\n\r\nHi Ann\r\n")) throw new Error("unexpected");
 * ```
 * @param mail with the content of each of its attachments
 * @throws {MailchuteError} `validation_error` when a field would break the mail or let somebody write headers
 */
export function compose(mail: Mail): Uint8Array {
  const pieces = mailPieces(mail);
  if (pieces.every((piece) => typeof piece === "string")) return encoder.encode(pieces.join(""));
  const parts = pieces.map((piece) => typeof piece === "string" ? encoder.encode(piece) : piece);
  const total = parts.reduce((sum, part) => sum + (part instanceof Uint8Array ? part.length : part.encodedBytes), 0);
  const wire = new Uint8Array(total);
  let at = 0;
  for (const part of parts) {
    const bytes = part instanceof Uint8Array ? part : contentOf(mail, part.index);
    if (part instanceof Uint8Array || part.encoding === "7bit") {
      wire.set(bytes, at);
      at += bytes.length;
    } else at = writeBase64(bytes, wire, at);
  }
  return wire;
}

/**
 * Writes a mail in pieces: text, and slots that say which attachment's content belongs there and how. {@linkcode
 * compose} joins them; a writer that streams attachments needs their sizes only, and holds none of them whole.
 *
 * @example
 * ```ts
 * function wireBytes(mail: Mail): number {
 *   let bytes = 0;
 *   for (const piece of mailPieces(mail)) bytes += typeof piece === "string" ? piece.length : piece.encodedBytes;
 *   return bytes;
 * }
 * ```
 * @throws {MailchuteError} `validation_error` when a field would break the mail or let somebody write headers
 */
export function mailPieces(mail: Mail): readonly MailPiece[] {
  check(mail);
  return [header(mail), ...bodyPieces(mail, mail.id)];
}

/**
 * Tells whether the header of a mail holds an address whose local part is not ASCII: such a mail needs a server with
 * SMTPUTF8 (RFC 6531 section 3.4), even when all addresses of its envelope are ASCII.
 *
 * @example
 * ```ts
 * const mail = { from: { email: "shop@münchen.example" }, to: [], cc: [{ email: "用户@example.com" }], replyTo: [], headers: [] };
 * if (!needsUtf8Header(mail) || needsUtf8Header({ ...mail, cc: [] })) throw new Error("unexpected");
 * ```
 */
export function needsUtf8Header(mail: Pick<Mail, "from" | "to" | "cc" | "replyTo" | "headers">): boolean {
  const { to, cc, replyTo } = mail;
  return needsUtf8Sender(mail) || [to, cc, replyTo].some((list) => list.some(({ email }) => needsUtf8(email)));
}

/** The same for From and Sender, which must be addresses: no `isAsciiOnly` helps there. */
export function needsUtf8Sender({ from, headers }: Pick<Mail, "from" | "headers">): boolean {
  return needsUtf8(from.email) || headers.some(([name, value]) => {
    const sender = isSender(name) ? parseAddress(value) : undefined;
    return sender?.ok === true && needsUtf8(sender.mailbox.email);
  });
}

function header(mail: Mail): string {
  const { isAsciiOnly } = mail;
  const list = (field: string, name: string, given: readonly Mailbox[]) =>
    addressHeader(name, mailboxes(given, field), { isAsciiOnly });
  const others = mail.headers.map(([name, value]) => isSender(name) ? senderHeader(value) : textHeader(name, value));
  // RFC 5322 section 3.3 wants a numeric zone where toUTCString() writes GMT.
  return `Date: ${mail.date.toUTCString().slice(0, -"GMT".length)}+0000\r\n` +
    addressHeader("From", [mailboxOf(mail.from, "from")]) +
    (mail.replyTo.length === 0 ? "" : list("replyTo", "Reply-To", mail.replyTo)) +
    // RFC 5322 section 3.6.3, appendix A.1.3: a mail whose recipients are all hidden.
    (mail.to.length === 0 ? "To: undisclosed-recipients:;\r\n" : list("to", "To", mail.to)) +
    (mail.cc.length === 0 ? "" : list("cc", "Cc", mail.cc)) +
    textHeader("Subject", mail.subject) +
    `Message-ID: ${messageId(mail)}\r\n` +
    others.join("") +
    (mail.unsubscribe === undefined ? "" : unsubscribeHeaders(mail.unsubscribe)) +
    "MIME-Version: 1.0\r\n";
}

function senderHeader(value: string): string {
  return addressHeader("Sender", [mailboxOf(value, "headers.Sender")]);
}

function isSender(name: string): boolean {
  return name.toLowerCase() === "sender";
}

function mailboxes(list: readonly Mailbox[], field: string): readonly Mailbox[] {
  return list.map((mailbox, index) => mailboxOf(mailbox, `${field}.${index}`));
}

function check(mail: Mail): void {
  if (!isUuid(mail.id)) refuse("id", "it is not a UUID");
  const dateMs = mail.date.getTime();
  if (!(dateMs >= MIN_DATE_MS && dateMs <= MAX_DATE_MS)) refuse("date", "it is not a date from 1900 to 9999");
  ensure("subject", valueProblem(mail.subject));
  for (const [name, value] of mail.headers) ensure(`headers.${quote(name)}`, headerProblem(name, value));
  const written = mail.unsubscribe === undefined ? [] : ["List-Unsubscribe"];
  const repeated = mail.headers.length === 0
    ? undefined
    : repeatedHeader([...written, ...mail.headers.map(([name]) => name)]);
  if (repeated !== undefined) refuse(`headers.${repeated}`, "it is there more than once");
  mail.attachments.forEach((attachment, index) => {
    ensure(`attachments.${index}`, attachmentProblem(attachment));
    if (!(attachment.sizeBytes >= 0)) refuse(`attachments.${index}`, "its sizeBytes is not a number of bytes");
  });
  if (mail.unsubscribe !== undefined) ensure("unsubscribe", unsubscribeProblem(mail.unsubscribe));
}

/** The bytes of an attachment, as many as the pieces around it were written for. */
function contentOf(mail: Mail, index: number): Uint8Array {
  const { content, sizeBytes } = mail.attachments[index] ?? {};
  if (content !== undefined && content.length === sizeBytes) return content;
  return refuse(
    `attachments.${index}`,
    `its content is not there, or has not the ${sizeBytes} bytes that its sizeBytes says`,
  );
}

function ensure(field: string, problem: string | undefined): void {
  if (problem !== undefined) refuse(field, problem);
}

function refuse(field: string, reason: string): never {
  const message = `Cannot compose the mail: ${field}: ${reason}`;
  throw new MailchuteError("validation_error", message, { issues: [{ path: field, message: reason }] });
}

/** A name that is in doubt must not break the log line that shows it. */
function quote(name: string): string {
  return /^[!-~]{1,76}$/.test(name) ? name : JSON.stringify(String(name).slice(0, 76));
}
