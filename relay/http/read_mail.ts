import type { Address, Email } from "postal-mime";
import type { InboxMail } from "../mail/inbox.ts";
import { mailParser } from "../mail/mail_parser.ts";

/** The lines that a list shows. */
export interface MailHead {
  readonly subject: string;
  readonly from: string;
  readonly to: string;
  readonly cc: string;
  readonly replyTo: string;
  /** As ISO 8601 when it could be read, else as it was written. */
  readonly date: string;
  readonly messageId: string;
}

/** A part that is offered as a download. */
export interface MailAttachment {
  /** As the sender wrote it: show it escaped, and never use it as a path. */
  readonly filename: string;
  readonly contentType: string;
  /** Without angle brackets. */
  readonly contentId: string | undefined;
  readonly content: Uint8Array;
}

/** A whole mail, read for display. */
export interface ReadMail extends MailHead {
  readonly html: string | undefined;
  readonly text: string | undefined;
  readonly attachments: readonly MailAttachment[];
  /** Why only the source can be shown. */
  readonly fault: string | undefined;
}

const MAX_HEAD_BYTES = 65_536;
const heads = new WeakMap<InboxMail, Promise<MailHead>>();

/** Reads the header of a mail, once for as long as the inbox keeps it: a list asks for hundreds. */
export function readHead(mail: InboxMail): Promise<MailHead> {
  const known = heads.get(mail);
  if (known !== undefined) return known;
  const head = parse(mail.content.subarray(0, headLength(mail.content)));
  heads.set(mail, head);
  return head;
}

/** Reads a whole mail; one that cannot be read comes with a `fault` instead of a body. */
export function readMail(mail: InboxMail): Promise<ReadMail> {
  return parse(mail.content);
}

async function parse(content: Uint8Array): Promise<ReadMail> {
  const { default: PostalMime } = await mailParser("show a mail");
  try {
    return view(await PostalMime.parse(content, { maxNestingDepth: 64, maxRfc822NestingDepth: 2 }));
  } catch {
    // Nested too deeply or a header too large: the source can still be looked at.
    return { ...view({ headers: [], headerLines: [], attachments: [] }), fault: "This mail cannot be taken apart." };
  }
}

function view(email: Email): ReadMail {
  return {
    subject: email.subject ?? "",
    from: addresses(email.from === undefined ? [] : [email.from]),
    to: addresses(email.to),
    cc: addresses(email.cc),
    replyTo: addresses(email.replyTo),
    date: email.date ?? "",
    messageId: email.messageId ?? "",
    html: email.html,
    text: email.text,
    attachments: email.attachments.map(({ filename, mimeType, contentId, content }, index) => ({
      filename: filename ?? `part-${index + 1}`,
      contentType: mimeType,
      contentId: contentId?.replace(/^<(.*)>$/, "$1"),
      content: typeof content === "string" ? new TextEncoder().encode(content) : new Uint8Array(content),
    })),
    fault: undefined,
  };
}

function addresses(list: readonly Address[] | undefined): string {
  return (list ?? []).map((it) => {
    if (it.group !== undefined) return `${it.name}: ${addresses(it.group)};`;
    return it.name === "" ? it.address : `${it.name} <${it.address}>`;
  }).join(", ");
}

// RFC 5322 section 2.1: the header ends at the first empty line.
function headLength(content: Uint8Array): number {
  const most = Math.min(content.byteLength, MAX_HEAD_BYTES);
  for (let index = 0; index + 1 < most; index++) {
    if (content[index] !== 0x0a) continue;
    const next = content[index + 1];
    if (next === 0x0a || (next === 0x0d && content[index + 2] === 0x0a)) return index + 1;
  }
  return most;
}
