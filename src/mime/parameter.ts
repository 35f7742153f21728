import { escapePoint } from "./quoted_printable.ts";

/** RFC 5322 section 2.1.1, less the ";" that may follow. */
const LINE_CHARS = 77;
/** Above it a value is cut into continuations. */
const MAX_QUOTED_CHARS = 60;

const TOKEN = /^[\w-]+$/;
/** ASCII that stands between quotes without escapes, which some readers do not undo. */
const QUOTABLE = /^(?! )[ !#-[\]-~]*(?<! )$/;
/** RFC 5987 section 3.2.1. */
const ATTR_CHAR = /[\w!#$&+\-.^`|~]/;

/**
 * Writes a parameter of Content-Type or Content-Disposition, on a line of its own: `;\r\n name=value`. What is not
 * plain ASCII, or long, goes in the extended form of RFC 2231: `name*=UTF-8''…`, or its continuations `name*0*=…`.
 *
 * @example
 * ```ts
 * if (parameter("filename", "Köln.pdf") !== ";\r\n filename*=UTF-8''K%C3%B6ln.pdf") throw new Error("unexpected");
 * ```
 * @param value without control characters
 */
export function parameter(name: string, value: string): string {
  const text = value.toWellFormed();
  if (text.length <= MAX_QUOTED_CHARS && !text.includes("=?")) {
    if (TOKEN.test(text)) return `;\r\n ${name}=${text}`;
    if (QUOTABLE.test(text)) return `;\r\n ${name}="${text}"`;
  }
  const pieces = Array.from(text, percentForm);
  const whole = ` ${name}*=UTF-8''${pieces.join("")}`;
  return whole.length <= LINE_CHARS ? `;\r\n${whole}` : continuations(name, pieces);
}

/**
 * Makes an ASCII stand-in for a file name, for readers that know no RFC 2231; it keeps the extension.
 *
 * @example
 * ```ts
 * if (asciiFilename("Köln.pdf") !== "K_ln.pdf") throw new Error("unexpected");
 * ```
 */
export function asciiFilename(filename: string): string {
  const ascii = filename.replace(/[^ -~]|["\\%]/gu, "_").replaceAll("=?", "__").trim();
  const extension = /\.\w{1,10}$/.exec(ascii)?.[0] ?? "";
  return ascii.slice(0, ascii.length - extension.length).slice(0, MAX_QUOTED_CHARS - extension.length) + extension;
}

/** RFC 2231 section 4.1; each piece is one character, which stays on one line. */
function continuations(name: string, pieces: readonly string[]): string {
  let text = "";
  let section = 0;
  let line = ` ${name}*0*=UTF-8''`;
  for (const piece of pieces) {
    if (line.length + piece.length > LINE_CHARS) {
      text += `;\r\n${line}`;
      line = ` ${name}*${++section}*=`;
    }
    line += piece;
  }
  return `${text};\r\n${line}`;
}

function percentForm(char: string): string {
  return ATTR_CHAR.test(char) ? char : escapePoint(char.codePointAt(0) ?? 0).replaceAll("=", "%");
}
