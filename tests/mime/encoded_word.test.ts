import { expect, test } from "bun:test";
import { encodedWords } from "../../src/mime/encoded_word.ts";
import { prng } from "./prng.ts";

/** A decoder by the book (RFC 2047): each word on its own, so that a split character would show. */
function decode(word: string): string {
  const match = /^=\?UTF-8\?([QB])\?([^ ?]+)\?=$/.exec(word);
  if (match === null) throw new Error(`not an encoded-word: ${word}`);
  const [, kind, payload = ""] = match;
  const binary = kind === "B" ? atob(payload) : payload.replaceAll("_", " ").replace(
    /=([0-9A-F]{2})/g,
    (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(
    Uint8Array.from(binary, (char) => char.charCodeAt(0)),
  );
}

test("encodedWords() gives the text back from words of at most 75, for every length and room", () => {
  const random = prng(3);
  for (let length = 1; length < 120; length++) {
    const text = Array.from({ length }, () => random.pick(["a", " ", "ü", "日", "🚀", "?", "=", "_", '"', "\u0301"]))
      .join("");
    for (const room of [75, 74, 60, 33, 24, 23, 10, -5]) {
      const words = encodedWords(text, room);
      expect(words.map(decode).join("")).toBe(text);
      for (const word of words) expect(word.length).toBeLessThanOrEqual(75);
      if (room >= 24) expect(words[0]?.length).toBeLessThanOrEqual(room);
    }
  }
});

test("encodedWords() keeps to 75 even where there is more room", () => {
  expect(encodedWords("x".repeat(200), 500).map((word) => word.length)).toEqual([75, 75, 75, 23]);
});

test("encodedWords() never splits a character: words cut at every phase stay valid UTF-8", () => {
  for (let shift = 0; shift < 70; shift++) {
    const text = `${"x".repeat(shift)}${"🚀".repeat(40)}`;
    expect(encodedWords(text).map(decode).join("")).toBe(text);
  }
});

test('encodedWords() takes "Q" for text that people can still read, else "B"', () => {
  expect(encodedWords("Jörg Müller")).toEqual(["=?UTF-8?Q?J=C3=B6rg_M=C3=BCller?="]);
  expect(encodedWords("日本語")).toEqual(["=?UTF-8?B?5pel5pys6Kqe?="]);
});

test("encodedWords() keeps blanks at the ends and escapes what a phrase may not hold", () => {
  expect(encodedWords(" a ")).toEqual(["=?UTF-8?Q?_a_?="]);
  expect(encodedWords('(")<@>,;')[0]).toMatch(/^=\?UTF-8\?[QB]\?[A-Za-z0-9!*+\-/=_]+\?=$/);
});
