import fc from "fast-check";
import { BODY_PIECES, PIECES } from "../mime/corpus.ts";
import { SMUGGLED, VICTIM } from "../mime/wild_corpus.ts";

// Texts that an app may hand in, at their oddest, and those that it may not.

/** What a header or a name may hold: all but control characters. */
const LINE_PIECES = [
  ...PIECES,
  ...["=?utf-8?b?w7w=?=", "=?iso-8859-1?q?=A4?=", "=?utf-8?q?=0d=0aBcc:_x@y.example?=", "=?", "?", "_", "--", "--=_"],
  ...["\u202e", "\u2066x\u2069", "\u200b", "\u200d", "\ufeff", "\u{e0041}", "\udc00", "\ud83d", "\u2028", "\u0085x"],
  ...["w".repeat(300), "日".repeat(120), "👩‍👩‍👧‍👦".repeat(12), "%0d%0aBcc: x@y.example", "\\r\\n", "$1", "$&", "__proto__"],
] as const;

/** What a text may hold beside that. */
const TEXT_PIECES = [
  ...BODY_PIECES.filter((piece) => piece !== "\0"),
  ...["\r\n.\r\n", "\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r"].map((end) => `${end}${SMUGGLED}`),
  ...[
    "\n.",
    "\n..x",
    "\r\r\n",
    "\n\r",
    "=\n",
    "\x1b[31m",
    "\v",
    "\f",
    "\x7f",
    "\nBcc: x@y.example\n",
    "Q".repeat(2_000),
  ],
  ...["\n--=_0190d5a0000070008000000000000001--\n", "Content-Type: text/html\n\n", "<p>", "<br>", "&amp;", "</table>"],
] as const;

/** What ends a line where it must not, or is no text. */
export const BREAKS = [
  ...["\r\n", "\n", "\r", "\0", "\t", "\v", "\x1b", "\x7f", `\r\nBcc: ${VICTIM}`, `\r\n\r\n<script>`],
  `\r\n.\r\n${SMUGGLED}`,
] as const;

/** UTF-16 as it comes, unpaired surrogates among it. */
const UNITS = fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 20 })
  .map((codes) => String.fromCharCode(...codes));

const ANY_TEXT = fc.oneof(fc.string({ unit: "binary", maxLength: 30 }), fc.string({ maxLength: 30 }), UNITS);

/** One line of up to so many UTF-16 units. */
export function line(maxChars = 4_000): fc.Arbitrary<string> {
  const pieces = fc.array(fc.tuple(fc.constantFrom(...LINE_PIECES), fc.constantFrom("", " ", " ", "  ")), {
    maxLength: 12,
  }).map((parts) => parts.flat().join(""));
  return fc.oneof({ weight: 3, arbitrary: pieces }, ANY_TEXT)
    .map((text) => text.replace(/[\0-\x1f\x7f]/g, "").slice(0, maxChars));
}

/** A line that is not empty. */
export function word(maxChars: number): fc.Arbitrary<string> {
  return line(maxChars).map((text) => text === "" ? "x" : text);
}

/** A text of several lines. */
export const body: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: pieces(TEXT_PIECES, 30) },
  { weight: 1, arbitrary: pieces([...TEXT_PIECES, ...LINE_PIECES], 60) },
  { weight: 1, arbitrary: ANY_TEXT.map((text) => text.replaceAll("\0", "")) },
  { weight: 1, arbitrary: fc.constant("") },
);

/** A line with something in it that must not be there. */
export const brokenLine: fc.Arbitrary<string> = fc.tuple(line(), fc.constantFrom(...BREAKS), line())
  .map((parts) => parts.join(""));

function pieces(from: readonly string[], maxLength: number): fc.Arbitrary<string> {
  return fc.array(fc.tuple(fc.constantFrom(...from), fc.constantFrom("", " ", "\n")), { maxLength })
    .map((parts) => parts.flat().join(""));
}
