import { expect, test } from "bun:test";
import { quotedPrintable } from "../../src/mime/quoted_printable.ts";
import { type Prng, prng } from "./prng.ts";

/** A decoder by the book (RFC 2045 section 6.7), to check against. */
function decode(encoded: string): string {
  const octets: number[] = [];
  const joined = encoded.replaceAll("=\r\n", "");
  for (let i = 0; i < joined.length; i++) {
    const escaped = joined[i] === "=";
    octets.push(escaped ? Number.parseInt(joined.slice(i + 1, i + 3), 16) : joined.charCodeAt(i));
    if (escaped) i += 2;
  }
  return new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.from(octets));
}

function expectValid(encoded: string): void {
  for (const line of encoded.split("\r\n")) {
    expect(line.length).toBeLessThanOrEqual(76);
    expect(line).toMatch(/^(?:[\t\x20-\x3c\x3e-\x7e]|=[0-9A-F]{2})*=?$/);
    expect(line).not.toMatch(/[ \t]$|^From |^\./);
  }
}

function sample(random: Prng): string {
  const parts = [
    "a",
    "=",
    " ",
    "\t",
    ".",
    "\r\n",
    "From ",
    "ü",
    "日本",
    "🚀",
    "word ",
    "x".repeat(40),
    "\x07",
    "=3D",
    "\u0301",
  ];
  const [first = "", ...rest] = parts;
  return Array.from({ length: random.int(60) }, () => random.pick([first, ...rest])).join("");
}

test("quotedPrintable() gives back the same text, in lines of 76, for 2,000 nasty samples", () => {
  const random = prng(7);
  for (let i = 0; i < 2_000; i++) {
    const text = sample(random);
    const encoded = quotedPrintable(text);
    expectValid(encoded);
    expect(decode(encoded)).toBe(text);
  }
});

test("quotedPrintable() is valid at every cut of a text, and with every length of the first line", () => {
  const text = "Grüße 🚀 = \t\r\n.\r\nFrom me \r\n" + "x".repeat(70) + "ü".repeat(30) + "\r\n ";
  for (let end = 0; end <= text.length; end++) {
    const cut = text.slice(0, end).toWellFormed();
    expectValid(quotedPrintable(cut));
    expect(decode(quotedPrintable(cut))).toBe(cut);
  }
  for (let length = 60; length < 90; length++) {
    for (const next of ["=", "ü", "🚀", ".", " ", " \r\n", "From ", "\t."]) {
      const long = "y".repeat(length) + next;
      expectValid(quotedPrintable(long));
      expect(decode(quotedPrintable(long))).toBe(long);
    }
  }
});

test("quotedPrintable() keeps a line of 75 characters whole and breaks one of 76", () => {
  expect(quotedPrintable("x".repeat(75))).toBe("x".repeat(75));
  expect(quotedPrintable("x".repeat(76))).toBe(`${"x".repeat(75)}=\r\nx`);
});

test("quotedPrintable() keeps the octets of one character on one line", () => {
  for (const line of quotedPrintable("🚀".repeat(50)).split("=\r\n")) expect(line).toMatch(/^(?:=F0=9F=9A=80)+$/);
});

test("quotedPrintable() encodes a dot and a From that a soft break moved to the start of a line", () => {
  expect(quotedPrintable(`${"x".repeat(75)}.`)).toBe(`${"x".repeat(75)}=\r\n=2E`);
  expect(quotedPrintable(`${"x".repeat(75)}From me`)).toBe(`${"x".repeat(75)}=\r\n=46rom me`);
});

test("quotedPrintable() encodes a lone CR, a lone LF and NUL", () => {
  expect(quotedPrintable("a\rb\nc\0")).toBe("a=0Db=0Ac=00");
});
