import type { Address, Email } from "postal-mime";
import type { Mailbox } from "../../src/address.ts";
import { headerProblem } from "../../src/mime/header.ts";
import { mailParser } from "./mail_parser.ts";

// A finished mail that a program hands over, as sendmail takes it, taken apart into what the queue stores: the relay
// composes it anew.

/** What a mail of the queue can carry of it. */
export interface SubmittedMail {
  readonly from: readonly Mailbox[];
  readonly replyTo: readonly Mailbox[];
  readonly to: readonly Mailbox[];
  readonly cc: readonly Mailbox[];
  readonly bcc: readonly Mailbox[];
  readonly subject: string;
  readonly text: string | undefined;
  readonly html: string | undefined;
  readonly unsubscribe: string | undefined;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly attachments: readonly {
    readonly filename: string;
    readonly contentType: string;
    readonly contentId: string | undefined;
    readonly content: Uint8Array;
  }[];
}

/** A mail that cannot be taken apart. */
export class UnreadableMail extends Error {
  override readonly name = "UnreadableMail";
}

const NESTING = { maxNestingDepth: 64, maxRfc822NestingDepth: 2, forceRfc822Attachments: true } as const;

/**
 * Takes a mail apart. Header fields that a mail of the queue writes by itself (Date, Message-ID, MIME) and those of
 * servers on the way (Received, signatures, which would not fit any more) are left out; all others are kept.
 *
 * @param qualify makes an address of a bare name such as `root`
 * @throws {UnreadableMail}
 * @throws {MissingReader}
 */
export async function readSubmitted(content: Uint8Array, qualify: (name: string) => string): Promise<SubmittedMail> {
  const { decodeWords, default: PostalMime } = await mailParser("read the mail");
  const email = await PostalMime.parse(content, NESTING).catch((cause: unknown) => {
    throw new UnreadableMail(cause instanceof Error ? cause.message : String(cause), { cause });
  });
  const list = (addresses: readonly Address[] | undefined) => mailboxes(addresses ?? [], qualify);
  const unsubscribe = oneClick(email);
  return {
    from: list(email.from === undefined ? [] : [email.from]),
    ...{ replyTo: list(email.replyTo), to: list(email.to), cc: list(email.cc), bcc: list(email.bcc) },
    subject: oneLine(email.subject ?? ""),
    // A mail without a body is one with an empty text; beside HTML the relay makes one.
    text: email.text ?? (email.html === undefined ? "" : undefined),
    html: email.html,
    unsubscribe,
    headers: email.headers.filter(({ key, value }) => isKept(key, value, unsubscribe !== undefined)).map((header) => [
      header.originalKey,
      oneLine(decodeWords(header.value)),
    ]),
    attachments: email.attachments.map(({ filename, mimeType, method, contentId, content: bytes }, index) => ({
      filename: filename ?? `part-${index + 1}.${extensionOf(mimeType)}`,
      contentType: method === undefined ? mimeType : `${mimeType}; method=${method}`,
      contentId: contentId?.replace(/^<(.*)>$/, "$1"),
      content: contentOf(mimeType, typeof bytes === "string" ? new TextEncoder().encode(bytes) : new Uint8Array(bytes)),
    })),
  };
}

/** A group stands for its members. A bare name is a mailbox of this machine. */
function mailboxes(addresses: readonly Address[], qualify: (name: string) => string): readonly Mailbox[] {
  return addresses.flatMap(({ name, address, group }): readonly Mailbox[] => {
    if (group !== undefined) return mailboxes(group, qualify);
    if (address === "" || address === undefined) return name === "" ? [] : [{ email: qualify(name) }];
    return [name === "" ? { email: qualify(address) } : { email: qualify(address), name: oneLine(name) }];
  });
}

function isKept(key: string, value: string, isOneClick: boolean): boolean {
  // Its sender's machine would have to be told, as for From; nobody looks at one without a domain.
  if (key === "sender" && !value.includes("@")) return false;
  if (key === "list-unsubscribe" && isOneClick) return false;
  return headerProblem(key, key === "sender" ? "a@b.example" : "") === undefined;
}

/** Both headers of RFC 8058 together are what `unsubscribe` writes. */
function oneClick({ headers }: Email): string | undefined {
  const find = (name: string) => headers.find(({ key }) => key === name)?.value ?? "";
  if (find("list-unsubscribe-post") === "") return undefined;
  return /<(https:[^<>\s]+)>/i.exec(find("list-unsubscribe"))?.[1];
}

/** The parser leaves a message LF alone, and only one with CRLF is shown as a message. */
function contentOf(mimeType: string, bytes: Uint8Array): Uint8Array {
  if (mimeType !== "message/rfc822") return bytes;
  return Buffer.from(Buffer.from(bytes).toString("latin1").replace(/\r?\n/g, "\r\n"), "latin1");
}

function extensionOf(mimeType: string): string {
  const known: Readonly<Record<string, string>> = {
    "message/rfc822": "eml",
    "text/calendar": "ics",
    "text/plain": "txt",
    "image/jpeg": "jpg",
  };
  const subtype = mimeType.split("/")[1] ?? "";
  return known[mimeType] ?? (/^[a-z\d]{1,8}$/.test(subtype) ? subtype : "bin");
}

/** What was folded, or encoded with a line break in it, is one line. */
function oneLine(text: string): string {
  return text.replace(/[\0-\x1f\x7f]+/g, " ").trim();
}
