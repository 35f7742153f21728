import { encodeAttachment, type MailAttachment } from "./attachment.ts";
import { encodeText } from "./encoding.ts";
import { htmlToText } from "./html_to_text.ts";
import { asFile, inviteOf } from "./invite.ts";
import { CARRIER_MARK } from "./seven_bit.ts";

/** Where an attachment's content goes: whoever joins the pieces puts it there, encoded as it says. */
export interface AttachmentSlot {
  /** Which of the mail's attachments. */
  readonly index: number;
  readonly encoding: "7bit" | "base64";
  /** How many octets it takes on the wire. */
  readonly encodedBytes: number;
}

/** A stretch of the mail on the wire. */
export type MailPiece = string | AttachmentSlot;

/** What a body is made of. */
export interface BodyContent {
  /** Made from the HTML when it is missing; the empty string says that there shall be none beside the HTML. */
  readonly text?: string;
  readonly html?: string;
  readonly attachments: readonly MailAttachment[];
}

/** One node of the MIME tree (RFC 2046): its Content-* header and its body. */
interface Part {
  readonly header: string;
  readonly body: readonly MailPiece[];
}

/**
 * Builds the MIME tree, as flat as the content allows: `text`, else `alternative(text, html, calendar)`, the HTML in
 * `related(html, …)` with what it shows by Content-ID, all in `mixed(…)` with the files. The Content-* header and the
 * blank line come first, then the body, which ends with CRLF.
 *
 * @example
 * ```ts
 * const [head] = bodyPieces({ text: "Hi", attachments: [] }, "0190d5a0-0000-7000-8000-000000000000");
 * if (typeof head !== "string" || !head.startsWith("Content-Type: text/plain")) throw new Error("unexpected");
 * ```
 * @param id the mail's: its boundaries come from it
 */
export function bodyPieces(content: BodyContent, id: string): readonly MailPiece[] {
  const { html } = content;
  // Most mails are nothing else, and need no boundary.
  if (html === undefined && content.attachments.length === 0) return written(textLeaf("plain", content.text ?? ""));
  const text = content.text ?? (html === undefined ? undefined : htmlToText(html));
  const invite = inviteOf(content.attachments);
  const plain = text === undefined || (text === "" && html !== undefined) ? undefined : textLeaf("plain", text);
  const markup = html === undefined ? undefined : textLeaf("html", html);
  const calendar = invite && textLeaf(`calendar; method=${invite.method}`, invite.text);
  const attachments = content.attachments.map((attachment, index) => {
    const isShown = html !== undefined && attachment.contentId !== undefined;
    const file = index === invite?.index ? asFile(attachment) : attachment;
    return { isShown, ...encodeAttachment(file, isShown ? "inline" : "attachment") };
  });
  const isCarrier = attachments.some(({ encoding }) => encoding === "7bit");
  // Neither quoted-printable nor base64 can contain `=_`.
  const stem = `=_${id.replaceAll("-", "")}`;
  const boundary = freeStem(
    isCarrier ? stem + CARRIER_MARK : stem,
    [plain, markup, calendar].flatMap((part) => part?.encoding === "7bit" ? part.body : []),
  );
  const inline: Part[] = [];
  const files: Part[] = [];
  attachments.forEach(({ isShown, header, encoding, encodedBytes }, index) => {
    (isShown ? inline : files).push({ header, body: [{ index, encoding, encodedBytes }] });
  });
  // RFC 2387 section 3.1: the type of the root is required.
  const shownHtml = markup && nest(`related; type="text/html"`, [markup, ...inline], `${boundary}_r`);
  // RFC 2046 section 5.1.4: the richest last.
  const versions = [plain, shownHtml, calendar].filter((part) => part !== undefined);
  const empty = versions.length === 0 && files.length === 0 ? [textLeaf("plain", "")] : [];
  const readable = versions.length < 2 ? [...versions, ...empty] : [nest("alternative", versions, `${boundary}_a`)];
  const root = files.length === 0
    ? nest("mixed", readable, "")
    : multipart("mixed", [...readable, ...files], `${boundary}_m`);
  return written(root);
}

function written({ header, body }: Part): readonly MailPiece[] {
  const last = body.at(-1);
  const isWhole = typeof last === "string" && last.endsWith("\r\n");
  return [`${header}\r\n`, ...body, ...isWhole ? [] : ["\r\n"]];
}

/** One text as it travels. */
interface TextPart extends Part {
  readonly encoding: string;
  readonly body: readonly [string];
}

function textLeaf(subtype: string, text: string): TextPart {
  const { encoding, body } = encodeText(text);
  const header = `Content-Type: text/${subtype}; charset=utf-8\r\nContent-Transfer-Encoding: ${encoding}\r\n`;
  return { header, encoding, body: [body] };
}

/** A multipart of one part is that part. */
function nest(subtype: string, parts: readonly Part[], boundary: string): Part {
  const [only] = parts;
  return only !== undefined && parts.length === 1 ? only : multipart(subtype, parts, boundary);
}

/** RFC 2046 section 5.1.1: the CRLF in front of a delimiter belongs to it. */
function multipart(subtype: string, parts: readonly Part[], boundary: string): Part {
  const body: MailPiece[] = [];
  parts.forEach((part, index) => {
    body.push(`${index === 0 ? "" : "\r\n"}--${boundary}\r\n${part.header}\r\n`, ...part.body);
  });
  body.push(`\r\n--${boundary}--\r\n`);
  return { header: `Content-Type: multipart/${subtype};\r\n boundary="${boundary}"\r\n`, body };
}

/**
 * Finds a stem that no text sent as it is contains: a text may quote an earlier copy of its mail. Attachments need no
 * look: base64 has no `=_`, and a message that travels as it is has no line that begins like ours (see `SevenBitScan`).
 */
function freeStem(stem: string, texts: readonly string[]): string {
  let free = stem;
  for (let suffix = 1; texts.some((text) => text.includes(free)); suffix++) free = `${stem}.${suffix}`;
  return free;
}
