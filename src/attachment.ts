import { type Fault, LIMIT, line, over, quote, textOf } from "./field.ts";
import { LIMITS } from "./limits.ts";

/** What the forms of an attachment have in common. */
export interface AttachmentFields {
  /** The name shown to the reader, at most 255 characters. */
  readonly filename: string;
  /** Such as `application/pdf`. @default the type of a Blob, else `application/octet-stream` */
  readonly contentType?: string | undefined;
  /** For an image that the HTML shows: `<img src="cid:logo">` refers to the contentId `logo`. */
  readonly contentId?: string | undefined;
}

/** An attachment whose content is bytes. */
export interface BinaryAttachment extends AttachmentFields {
  /** The bytes. A Blob, or a stream of bytes, is read when the mail is sent; a stream can be read once. */
  readonly content: Uint8Array | ArrayBuffer | Blob | ReadableStream<Uint8Array>;
  /** Only a string has an encoding. */
  readonly encoding?: undefined;
}

/** An attachment whose content is a string; what the string means must be said. */
export interface TextAttachment extends AttachmentFields {
  /** The text itself, or the bytes in base64. */
  readonly content: string;
  /**
   * `utf-8`: the string is the content, and a `contentType` of text without a charset gets this one. `base64`: it
   * stands for bytes; line breaks in it are ignored.
   */
  readonly encoding: "utf-8" | "base64";
}

/** A file that travels with a mail. */
export type Attachment = File | BinaryAttachment | TextAttachment;

/** An attachment as the database takes it. */
export interface WireAttachment {
  /** The name shown to the reader. */
  readonly filename: string;
  /** Such as `application/pdf`. */
  readonly contentType: string;
  /** For an image that the HTML shows. */
  readonly contentId?: string | undefined;
  /** The content, whatever it was given as. */
  readonly base64: string;
}

const FIELDS = ["filename", "content", "contentType", "contentId", "encoding"] as const;
/** Ours: file systems stop there. */
const MAX_FILENAME_CHARS = 255;
/** RFC 2045 section 5.1, as the database reads it; what could be read in two ways would take for ever. */
const CONTENT_TYPE =
  /^(?=.{1,500}$)[\w!#$&^.+-]+\/[\w!#$&^.+-]+(?: *;(?: *[\w!#$%&*+.^-]+=(?:[\w!#$%&*+.^-]+|"(?:[ !#-[\]-~]|\\[ -~])*"))?)* *$/;
const CONTENT_ID = /^<?([!-;=?-~]{1,250})>?$/;

/** What an attachment was given as, its Blob or stream read. */
export type LoadedAttachment = Readonly<Partial<Record<(typeof FIELDS)[number], unknown>>>;

/** A multiple of three, so that the pieces' base64 can be joined; small enough for a call's arguments. */
const CHUNK_BYTES = 24_573;

/** Reads loaded attachments. */
export function attachments(value: unknown, fault: Fault): readonly WireAttachment[] {
  if (!Array.isArray(value)) {
    fault("it is not a list of attachments");
    return [];
  }
  if (value.length > LIMITS.attachments) fault(`it has more than ${LIMITS.attachments} entries`, [], LIMIT);
  let rawBytes = 0;
  const read = value.map((given: LoadedAttachment, index): WireAttachment => {
    const at = (name: string): Fault => (reason) => fault(reason, [index, name]);
    for (const name of Object.keys(given)) {
      if (!(FIELDS as readonly string[]).includes(name)) at(quote(name))(`it is none of ${FIELDS.join(", ")}`);
    }
    const { bytes, base64 } = encode(given, at);
    rawBytes += bytes;
    return { ...describe(given, at), base64 };
  });
  over(rawBytes, LIMITS.attachmentsBytes, fault);
  return read;
}

function describe(given: LoadedAttachment, at: (name: string) => Fault): Omit<WireAttachment, "base64"> {
  const filename = line(given.filename, at("filename"));
  if (given.filename === "" || filename.length > MAX_FILENAME_CHARS) {
    at("filename")(`it is empty, or has more than ${MAX_FILENAME_CHARS} characters`);
  }
  const contentType = textOf(given.contentType ?? "application/octet-stream");
  if (!CONTENT_TYPE.test(contentType)) at("contentType")("it is not like application/pdf");
  // null is none, as for contentType.
  const { contentId } = given;
  const bareId = CONTENT_ID.exec(textOf(contentId ?? "a"))?.[1];
  if (bareId === undefined) at("contentId")("it is not visible ASCII of at most 250 characters");
  return { filename, contentType, contentId: contentId == null ? undefined : bareId };
}

/** Returns the content as base64, with the number of bytes it stands for. */
function encode(
  { content, encoding }: LoadedAttachment,
  at: (path: string) => Fault,
): { readonly bytes: number; readonly base64: string } {
  let bytes = content instanceof ArrayBuffer ? new Uint8Array(content) : content;
  if (typeof content === "string") {
    if (encoding === "base64") {
      const base64 = content.replace(/\s+/g, "");
      const digits = base64.replace(/={1,2}$/, "");
      if (base64.length % 4 || /[^\w+/]|_/.test(digits)) {
        at("content")("it is not base64 with padding");
      }
      return { bytes: Math.floor(digits.length * 3 / 4), base64 };
    }
    if (encoding !== "utf-8") at("encoding")("a string needs its encoding: utf-8 or base64");
    bytes = new TextEncoder().encode(content);
  } else if (encoding !== undefined) at("encoding")("only a string has an encoding");
  if (bytes instanceof Uint8Array) {
    return { bytes: bytes.length, base64: bytes.length > LIMITS.attachmentsBytes ? "" : toBase64(bytes) };
  }
  // Left unread, since all together were beyond the limit.
  if (bytes instanceof Blob) return { bytes: bytes.size, base64: "" };
  at("content")("it is none of string, Uint8Array, ArrayBuffer, Blob and a ReadableStream of bytes");
  return { bytes: 0, base64: "" };
}

function toBase64(bytes: Uint8Array & { readonly toBase64?: () => string }): string {
  // Not yet in every runtime that we run on (Node 20).
  if (typeof bytes.toBase64 === "function") return bytes.toBase64();
  let base64 = "";
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
    base64 += btoa(String.fromCharCode(...bytes.subarray(at, at + CHUNK_BYTES)));
  }
  return base64;
}
