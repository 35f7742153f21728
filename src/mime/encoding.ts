import { base64Bytes, writeBase64 } from "./base64.ts";
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
 * Tells whether bytes may travel as 7bit (RFC 2045 section 2.7): ASCII, CRLF only, no NUL, no line over 998 octets.
 *
 * @example
 * ```ts
 * if (is7bit(new TextEncoder().encode("a\nb"))) throw new Error("unexpected");
 * ```
 */
export function is7bit(bytes: Uint8Array): boolean {
  let lineStart = 0;
  for (let i = 0; i < bytes.length; i++) {
    // The index is below the length.
    const octet = bytes[i] as number;
    if (octet === 0 || octet > 127) return false;
    if (octet === CR && bytes[i + 1] !== LF) return false;
    if (octet !== LF) continue;
    if (bytes[i - 1] !== CR || i - 1 - lineStart > MAX_LINE_BYTES) return false;
    lineStart = i + 1;
  }
  return bytes.length - lineStart <= MAX_LINE_BYTES;
}

/**
 * Doubles the dot at the start of each line (RFC 5321 section 4.5.2) and ends the last line with CRLF, so that
 * `.\r\n` may follow. Returns the same array when nothing has to change.
 *
 * A dot behind a bare LF is doubled too: a server that takes LF for a line end must not see the end of data there
 * (CVE-2023-51764). Mails that `compose` made have none.
 *
 * @example
 * ```ts
 * const wire = dotStuff(new TextEncoder().encode("a\r\n.b"));
 * if (new TextDecoder().decode(wire) !== "a\r\n..b\r\n") throw new Error("unexpected");
 * ```
 */
export function dotStuff(bytes: Uint8Array): Uint8Array {
  const dots = lineStartDots(bytes);
  const end = missingEnd(bytes);
  if (dots.length === 0 && end.length === 0) return bytes;
  const stuffed = new Uint8Array(bytes.length + dots.length + end.length);
  let from = 0;
  let to = 0;
  for (const dot of dots) {
    stuffed.set(bytes.subarray(from, dot), to);
    to += dot - from;
    stuffed[to++] = DOT;
    from = dot;
  }
  stuffed.set(bytes.subarray(from), to);
  stuffed.set(end, stuffed.length - end.length);
  return stuffed;
}

function lineStartDots(bytes: Uint8Array): readonly number[] {
  const dots: number[] = [];
  for (let at = bytes.indexOf(DOT); at >= 0; at = bytes.indexOf(DOT, at + 1)) {
    if (at === 0 || bytes[at - 1] === LF) dots.push(at);
  }
  return dots;
}

function missingEnd(bytes: Uint8Array): readonly number[] {
  const last = bytes.at(-1);
  if (last === LF && bytes.at(-2) === CR) return [];
  return last === CR ? [LF] : [CR, LF];
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
