import type { MailContent } from "../transport.ts";

/** How many octets a mail has, before dot-stuffing (RFC 1870 section 3). */
export function sizeOf(content: MailContent): number {
  return content instanceof Uint8Array ? content.length : content.sizeBytes;
}

const LF = 0x0a;
const CR = 0x0d;

/**
 * Tells whether a header of the mail holds an address that is not ASCII, so that the server needs SMTPUTF8 (RFC 6532).
 *
 * @example
 * ```ts
 * const content = new TextEncoder().encode("Reply-To: jörg@corp.example\r\n\r\nHello\r\n");
 * if (!needsSmtpUtf8(content)) throw new Error("unexpected");
 * ```
 */
export function needsSmtpUtf8(content: MailContent): boolean {
  if (!(content instanceof Uint8Array)) return content.needsSmtpUtf8;
  for (let at = 0; at < content.length; at++) {
    const octet = content[at] as number; // below its length
    if (octet > 0x7f) return true;
    // The blank line: below it everything is 7-bit, whatever the server offers.
    if (octet === LF && content[at + 1] === CR && content[at + 2] === LF) return false;
  }
  return false;
}

/** The mail as this server can take it: one without SMTPUTF8 gets the ASCII form, where there is one. */
export function contentFor(content: MailContent, offered: { readonly smtpUtf8: boolean }): MailContent {
  if (offered.smtpUtf8 || content instanceof Uint8Array || !content.needsSmtpUtf8) return content;
  return content.asAscii?.() ?? content;
}

/**
 * Yields a mail in its chunks, and throws when they are not what was announced: SIZE and BDAT have told the server a
 * number of octets, and a mail that is cut short must never look complete.
 */
export async function* chunksOf(content: MailContent): AsyncGenerator<Uint8Array> {
  if (content instanceof Uint8Array) return yield content;
  let bytes = 0;
  for await (const chunk of content.chunks()) {
    bytes += chunk.length;
    if (bytes > content.sizeBytes) break;
    yield chunk;
  }
  if (bytes === content.sizeBytes) return;
  const than = bytes > content.sizeBytes ? "more" : "fewer";
  throw new Error(`Cannot send the content: it has ${than} octets than the ${content.sizeBytes} that were announced`);
}
