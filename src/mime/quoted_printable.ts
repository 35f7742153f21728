/** RFC 2045 section 6.7 rule 5: 76 characters a line, of which one is kept for the soft break's "=". */
const LINE_CHARS = 75;
const CR = 13;
const LF = 10;
const DOT = 46;
const EQUALS = 61;

const HEX: readonly string[] = Array.from(
  { length: 256 },
  (_, octet) => `=${octet.toString(16).toUpperCase().padStart(2, "0")}`,
);

/**
 * Encodes text as quoted-printable UTF-8 (RFC 2045 section 6.7).
 *
 * Beyond the rule: a "." and a "From " at the start of a line are encoded, because some hops change them (RFC 5321
 * section 4.5.2, mbox files), and the octets of one character stay on one line. Line breaks of the text must be CRLF; a
 * lone CR or LF is encoded as any other control character is.
 *
 * @example
 * ```ts
 * if (quotedPrintable("Grüße \r\n.") !== "Gr=C3=BC=C3=9Fe=20\r\n=2E") throw new Error("unexpected");
 * ```
 */
export function quotedPrintable(text: string): string {
  let out = "";
  let column = 0;
  // Literal characters are copied in runs: `run` is where the pending one starts.
  let run = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    // Most characters of most mails end here.
    if (code > 32 && code < 127 && code !== EQUALS && column > 0 && column < LINE_CHARS) {
      column++;
      continue;
    }
    if (code === CR && text.charCodeAt(i + 1) === LF) {
      column = 0;
      i++;
      continue;
    }
    const literal = isLiteral(text, i);
    const point = literal ? code : text.codePointAt(i) ?? code;
    const encoded = literal ? "" : escapePoint(point);
    const width = literal ? 1 : encoded.length;
    if (column + width > LINE_CHARS) {
      out += `${text.slice(run, i)}=\r\n`;
      run = i;
      column = 0;
    }
    if (literal && (column > 0 || !isFragile(text, i))) {
      column++;
      continue;
    }
    const escaped = encoded === "" ? escapePoint(code) : encoded;
    out += text.slice(run, i) + escaped;
    column += escaped.length;
    if (point > 0xffff) i++;
    run = i + 1;
  }
  return out + text.slice(run);
}

function isLiteral(text: string, i: number): boolean {
  const code = text.charCodeAt(i);
  if (code > 32) return code < 127 && code !== EQUALS;
  if (code !== 32 && code !== 9) return false;
  // Rule 3: a blank at the end of a line would be lost on the way.
  return i + 1 < text.length && !(text.charCodeAt(i + 1) === CR && text.charCodeAt(i + 2) === LF);
}

/** Whether a hop may change what stands here at the start of a line. */
function isFragile(text: string, i: number): boolean {
  return text.charCodeAt(i) === DOT || text.startsWith("From ", i);
}

/**
 * Writes the UTF-8 octets of a code point (RFC 3629 section 3) as `=XX`.
 *
 * @example
 * ```ts
 * if (escapePoint(0xfc) !== "=C3=BC") throw new Error("unexpected");
 * ```
 */
export function escapePoint(point: number): string {
  if (point < 0x80) return hex(point);
  if (point < 0x800) return hex(0xc0 | (point >> 6)) + tail(point);
  if (point < 0x10000) return hex(0xe0 | (point >> 12)) + tail(point >> 6) + tail(point);
  return hex(0xf0 | (point >> 18)) + tail(point >> 12) + tail(point >> 6) + tail(point);
}

function tail(bits: number): string {
  return hex(0x80 | (bits & 63));
}

function hex(octet: number): string {
  return HEX[octet] ?? "";
}
