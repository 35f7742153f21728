import { escapePoint } from "./quoted_printable.ts";

/** RFC 2047 section 2. */
const MAX_ENCODED_WORD_CHARS = 75;
const FRAME = "=?UTF-8?Q??=".length;
/** Room for one character of four octets in either encoding, with its frame. */
const MIN_ROOM = FRAME + 12;
/** What stays literal in "Q" wherever a word may stand (RFC 2047 section 5 rule 3). */
const Q_LITERAL = /[A-Za-z0-9!*+\-/]/;

/**
 * Encodes text as encoded-words (RFC 2047): each at most 75 characters, none splits a character, and a reader that
 * drops the blanks between them, as it must, gets the text back with all of its own. "Q", which people can read in a
 * log, unless most of it would be escapes.
 *
 * @example
 * ```ts
 * if (encodedWords("Köln").join() !== "=?UTF-8?Q?K=C3=B6ln?=") throw new Error("unexpected");
 * ```
 * @param text well-formed, without line breaks
 * @param room what the first word may take; less than a word needs means that it goes to a line of its own
 */
export function encodedWords(text: string, room: number = MAX_ENCODED_WORD_CHARS): readonly string[] {
  const points = Array.from(text, (char) => ({ char, q: qForm(char) }));
  const qChars = points.reduce((sum, point) => sum + point.q.length, 0);
  const octets = points.reduce((sum, point) => sum + octetsOf(point.char), 0);
  const useQ = qChars <= 2 * octets;
  const words: string[] = [];
  let left = inner(room < MIN_ROOM ? MAX_ENCODED_WORD_CHARS : room, useQ);
  let word = "";
  for (const { char, q } of points) {
    const width = useQ ? q.length : octetsOf(char);
    if (width > left) {
      words.push(frame(word, useQ));
      word = "";
      left = inner(MAX_ENCODED_WORD_CHARS, useQ);
    }
    word += useQ ? q : char;
    left -= width;
  }
  words.push(frame(word, useQ));
  return words;
}

/** How much fits between the frame: characters for "Q", octets for "B". */
function inner(room: number, useQ: boolean): number {
  const chars = Math.min(room, MAX_ENCODED_WORD_CHARS) - FRAME;
  return useQ ? chars : Math.floor(chars / 4) * 3;
}

function frame(word: string, useQ: boolean): string {
  if (useQ) return `=?UTF-8?Q?${word}?=`;
  const octets = new TextEncoder().encode(word);
  return `=?UTF-8?B?${btoa(String.fromCharCode(...octets))}?=`;
}

function qForm(char: string): string {
  if (char === " ") return "_";
  return Q_LITERAL.test(char) ? char : escapePoint(char.codePointAt(0) ?? 0);
}

function octetsOf(char: string): number {
  const point = char.codePointAt(0) ?? 0;
  if (point < 0x80) return 1;
  if (point < 0x800) return 2;
  return point < 0x10000 ? 3 : 4;
}
