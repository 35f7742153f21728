import type { MailContent } from "../delivery/transport.ts";

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

/** A header field on one line, which is no command of SMTP whatever it says. */
const FIRST_LINE = /^[A-Za-z][A-Za-z\d-]*: [ -~]{0,900}\r\n/;

/** The first line of a mail, with its end; undefined when it is no plain header field. */
export function firstLineOf(content: MailContent): Uint8Array | undefined {
  const opening = (content instanceof Uint8Array ? content : content.opening).subarray(0, 1_000);
  const line = FIRST_LINE.exec(latin1.decode(opening))?.[0];
  return line === undefined ? undefined : opening.subarray(0, line.length);
}

const latin1 = new TextDecoder("latin1");

/** The mail as this server can take it: one without SMTPUTF8 gets the ASCII form, where there is one. */
export function contentFor(content: MailContent, offered: { readonly smtpUtf8: boolean }): MailContent {
  if (offered.smtpUtf8 || content instanceof Uint8Array || !content.needsSmtpUtf8) return content;
  return content.asAscii?.() ?? content;
}

/**
 * Yields a mail in its chunks, the first `skipped` octets left out, and throws when they are not what was announced:
 * SIZE and BDAT have told the server a number of octets, and a mail that is cut short must never look complete.
 */
export async function* chunksOf(content: MailContent, skipped = 0): AsyncGenerator<Uint8Array> {
  if (content instanceof Uint8Array) return yield content.subarray(skipped);
  let bytes = 0;
  for await (const chunk of content.chunks()) {
    const from = Math.max(0, skipped - bytes);
    bytes += chunk.length;
    if (bytes > content.sizeBytes) break;
    if (from < chunk.length) yield chunk.subarray(from);
  }
  if (bytes === content.sizeBytes) return;
  const than = bytes > content.sizeBytes ? "more" : "fewer";
  throw new Error(`Cannot send the content: it has ${than} octets than the ${content.sizeBytes} that were announced`);
}
