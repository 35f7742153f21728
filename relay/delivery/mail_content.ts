import {
  type AttachmentSlot,
  compose,
  type Mail,
  mailPieces,
  needsUtf8Header,
  needsUtf8Sender,
} from "../../src/mime/compose.ts";
import type { MailContent } from "./transport.ts";

/** Reads one attachment as it stands in the mail. */
export type ReadAttachment = (slot: AttachmentSlot) => AsyncIterable<Uint8Array>;

/**
 * Writes a mail in wire format: whole when all its attachments are in memory, else as a stream that reads each of the
 * others when its turn comes, so that a mail costs as much memory as its texts.
 *
 * @example
 * ```ts
 * const mail = {
 *   id: "0190d5a0-0000-7000-8000-000000000000", date: new Date(0), from: { email: "shop@example.com" }, to: [], cc: [],
 *   replyTo: [], subject: "Hello", headers: [],
 *   attachments: [{ filename: "a.bin", contentType: "application/octet-stream", sizeBytes: 57_000_000 }],
 * };
 * const content = mailContent(mail, async function* () {});
 * if (content instanceof Uint8Array || content.sizeBytes < 78_000_000) throw new Error("unexpected");
 * ```
 * @throws {MailchuteError} `validation_error` when the mail cannot be composed
 */
export function mailContent(mail: Mail, read: ReadAttachment): MailContent {
  const needsSmtpUtf8 = mail.isAsciiOnly !== true && needsUtf8Header(mail);
  if (!needsSmtpUtf8 && mail.attachments.every(({ content }) => content !== undefined)) return compose(mail);
  const encoder = new TextEncoder();
  const pieces = mailPieces(mail).map((piece) => typeof piece === "string" ? encoder.encode(piece) : piece);
  const sizeBytes = pieces.reduce(
    (sum, piece) => sum + (piece instanceof Uint8Array ? piece.length : piece.encodedBytes),
    0,
  );
  return {
    sizeBytes,
    needsSmtpUtf8,
    opening: pieces.find((piece) => piece instanceof Uint8Array) ?? new Uint8Array(),
    asAscii: needsSmtpUtf8 && !needsUtf8Sender(mail)
      ? () => mailContent({ ...mail, isAsciiOnly: true }, read)
      : undefined,
    async *chunks() {
      for (const piece of pieces) {
        if (piece instanceof Uint8Array) yield piece;
        else yield* read(piece);
      }
    },
  };
}
