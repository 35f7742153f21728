import type { Attachment } from "../attachment.ts";
import { isMessage, parseMediaType } from "../mime/attachment.ts";
import { inviteOf } from "../mime/invite.ts";
import { is7bit } from "../mime/seven_bit.ts";
import type { AddFault, Data } from "./composed_mail.ts";

/** The attachments of a mail, and where the app gave each: `attachments.0`, `icalEvent`. */
export interface Attachments {
  readonly attachments: readonly Attachment[];
  readonly paths: readonly string[];
}

/** A list that may be one item; its entries copied, since nodemailer writes into them what it has read. */
export function entriesOf(value: unknown): Record<string, unknown>[] {
  return (Array.isArray(value) ? value : value ? [value] : []).map((entry) => ({ ...Object(entry) }));
}

/** Finds what no attachment of the queue can carry, before anything is read. */
export function checkAttachments(data: Data, add: AddFault): void {
  entriesOf(data.attachments).forEach((attachment, index) => {
    const at = (name: string) => `attachments.${index}.${name}`;
    checkPart(attachment, at, add);
    if (attachment.filename === false) {
      add(at("filename"), "a file of the queue has a name: give one, or leave it out for one like attachment-1.png");
    }
    const isShown = Boolean(attachment.cid && data.html);
    const disposition = isShown ? "inline" : "attachment";
    if (attachment.contentDisposition && !String(attachment.contentDisposition).toLowerCase().startsWith(disposition)) {
      add(
        at("contentDisposition"),
        `the relay writes ${disposition} (inline is what has a cid and stands beside html): leave it out`,
      );
    }
  });
  entriesOf(data.alternatives).forEach((alternative, index) => {
    const at = (name: string) => `alternatives.${index}.${name}`;
    checkPart(alternative, at, add);
    if (methodOf(alternative.contentType) === undefined) {
      add(
        at("contentType"),
        "the relay writes no alternatives but text, html and text/calendar; method=…: leave it out",
      );
    }
  });
  if (isFields(data.icalEvent)) checkPart(data.icalEvent, (name) => `icalEvent.${name}`, add);
  const invitations = entriesOf(data.alternatives).length + (data.icalEvent ? 1 : 0);
  if (invitations > 1) add(data.icalEvent ? "icalEvent" : "alternatives.1", "a mail carries one invitation");
}

/** Reads attachments and invitations whose content nodemailer has read. */
export function attachmentsOf(data: Data, add: AddFault): Attachments {
  const files = entriesOf(data.attachments).map(({ filename, contentType, cid, ...rest }, index) => ({
    path: `attachments.${index}`,
    attachment: {
      filename: String(filename),
      contentType: String(contentType),
      contentId: cid ? String(cid) : undefined,
      ...(isMessage(String(contentType)) ? asMessage(contentOf(rest)) : contentOf(rest)),
    },
  }));
  const event = entriesOf(data.icalEvent).map((entry) => ({
    path: "icalEvent",
    entry,
    method: entry.method || "PUBLISH",
  }));
  const alternatives = entriesOf(data.alternatives).map((entry, index) => (
    { path: `alternatives.${index}`, entry, method: methodOf(entry.contentType) }
  ));
  const invitations = [...event, ...alternatives].map(({ path, entry, method }) => {
    const attachment = {
      filename: String(entry.filename || "invite.ics"),
      contentType: `text/calendar; method=${String(method).trim().toUpperCase()}`,
      ...contentOf(entry),
    };
    if (!isInvitation(attachment)) {
      add(path, "it is not a calendar in UTF-8 of at most 256,000 bytes with a method such as REQUEST");
    }
    return { path, attachment };
  });
  const all = [...files, ...invitations];
  return { attachments: all.map(({ attachment }) => attachment), paths: all.map(({ path }) => path) };
}

/** What has fields, and is no content itself. */
function isFields(value: unknown): value is Data {
  return typeof value === "object" && value !== null && !isContent(value);
}

function isContent(value: unknown): boolean {
  return typeof value === "string" || value instanceof Uint8Array || value instanceof ArrayBuffer ||
    typeof Object(value).pipe === "function";
}

function checkPart(part: Data, at: (name: string) => string, add: AddFault): void {
  const { content } = part;
  const isFound = isContent(content) || Boolean(Object(content).path || Object(content).href);
  if (content && !isFound) {
    add(at("content"), "it is none of string, Buffer, Uint8Array, ArrayBuffer and Node.js stream");
  }
  if (part.raw) add(at("raw"), "a finished part cannot be queued: give content, path or href");
  if (Object.keys(Object(part.headers)).length > 0) {
    add(at("headers"), "the relay writes the headers of parts: leave it out");
  }
}

const CR = 13;
const LF = 10;

type Content =
  | { readonly content: Uint8Array | ArrayBuffer; readonly encoding?: undefined }
  | { readonly content: string; readonly encoding: "utf-8" | "base64" };

/** nodemailer gives bytes as base64, and text as it is. What is empty it leaves as it was. */
function contentOf({ content, encoding }: Data): Content {
  if (content instanceof Uint8Array || content instanceof ArrayBuffer) return { content };
  if (typeof content !== "string") return { content: "", encoding: "utf-8" };
  return { content, encoding: encoding === "base64" ? "base64" : "utf-8" };
}

/**
 * The lines of a message end with CRLF (RFC 5322 section 2.1), as nodemailer writes them: with LF alone, as in files,
 * the relay would send it as a file and no message.
 */
function asMessage(given: Content): Content {
  const bytes = bytesOf(given);
  const loneLfs = bytes.reduce((count, octet, at) => count + (octet === LF && bytes[at - 1] !== CR ? 1 : 0), 0);
  const content = new Uint8Array(bytes.length + loneLfs);
  let to = 0;
  for (const [at, octet] of bytes.entries()) {
    if (octet === LF && bytes[at - 1] !== CR) content[to++] = CR;
    content[to++] = octet;
  }
  return is7bit(content) ? { content } : given;
}

function methodOf(contentType: unknown): string | undefined {
  const media = parseMediaType(String(contentType ?? ""));
  if (media?.type !== "text/calendar") return undefined;
  return media.parameters.find(([name]) => name.toLowerCase() === "method")?.[1];
}

/** Asks what the relay will ask: else it would be a file and no invitation. */
function isInvitation(
  { filename, contentType, ...rest }: { readonly filename: string; readonly contentType: string } & Content,
): boolean {
  const content = bytesOf(rest);
  return inviteOf([{ filename, contentType, content, sizeBytes: content.length }]) !== undefined;
}

function bytesOf({ content, encoding }: Content): Uint8Array {
  if (typeof content !== "string") return new Uint8Array(content);
  if (encoding === "utf-8") return new TextEncoder().encode(content);
  return Uint8Array.from(atob(content), (char) => char.charCodeAt(0));
}
