import { type Finding, refuse } from "../finding.ts";
import type { SendOptions } from "../mailer.ts";
import { SEND } from "../message.ts";
import type { MessageInput } from "../message_input.ts";
import { checkAccess } from "./access.ts";
import { addressesOf } from "./addresses.ts";
import { attachmentsOf, checkAttachments, entriesOf } from "./attachments.ts";
import { type AddFault, type ComposedMail, type Data, normalized } from "./composed_mail.ts";
import { headersOf, subjectOf } from "./headers.ts";
import { findMisplaced, queueFieldsOf } from "./queue_fields.ts";
import { findRefusedFields, findTransforms } from "./refused_fields.ts";

/** A message of nodemailer as the client takes it. */
export interface Converted {
  readonly message: MessageInput;
  readonly options: SendOptions;
  /** Where the app gave each of the attachments. */
  readonly attachmentPaths: readonly string[];
}

/**
 * Turns a message of nodemailer into one of ours. Whatever it says arrives, or is a fault that names its field: nothing
 * that a reader could miss is dropped. What only concerns how bytes are written (`encoding`, `textEncoding`, `newline`,
 * boundaries) is the relay's, and not looked at.
 *
 * @throws {MailchuteError} `validation_error`; nodemailer's own error when it may not or cannot read a file, a URL or a
 * stream
 */
export async function messageOf(mail: ComposedMail): Promise<Converted> {
  const findings: Finding[] = [];
  const add: AddFault = (path, message) => findings.push({ path, message, limit: false });
  const given = mail.data as Data;
  findRefusedFields(given, add);
  findTransforms(mail, add);
  checkAttachments(given, add);
  checkAccess(given, add);
  findMisplaced(given, add);
  const { fields, options } = queueFieldsOf(given.mailchute, add);
  // Before streams are read, which can be read once.
  refuse(SEND, findings);

  // nodemailer writes what it reads into these lists, which are the app's own, and looks at lists only.
  Object.assign(given, { attachments: entriesOf(given.attachments), alternatives: entriesOf(given.alternatives) });
  const { envelope } = given;
  const data = await normalized(mail);
  const { from, sender, replyTo, to, cc, bcc, returnPath } = addressesOf(mail, { data, envelope, add });
  const { headers, unsubscribe } = headersOf(mail, { data, sender, add });
  const { attachments, paths } = attachmentsOf(data, add);
  const subject = subjectOf(mail, add);
  // An empty one is none to nodemailer.
  const html = textOf(data.html) || undefined;
  const text = textOf(data.text);
  refuse(SEND, findings);
  // A mail without a body is one with an empty text to nodemailer; beside HTML the relay makes one. A template has them
  // all, and the client refuses them beside it.
  const body = fields.template === undefined
    ? { subject, ...(html === undefined ? { text: text ?? "" } : { text, html }) }
    : { subject: subject || undefined, text: text || undefined, html };
  return {
    message: {
      ...{ from, replyTo, to, cc, bcc, returnPath, headers, attachments },
      ...(unsubscribe === undefined ? {} : { unsubscribe }),
      ...fields,
      ...body,
    } as MessageInput,
    options,
    attachmentPaths: paths,
  };
}

/** Content that was empty has been left as it was. */
function textOf(value: unknown): string | undefined {
  if (value === undefined || value === null || value === false) return undefined;
  if (typeof value === "string") return value;
  const { content } = value as { readonly content?: unknown };
  return content instanceof Uint8Array ? new TextDecoder().decode(content) : String(content ?? "");
}
