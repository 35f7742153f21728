import { base64Bytes, writeBase64 } from "./base64.ts";
import { DotStuffer } from "./dot_stuffer.ts";
import { quotedPrintable } from "./quoted_printable.ts";

/** RFC 2045 section 6: the encodings whose output any hop can carry. */
export type TransferEncoding = "7bit" | "quoted-printable" | "base64";

/** A text part ready for the wire. */
export interface EncodedText {
  readonly encoding: TransferEncoding;
  /** ASCII with CRLF line ends, no line over 998 octets. */
  readonly body: string;
}

/** RFC 5322 section 2.1.1. */
const MAX_LINE_BYTES = 998;
const CR = 13;
const LF = 10;
const DOT = 46;
const EQUALS = 61;

/**
 * Turns every CR, LF and CRLF into CRLF, removes NUL (RFC 5322 section 2.3 has no place for it) and replaces
 * unpaired surrogates by U+FFFD.
 *
 * @example
 * ```ts
 * if (toCrlf("a\rb\nc\r\nd\0") !== "a\r\nb\r\nc\r\nd") throw new Error("unexpected");
 * ```
 */
export function toCrlf(text: string): string {
  const clean = (text.includes("\0") ? text.replaceAll("\0", "") : text).toWellFormed();
  return clean.includes("\r") ? clean.replace(/\r\n?|\n/g, "\r\n") : clean.replaceAll("\n", "\r\n");
}

/**
 * Encodes a text part so that any hop can carry it and none has a reason to change it: 7bit when it is safe as it is,
 * else the shorter of quoted-printable and base64.
 *
 * @example
 * ```ts
 * const { encoding, body } = encodeText("See you in Köln\n");
 * if (encoding !== "quoted-printable" || body !== "See you in K=C3=B6ln\r\n") throw new Error("unexpected");
 * ```
 * @param text with any line ends
 */
export function encodeText(text: string): EncodedText {
  const lines = toCrlf(text);
  const { safe, escapes } = survey(lines);
  if (safe) return { encoding: "7bit", body: lines };
  // Three characters for one octet here, 78 for 57 there.
  if (escapes * 5 <= lines.length) return { encoding: "quoted-printable", body: quotedPrintable(lines) };
  return { encoding: "base64", body: base64Text(new TextEncoder().encode(lines)) };
}

/**
 * Doubles the dot at the start of each line (RFC 5321 section 4.5.2) and ends the last line with CRLF, so that
 * `.\r\n` may follow. Returns the same array when nothing has to change. For a mail in chunks there is `DotStuffer`.
 *
 * @example
 * ```ts
 * const wire = dotStuff(new TextEncoder().encode("a\r\n.b"));
 * if (new TextDecoder().decode(wire) !== "a\r\n..b\r\n") throw new Error("unexpected");
 * ```
 */
export function dotStuff(bytes: Uint8Array): Uint8Array {
  const stuffer = new DotStuffer();
  const stuffed = stuffer.push(bytes);
  const end = stuffer.end();
  if (end.length === 0) return stuffed;
  const whole = new Uint8Array(stuffed.length + end.length);
  whole.set(stuffed);
  whole.set(end, stuffed.length);
  return whole;
}

/** Looks once at every character: may the text travel as 7bit, and if not, how much of it needs an escape? */
function survey(text: string): { readonly safe: boolean; readonly escapes: number } {
  let escapes = 0;
  let safe = true;
  let lineStart = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 32 && code < 127) {
      // What a mail store (">From ") or a careless hop changes at the start of a line.
      if (i === lineStart && (code === DOT || code === 70) && /^(?:\.(?:\r|$)|From )/.test(text.slice(i, i + 5))) {
        safe = false;
      }
      if (code === EQUALS) escapes++;
      continue;
    }
    if (code === CR) {
      if (i - lineStart > MAX_LINE_BYTES || isBlank(text.charCodeAt(i - 1))) safe = false;
      lineStart = i + 2;
    } else if (code !== LF && !isBlank(code)) {
      safe = false;
      escapes += code < 0x80 ? 1 : code < 0x800 ? 2 : 3;
    }
  }
  if (text.length - lineStart > MAX_LINE_BYTES || isBlank(text.charCodeAt(text.length - 1))) safe = false;
  return { safe, escapes };
}

function isBlank(code: number): boolean {
  return code === 32 || code === 9;
}

function base64Text(bytes: Uint8Array): string {
  const lines = new Uint8Array(base64Bytes(bytes.length));
  writeBase64(bytes, lines, 0);
  return new TextDecoder().decode(lines);
}
