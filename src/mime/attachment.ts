import { base64Bytes } from "./base64.ts";
import { valueProblem } from "./header.ts";
import { asciiFilename, parameter } from "./parameter.ts";
import { is7bit } from "./seven_bit.ts";

/** A file that travels with a mail: what has to be known of it to write the mail around it, and perhaps its bytes. */
export interface MailAttachment {
  /** Shown to the reader; empty for none. */
  readonly filename: string;
  /** Such as `application/pdf` or `text/calendar; method=REQUEST`. */
  readonly contentType: string;
  /** What `cid:` in the HTML refers to, with or without angle brackets. */
  readonly contentId?: string;
  readonly sizeBytes: number;
  /** Of a `message/rfc822` only: what `SevenBitScan` says of its bytes. @default {false} it travels as a file */
  readonly isSevenBit?: boolean;
  /** Its bytes. Who streams them leaves them out, but for those of which `needsContent` is true: invitations. */
  readonly content?: Uint8Array;
}

/** An attachment that is in memory. */
export type WholeAttachment = MailAttachment & { readonly content: Uint8Array };

/** How an attachment is written: the header of its part, and what becomes of its content. */
export interface EncodedAttachment {
  readonly header: string;
  readonly encoding: "7bit" | "base64";
  readonly encodedBytes: number;
}

/** A Content-Type's value. */
export interface MediaType {
  /** `type/subtype` in lower case. */
  readonly type: string;
  readonly parameters: readonly (readonly [name: string, value: string])[];
}

/** Ours: file systems stop at 255, and a header stays a header. */
const MAX_FILENAME_CHARS = 255;
/**
 * They turn the order of what is shown: `invoice` + U+202E + `fdp.exe` looks like `invoiceexe.pdf` (UTR 36 section
 * 2.5).
 */
const DIRECTIONS = /[\u202a-\u202e\u2066-\u2069]/g;
const MAX_CONTENT_TYPE_CHARS = 500;
const MAX_CONTENT_ID_CHARS = 250;

const TOKEN = "[\\w!#$%&'*+\\-.^`{|}~]+";
/** RFC 2045 section 5.1. */
const MEDIA_TYPE = new RegExp(`^\\s*(${TOKEN}/${TOKEN})\\s*(?=;|$)`);
const PARAMETER = new RegExp(`;\\s*(?:(${TOKEN})=("(?:[^"\\\\]|\\\\.)*"|${TOKEN}))?\\s*(?=;|$)`, "y");
const CONTENT_ID = /^<?([!-;=?-~]+)>?$/;

/**
 * Makes an attachment of bytes that are in memory.
 *
 * @example
 * ```ts
 * const file = attachmentOf({ filename: "a.txt", contentType: "text/plain", content: new Uint8Array(3) });
 * if (file.sizeBytes !== 3) throw new Error("unexpected");
 * ```
 */
export function attachmentOf(
  file: Pick<WholeAttachment, "filename" | "contentType" | "contentId" | "content">,
): WholeAttachment {
  const { content } = file;
  return {
    ...file,
    sizeBytes: content.length,
    ...(isMessage(file.contentType) ? { isSevenBit: is7bit(content) } : {}),
  };
}

/**
 * Says why an attachment cannot be written, or undefined when it can. For the relay: the client checks name and type of
 * a file by itself (src/attachment.ts), and the database again.
 *
 * @example
 * ```ts
 * if (attachmentProblem({ filename: "a.pdf", contentType: "application/pdf" }) !== undefined) throw new Error("unexpected");
 * if (attachmentProblem({ filename: "a\r\nb", contentType: "application/pdf" }) === undefined) throw new Error("unexpected");
 * ```
 */
export function attachmentProblem(
  attachment: Pick<MailAttachment, "filename" | "contentType" | "contentId">,
): string | undefined {
  const { filename, contentType, contentId } = attachment;
  const problem = valueProblem(filename);
  if (problem !== undefined) return `its filename: ${problem}`;
  if (filename.length > MAX_FILENAME_CHARS) return `its filename has more than ${MAX_FILENAME_CHARS} characters`;
  if (parseMediaType(contentType) === undefined) return "its contentType is not like `application/pdf`";
  if (contentId === undefined || (CONTENT_ID.test(contentId) && contentId.length <= MAX_CONTENT_ID_CHARS)) {
    return undefined;
  }
  return `its contentId is not visible ASCII of at most ${MAX_CONTENT_ID_CHARS} characters`;
}

/**
 * Decides how an attachment travels and writes its part's header.
 *
 * @example
 * ```ts
 * const file = { filename: "a.txt", contentType: "text/plain", sizeBytes: 3 };
 * if (encodeAttachment(file, "attachment").encodedBytes !== 6) throw new Error("unexpected");
 * ```
 * @param attachment one for which {@linkcode attachmentProblem} found nothing
 * @param disposition `inline` for what the HTML shows by its Content-ID
 */
export function encodeAttachment(attachment: MailAttachment, disposition: "attachment" | "inline"): EncodedAttachment {
  const media = parseMediaType(attachment.contentType) ?? { type: "application/octet-stream", parameters: [] };
  const { sizeBytes } = attachment;
  // RFC 2046 section 5.2.1: a message may only travel as it is; when that is not 7-bit safe, it travels as a file.
  const asItIs = media.type === "message/rfc822" && attachment.isSevenBit === true;
  const composite = /^(?:message|multipart)\//.test(media.type) && !asItIs;
  const called = attachment.filename.replaceAll(DIRECTIONS, "");
  const filename = media.type === "message/rfc822" ? withExtension(called) : called;
  const encoding = asItIs ? "7bit" : "base64";
  const header = [
    `Content-Type: ${composite ? "application/octet-stream" : media.type}`,
    ...(composite ? [] : media.parameters).map(([name, value]) => parameter(name, value)),
    filename === "" ? "" : parameter("name", asciiFilename(filename)),
    `\r\nContent-Transfer-Encoding: ${encoding}\r\nContent-Disposition: ${disposition}`,
    filename === "" ? "" : parameter("filename", filename),
    attachment.contentId === undefined ? "" : `\r\nContent-ID: <${bareContentId(attachment.contentId)}>`,
    "\r\n",
  ].join("");
  return { header, encoding, encodedBytes: asItIs ? sizeBytes : base64Bytes(sizeBytes) };
}

/**
 * Tells whether an attachment is a message, of which {@linkcode MailAttachment.isSevenBit} has to be known.
 *
 * @example
 * ```ts
 * if (!isMessage("Message/RFC822; x=y") || isMessage("text/plain")) throw new Error("unexpected");
 * ```
 */
export function isMessage(contentType: string): boolean {
  return parseMediaType(contentType)?.type === "message/rfc822";
}

/**
 * Parses a Content-Type's value in linear time; undefined when it is none.
 *
 * @example
 * ```ts
 * if (parseMediaType("Text/Calendar; method=REQUEST")?.parameters[0]?.[1] !== "REQUEST") throw new Error("unexpected");
 * ```
 */
export function parseMediaType(value: string): MediaType | undefined {
  if (typeof value !== "string" || value.length > MAX_CONTENT_TYPE_CHARS || /[^ -~]/.test(value)) return undefined;
  const start = MEDIA_TYPE.exec(value);
  if (start?.[1] === undefined) return undefined;
  const parameters: (readonly [string, string])[] = [];
  PARAMETER.lastIndex = start[0].length;
  while (PARAMETER.lastIndex < value.length) {
    const match = PARAMETER.exec(value);
    if (match === null) return undefined;
    const [, name, raw] = match;
    // The name is ours to write, a boundary is not the caller's.
    if (name === undefined || raw === undefined || /^(?:name|boundary)\b/i.test(name)) continue;
    parameters.push([name, raw.startsWith('"') ? raw.slice(1, -1).replace(/\\(.)/g, "$1") : raw]);
  }
  return { type: start[1].toLowerCase(), parameters };
}

function withExtension(filename: string): string {
  if (filename === "") return "message.eml";
  return filename.toLowerCase().endsWith(".eml") ? filename : `${filename}.eml`;
}

function bareContentId(contentId: string): string {
  return CONTENT_ID.exec(contentId)?.[1] ?? "";
}
