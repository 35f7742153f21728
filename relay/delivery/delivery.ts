import type { Mailbox } from "../../src/address.ts";
import type { Envelope } from "../../src/envelope.ts";
import { LIMITS } from "../../src/limits.ts";
import type { Mail } from "../../src/mime/compose.ts";
import { merge, type TextPlace, type Values } from "../../src/template.ts";
import type { ClaimedMessage, ClaimedRecipient } from "../queue/queue.ts";
import type { Content, Contents } from "./contents.ts";
import { mailContent } from "./mail_content.ts";
import { originalRecipients, ORIGINALS_HEADER } from "./safety.ts";
import type { MailContent } from "./transport.ts";

/** A mail in wire format, or why it never will be. */
export type Prepared =
  | { readonly kind: "ready"; readonly wire: MailContent }
  | { readonly kind: "failed"; readonly reason: string };

/**
 * Fetches what a claimed message says and composes it: the same bytes for every recipient, whichever route they take.
 */
export async function prepare(message: ClaimedMessage, contents: Contents): Promise<Prepared> {
  // Those of a bulk send have one content.
  const source = message.variables === null ? contents : contents.shared;
  const content = await source.get(message.contentId);
  if (content === undefined) return { kind: "failed", reason: "Its content is no longer stored" };
  const attachments = content.hasAttachments ? await source.attachments(message.contentId) : [];
  try {
    const wire = mailContent(toMail(message, content, attachments), ({ index, encoding }) => {
      const { position = index, sizeBytes = 0 } = attachments[index] ?? {};
      return source.encoded(message.contentId, { position, sizeBytes, encoding });
    });
    return { kind: "ready", wire };
  } catch (error) {
    return { kind: "failed", reason: error instanceof Error ? error.message : String(error) };
  }
}

/**
 * The envelope for some recipients of a message.
 * @param returnPath for messages without one of their own; undefined: the From address
 */
export function toEnvelope(
  message: ClaimedMessage,
  recipients: readonly ClaimedRecipient[],
  returnPath: string | undefined,
): Envelope {
  const { copy } = message;
  return {
    id: message.id,
    reversePath: message.returnPath ?? returnPath ?? message.from.email,
    recipients: copy === undefined
      ? recipients
      : recipients.flatMap(({ position }) => copy.to.map((email) => ({ position, email }))),
  };
}

function toMail(message: ClaimedMessage, content: Content, attachments: Mail["attachments"]): Mail {
  const { variables, copy } = message;
  // Checked again by the composer: a value must not break a header.
  const merged = (text: string, place?: TextPlace) => variables === null ? text : merge(text, variables, place);
  const inHeader = variables === null ? (text: string) => text : headerMerger(variables);
  const visible = (kind: "to" | "cc") =>
    message.recipients.filter((recipient) => recipient.kind === kind).map(toMailbox);
  return {
    id: message.id,
    date: new Date(message.firstDueMs),
    from: toMailbox(message.from),
    ...(copy === undefined
      ? { to: visible("to"), cc: visible("cc") }
      : { to: copy.to.map((email) => ({ email })), cc: [] }),
    replyTo: message.replyTo.map(toMailbox),
    subject: `${message.subjectPrefix ?? ""}${inHeader(content.subject)}`,
    ...(content.text === null ? {} : { text: merged(content.text) }),
    ...(content.html === null ? {} : { html: merged(content.html, "html") }),
    headers: [
      ...(variables === null
        ? content.headers
        : content.headers.map(([name, text]) => [name, inHeader(text)] as const)),
      ...(copy === undefined ? [] : [[ORIGINALS_HEADER, originalRecipients(copy.originals)] as const]),
    ],
    attachments,
    ...(message.unsubscribe === null ? {} : { unsubscribe: merged(message.unsubscribe, "url") }),
  };
}

/** Merges what stands in headers: all together it is to be no more than headers may have. */
function headerMerger(values: Values): (text: string) => string {
  const most = LIMITS.headersBytes;
  let length = 0;
  return (text) => {
    const merged = merge(text, values, "text", most);
    length += merged.length;
    if (length > most) {
      throw new Error(
        `With its values, the headers have more than ${
          most.toLocaleString("en-US")
        } characters together with the subject`,
      );
    }
    return merged;
  };
}

function toMailbox({ email, name }: { readonly email: string; readonly name?: string | null }): Mailbox {
  return name ? { email, name } : { email };
}
