import { expect, test } from "bun:test";
import { addressHeader } from "../../src/mime/address_list.ts";
import { headerProblem, repeatedHeader, textHeader, valueProblem } from "../../src/mime/header.ts";
import { parameter } from "../../src/mime/parameter.ts";

const RESERVED = [
  ...[
    "From",
    "To",
    "Cc",
    "Bcc",
    "Reply-To",
    "Subject",
    "Date",
    "Message-ID",
    "MIME-Version",
    "Return-Path",
    "Received",
    "List-Unsubscribe-Post",
  ],
  ...["Content-Type", "Content-Transfer-Encoding", "Content-Disposition", "Content-X", "Resent-To", "Resent-Bcc"],
  ...["DKIM-Signature", "ARC-Seal", "ARC-Authentication-Results", "Authentication-Results", "Received-SPF"],
];

test("headerProblem() reserves the fields that the message writes itself, in any case", () => {
  for (const name of RESERVED) {
    for (const spelling of [name, name.toLowerCase(), name.toUpperCase()]) {
      expect([spelling, headerProblem(spelling, "x")]).toEqual([
        spelling,
        expect.stringContaining("cannot be set here"),
      ]);
    }
  }
});

test("headerProblem() lets other fields through", () => {
  for (
    const name of [
      "X-Order",
      "In-Reply-To",
      "References",
      "Auto-Submitted",
      "List-Id",
      "Precedence",
      "Tos",
      "X_!#~",
      "Received2",
      "Arc",
    ]
  ) {
    expect([name, headerProblem(name, "some value")]).toEqual([name, undefined]);
  }
  expect(headerProblem("X-Empty", "")).toBeUndefined();
});

test("headerProblem() takes one address for Sender", () => {
  expect(headerProblem("Sender", "Ann <ann@example.com>")).toBeUndefined();
  expect(headerProblem("sender", "a@b, c@d")).toMatch(/Sender is not one address/);
});

test("headerProblem() refuses names that are not visible ASCII without a colon", () => {
  for (const name of ["", "X Order", "X:", "X-Ü", "X\r\nBcc", "X\0", "X\t", " X", "X\x7f"]) {
    expect([name, headerProblem(name, "x")]).toEqual([name, expect.stringContaining("visible ASCII")]);
  }
});

test("headerProblem() takes a name of 76 characters and refuses 77", () => {
  expect(headerProblem("X".repeat(76), "v")).toBeUndefined();
  expect(headerProblem("X".repeat(77), "v")).toMatch(/76/);
});

test("MIMEText#81, zele#7: CRLF in a custom header's value is refused, as is every other control character", () => {
  expect(headerProblem("X-A", "1\r\nX-Injected: 1")).toMatch(/line break/);
  for (let code = 0; code < 0x20; code++) expect(valueProblem(`a${String.fromCharCode(code)}b`)).toMatch(/control/);
  expect(valueProblem("a\x7f")).toMatch(/control/);
  expect(valueProblem("Grüße 🚀")).toBeUndefined();
});

test("valueProblem() refuses what is no string, for callers without a compiler", () => {
  expect(valueProblem(7 as unknown as string)).toMatch(/not a string/);
});

test("repeatedHeader() finds a field that may be there once, and lets others repeat", () => {
  expect(repeatedHeader(["X-A", "x-a", "Sender", "References"])).toBeUndefined();
  expect(repeatedHeader(["References", "X-A", "REFERENCES"])).toBe("REFERENCES");
});

test("textHeader() leaves plain words alone and folds at 78", () => {
  expect(textHeader("Subject", "Hello world")).toBe("Subject: Hello world\r\n");
  expect(textHeader("Subject", "")).toBe("Subject:\r\n");
  const fits = `${"a".repeat(34)} ${"b".repeat(34)}`;
  expect(textHeader("Subject", fits)).toBe(`Subject: ${fits}\r\n`);
  expect(textHeader("Subject", `${fits}b`)).toBe(`Subject: ${"a".repeat(34)}\r\n ${"b".repeat(35)}\r\n`);
});

test("textHeader() leaves a single token up to a line of 998 and encodes one above", () => {
  const longest = "x".repeat(998 - "Subject: ".length);
  expect(textHeader("Subject", longest)).toBe(`Subject: ${longest}\r\n`);
  const encoded = textHeader("Subject", `${longest}x`);
  for (const line of encoded.split("\r\n")) expect(line.length).toBeLessThanOrEqual(76);
  expect(encoded).toStartWith("Subject: =?UTF-8?Q?xxx");
});

test("textHeader() encodes only the words that need it", () => {
  expect(textHeader("Subject", "Re: Grüße dort aus Köln")).toBe(
    "Subject: Re: =?UTF-8?B?R3LDvMOfZQ==?= dort aus =?UTF-8?Q?K=C3=B6ln?=\r\n",
  );
  expect(textHeader("X-To", "Jörg <j@example.com>")).toBe("X-To: =?UTF-8?Q?J=C3=B6rg?= <j@example.com>\r\n");
});

test("textHeader() encodes a literal encoded-word, so that the reader shows it and does not decode it", () => {
  expect(textHeader("Subject", "=?utf-8?Q?x?=")).toBe("Subject: =?UTF-8?Q?=3D=3Futf-8=3FQ=3Fx=3F=3D?=\r\n");
});

test("textHeader() keeps blanks at the ends and in a row by encoding them", () => {
  for (const value of [" a", "a ", "a  b", " ", "  "]) {
    expect(textHeader("Subject", value)).toBe(`Subject: =?UTF-8?Q?${value.replaceAll(" ", "_")}?=\r\n`);
  }
});

test("textHeader() puts no encoded-word into a field that programs read for a blank too many or what looks like one", () => {
  const cases = [
    ["In-Reply-To", "<a@b.example> ", "<a@b.example>"],
    ["references", " <a@b.example>  <c@d.example>", "<a@b.example> <c@d.example>"],
    [
      "List-Unsubscribe",
      " <https://x.example/?next=?a>,  <mailto:u@x.example>",
      "<https://x.example/?next=?a>, <mailto:u@x.example>",
    ],
    ["Auto-Submitted", "auto-generated ", "auto-generated"],
    ["List-Id", " Grüße  <x.example>", "=?UTF-8?B?R3LDvMOfZQ==?= <x.example>"],
    ["References", "  ", ""],
  ] as const;
  for (const [name, given, written] of cases) {
    expect(textHeader(name, given)).toBe(`${name}:${written === "" ? "" : ` ${written}`}\r\n`);
  }
  const ids = Array.from({ length: 30 }, (_, index) => `<${index}@example.com>`);
  expect(textHeader("References", ids.join("  ")).replaceAll("\r\n", "")).toBe(`References: ${ids.join(" ")}`);
  // Nobody is to decode what was no header.
  expect(textHeader("In-Reply-To", "=?utf-8?q?=0d=0aBcc:_x@y.example?=")).toMatch(
    /^In-Reply-To: =\?UTF-8\?Q\?=3D=3Futf-8/,
  );
  expect(textHeader("References", `<${"a".repeat(1_000)}>`)).toMatch(/^References: =\?UTF-8/);
});

test("textHeader() writes U+FFFD for an unpaired surrogate", () => {
  expect(textHeader("Subject", "ab\ud800cd")).toBe("Subject: =?UTF-8?Q?ab=EF=BF=BDcd?=\r\n");
});

test("textHeader() is safe at every cut of a nasty value", () => {
  const value = `Re: 日本 🚀  =?utf-8?Q?x?= ${"y".repeat(90)} "q" ü`;
  for (let end = 0; end <= value.length; end++) {
    const header = textHeader("Subject", value.slice(0, end));
    expect(header).toMatch(/^Subject:(?: [!-~]+)*(?:\r\n(?: [!-~]+)+)*\r\n$/);
  }
});

test("nodemailer 9.0.4 to 10.1.4: each writer of headers takes time in proportion to hostile input", () => {
  const pieces = [
    "a",
    " ",
    "a ",
    " a",
    '"',
    "\\",
    "=?",
    "=?utf-8?Q?x?= ",
    "ü",
    "ü ",
    "🚀",
    "<",
    "(",
    "[",
    "%",
    "\ud800",
  ];
  const start = performance.now();
  for (const piece of pieces) {
    const text = piece.repeat(100_000);
    for (const header of [textHeader("Subject", text), addressHeader("To", [{ email: "a@b", name: text }])]) {
      for (const line of header.split("\r\n")) expect(line.length).toBeLessThanOrEqual(998);
    }
    expect(parameter("filename", text)).toStartWith(";\r\n filename");
    expect(valueProblem(text)).toBeUndefined();
  }
  // What takes quadratic time for 100,000 characters takes minutes.
  expect(performance.now() - start).toBeLessThan(20_000);
}, 120_000);
