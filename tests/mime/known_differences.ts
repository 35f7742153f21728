import { decodeWords } from "postal-mime";
import type { Reading } from "./readers.ts";

// Where a reader is known to differ from the standards or from the other one: what is taken out before they are
// compared.

/**
 * Python 3.11, in names: puts a blank between the encoded-words of one display name (RFC 2047 section 6.2 says to drop
 * it), and takes several blanks for one, U+0085 and U+2028 among them. In addresses: drops the quotes of `".."`. In
 * file names: drops blanks at the ends, and the brackets of `<x>`. In headers whose name leaves no room for a word on
 * its line: takes the fold behind the colon for a blank of the value.
 */
export function knownOfPython(reading: Reading): Reading {
  const { from, to, cc, replyTo } = reading;
  const tight = (list: Reading["to"]) =>
    list.map(([name, email]) =>
      [name.replace(/[ \u0085\u2028]/g, ""), email.replace(/^"([^ ,;()"]+)"@/, "$1@")] as const
    );
  const headers = reading.headers.map(([name, value]) => [name, name.length > 60 ? value.trimStart() : value] as const);
  const files = reading.files.map(([filename = "", ...rest]) => [trimmed(filename), ...rest]);
  return {
    ...reading,
    from: tight(from),
    to: tight(to),
    cc: tight(cc),
    replyTo: tight(replyTo),
    headers,
    files: files.toSorted(),
  };
}

/**
 * postal-mime decodes encoded-words in a file name even when RFC 2231 has made them literal, and its TextDecoder takes
 * a U+FEFF at the start of a text, or of an encoded-word, for a byte order mark; a file name that is nothing else
 * becomes the stand-in beside it. It does not tell the tree.
 */
export function knownOfPostalMime(reading: Reading): Reading {
  const unmarked = (text: string) => text.replaceAll("\ufeff", "");
  const all = (list: Reading["to"]) => list.map(([name, value]) => [unmarked(name), value] as const);
  const files = reading.files.map(([filename = "", ...rest]) => [unmarked(decodeWords(filename)) || "_", ...rest]);
  return {
    ...reading,
    subject: unmarked(reading.subject),
    note: unmarked(reading.note),
    from: all(reading.from),
    to: all(reading.to),
    cc: all(reading.cc),
    replyTo: all(reading.replyTo),
    headers: reading.headers.map(([name, value]) => [name, unmarked(value)]),
    text: reading.text.replace(/^\ufeff+/, ""),
    html: reading.html.replace(/^\ufeff+/, ""),
    files: files.toSorted(),
    tree: "",
  };
}

/** Without the brackets around the whole, and the blanks that Python's strip() removes. */
function trimmed(text: string): string {
  const strip = (from: string) => from.replace(/^[\s\u0085]+|[\s\u0085]+$/g, "");
  return strip(strip(text).replace(/^<(.*)>$/s, "$1"));
}
