import { expect, test } from "bun:test";
import { base64Bytes, writeBase64 } from "../../src/mime/base64.ts";
import { dotStuff, encodeText, toCrlf } from "../../src/mime/encoding.ts";
import { prng } from "./prng.ts";

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function text(value: Uint8Array): string {
  return new TextDecoder().decode(value);
}

function base64(raw: Uint8Array): string {
  const target = new Uint8Array(base64Bytes(raw.length));
  expect(writeBase64(raw, target, 0)).toBe(target.length);
  return text(target);
}

/** Does to a wire what a receiver does (RFC 5321 section 4.5.2). */
function unstuff(wire: string): string {
  return wire.split("\r\n").map((line) => (line.startsWith(".") ? line.slice(1) : line)).join("\r\n");
}

test("writeBase64() makes what the runtime's own encoder makes, in lines of 76, for every length up to 300", () => {
  const random = prng(1);
  for (let length = 0; length <= 300; length++) {
    const raw = Uint8Array.from({ length }, () => random.int(256));
    const expected = raw.toBase64().replace(/.{1,76}/g, "$&\r\n");
    expect(base64(raw)).toBe(expected);
  }
});

test("writeBase64() joins up when it is given 57 octets at a time", () => {
  const raw = Uint8Array.from({ length: 1_000 }, (_, i) => i * 31);
  const target = new Uint8Array(base64Bytes(raw.length));
  let at = 0;
  for (let i = 0; i < raw.length; i += 57) at = writeBase64(raw.subarray(i, i + 57), target, at);
  expect(text(target)).toBe(base64(raw));
});

test("toCrlf() turns every kind of line end into CRLF and removes NUL", () => {
  expect(toCrlf("a\rb\nc\r\nd\n\re\r\r\nf\n\n")).toBe("a\r\nb\r\nc\r\nd\r\n\r\ne\r\n\r\nf\r\n\r\n");
  expect(toCrlf("\0a\0\n\0")).toBe("a\r\n");
  expect(toCrlf("\r\0\n")).toBe("\r\n");
  expect(toCrlf("x\ud800y")).toBe("x\ufffdy");
  expect(toCrlf("")).toBe("");
});

test("encodeText() sends plain ASCII as it is", () => {
  expect(encodeText("Hello\n\tworld = 1\n")).toEqual({ encoding: "7bit", body: "Hello\r\n\tworld = 1\r\n" });
  expect(encodeText("")).toEqual({ encoding: "7bit", body: "" });
});

test("encodeText() sends a line of 998 octets as it is and encodes one of 999, wherever it stands", () => {
  for (const [before, after] of [["", ""], ["a\n", ""], ["", "\nb"], ["a\n", "\nb\n"]] as const) {
    expect(encodeText(before + "x".repeat(998) + after).encoding).toBe("7bit");
    expect(encodeText(before + "x".repeat(999) + after).encoding).toBe("quoted-printable");
  }
});

test("encodeText() encodes what a hop might change", () => {
  const fragile = [
    ".",
    "a\n.",
    "a\n.\nb",
    "From me",
    "a\nFrom me",
    "a ",
    "a\t\nb",
    "a \r\nb",
    "a\x07",
    "a\x7f",
    "a\u2028",
  ];
  for (const value of fragile) {
    const { encoding, body } = encodeText(value);
    expect([value, encoding]).not.toEqual([value, "7bit"]);
    expect(body).not.toMatch(/^From |^\.|[ \t]$/m);
  }
  for (const value of [".a", "..", "a\n.b", "Fromage", " From me", "x From me", "a. \n".trim()]) {
    expect([value, encodeText(value).encoding]).toEqual([value, "7bit"]);
  }
});

test("encodeText() takes quoted-printable for western text and base64 for text that is mostly not ASCII", () => {
  expect(encodeText("Viele Grüße aus Köln, und bis bald in Zürich\n").encoding).toBe("quoted-printable");
  const { encoding, body } = encodeText("こんにちは世界\n".repeat(9));
  expect(encoding).toBe("base64");
  expect(text(Uint8Array.fromBase64(body.replaceAll("\r\n", "")))).toBe("こんにちは世界\r\n".repeat(9));
});

test("dotStuff() returns the same array when there is nothing to do", () => {
  const mail = bytes("Subject: a.b\r\n\r\nHello. World.\r\n");
  expect(dotStuff(mail)).toBe(mail);
});

test("dotStuff() doubles a dot at the start of each line, at every cut of a mail full of them", () => {
  const mail = ".a\r\n.\r\n..\r\n\r\n.\r\nb.\r\n.c\r\n.\r\n";
  for (let end = 0; end <= mail.length; end++) {
    const cut = mail.slice(0, end);
    const wire = text(dotStuff(bytes(cut)));
    expect(wire.endsWith("\r\n")).toBeTrue();
    expect(`\r\n${wire}`).not.toMatch(/\r\n\.\r\n/);
    expect(unstuff(wire)).toStartWith(cut);
    expect(unstuff(wire).slice(cut.length)).toBeOneOf(["", "\n", "\r\n"]);
  }
});

test("dotStuff() completes a CRLF that was cut in half, and leaves no bare CR", () => {
  expect(text(dotStuff(bytes("a\r")))).toBe("a\r\n");
  expect(text(dotStuff(bytes("a\n")))).toBe("a\n\r\n");
  expect(text(dotStuff(bytes("")))).toBe("\r\n");
});

test("dotStuff() works on a view into a larger buffer", () => {
  const view = bytes("xx.a\r\n.b\r\nyy").subarray(2, 10);
  expect(text(dotStuff(view))).toBe("..a\r\n..b\r\n");
});

test("CVE-2023-51764: dotStuff() leaves no dot alone behind a bare LF", () => {
  expect(text(dotStuff(bytes("a\n.\nb\n.\r\nc\r\n.\nd\r\n")))).toBe("a\n..\nb\n..\r\nc\r\n..\nd\r\n");
});

test("CVE-2023-51764: the smuggling sequences in a text leave neither a bare CR, LF nor NUL, nor a lone dot", () => {
  for (
    const sequence of ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\n\0.\r\n", "\r\n.\r\n", "\r\n.\0\r\n", "\0\r\n.\r"]
  ) {
    const { body } = encodeText(`a${sequence}MAIL FROM:<evil@x>`);
    expect(body).not.toMatch(/\r(?!\n)|(?<!\r)\n|\0|^\.\r?$/m);
  }
});
