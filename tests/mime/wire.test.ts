import { expect, test } from "bun:test";
import { compose } from "../../src/mime/compose.ts";
import { dotStuff } from "../../src/mime/encoding.ts";
import { corpus } from "./corpus.ts";

const WIRES = corpus(400, 7).map((mail) => new TextDecoder("latin1").decode(compose(mail)));

/** The header of the mail and of each of its parts: lines up to the first empty one. */
function headers(wire: string): readonly string[] {
  const boundaries = [...wire.matchAll(/boundary="(=_[\da-f]{32}[^"]*)"/g)].map((match) => `\r\n--${match[1]}\r\n`);
  const starts = boundaries.flatMap((boundary) => wire.split(boundary).slice(1));
  return [wire, ...starts].map((part) => part.slice(0, part.indexOf("\r\n\r\n") + 2));
}

test("no mail holds a bare CR, a bare LF, a NUL or an octet above 127", () => {
  for (const wire of WIRES) expect(wire).not.toMatch(/\r(?!\n)|(?<!\r)\n|\0|[\x80-\xff]/);
});

test("every mail ends with CRLF, so that dotStuff() adds nothing but dots", () => {
  for (const wire of WIRES) {
    expect(wire.endsWith("\r\n")).toBeTrue();
    expect(dotStuff(new TextEncoder().encode(wire)).length - wire.length).toBe((wire.match(/^\./gm) ?? []).length);
  }
});

test("no line passes 998 octets, and no line is a lone dot but in an attached message, which nobody may change", () => {
  for (const wire of WIRES) {
    for (const line of wire.replaceAll("\r\nHi\r\n.\r\n", "\r\n").split("\r\n")) {
      expect(line.length).toBeLessThanOrEqual(998);
      expect(line).not.toBe(".");
    }
  }
});

test("a header line keeps to 78 wherever it has a blank to fold at", () => {
  for (const line of WIRES.flatMap(headers).flatMap((header) => header.split("\r\n"))) {
    const foldable = line.replace(/^[!-9;-~]+: /, "").trimStart().includes(" ");
    if (foldable) expect([line, line.length <= 78]).toEqual([line, true]);
  }
});

test("no header line is empty, all blank, or neither a field nor a continuation", () => {
  for (const line of WIRES.flatMap(headers).flatMap((header) => header.split("\r\n").slice(0, -1))) {
    expect(line).toMatch(/^(?:[!-9;-~]+:(?: [^ ].*)?|[ \t]+[^ \t].*)$/);
  }
});

test("an encoded-word has at most 75 characters, its line 76, and none stands between quotes", () => {
  let words = 0;
  for (const header of WIRES.flatMap(headers)) {
    // A quote means nothing in text for people, so only the structured fields count.
    const structured = header.replaceAll("\r\n ", " ").match(/^(?:From|To|Cc|Reply-To|Content-[^:]+):.*$/gm) ?? [];
    for (const [quoted] of structured.join("\n").matchAll(/"(?:[^"\\\n]|\\.)*"/g)) {
      expect(quoted).not.toContain("=?UTF-8");
    }
    for (const line of header.split("\r\n").filter((candidate) => candidate.includes("=?UTF-8?"))) {
      expect(line.length).toBeLessThanOrEqual(76);
      for (const [word] of line.matchAll(/=\?UTF-8\?[QB]\?[^ ?]*\?=/g)) {
        words++;
        expect(word.length).toBeLessThanOrEqual(75);
      }
    }
  }
  expect(words).toBeGreaterThan(1_000);
});

test("the same mail makes the same bytes", () => {
  corpus(50, 9).forEach((mail) => expect(compose(mail)).toEqual(compose(structuredClone(mail))));
});

test("no two boundaries of a mail are alike, none begins another, and each delimiter is where it was announced", () => {
  let nested = 0;
  for (const wire of WIRES) {
    const boundaries = [...wire.matchAll(/boundary="(=_[\da-f]{32}[^"]*)"/g)].map(([, boundary = ""]) => boundary);
    if (boundaries.length > 1) nested++;
    for (const [index, boundary] of boundaries.entries()) {
      expect(boundaries.some((other, place) => place !== index && other.startsWith(boundary))).toBeFalse();
      expect(wire.split(`\r\n--${boundary}--\r\n`)).toHaveLength(2);
      expect(wire.split(`\r\n--${boundary}\r\n`).length).toBeGreaterThan(1);
    }
  }
  expect(nested).toBeGreaterThan(50);
});

test("each field that may be there once is there once, and none that is not ours", () => {
  for (const wire of WIRES) {
    const header = wire.slice(0, wire.indexOf("\r\n\r\n"));
    const names = header.replaceAll("\r\n ", " ").split("\r\n").map((line) =>
      line.slice(0, line.indexOf(":")).toLowerCase()
    );
    expect(new Set(names).size).toBe(names.length);
    for (const name of ["date", "from", "to", "subject", "message-id", "mime-version", "content-type"]) {
      expect(names).toContain(name);
    }
    for (const name of ["bcc", "return-path", "received"]) expect(names).not.toContain(name);
  }
});

test("a Content-Transfer-Encoding is 7bit, quoted-printable or base64, and 7bit for a message (RFC 2046 section 5.2.1)", () => {
  const parts = WIRES.flatMap(headers);
  for (const part of parts) {
    expect(part).toMatch(/^Content-Type: multipart|^Content-Transfer-Encoding: (?:7bit|quoted-printable|base64)\r$/m);
    if (part.includes("Content-Type: message/")) expect(part).toContain("Content-Transfer-Encoding: 7bit\r\n");
  }
  expect(parts.filter((part) => part.includes("Content-Type: message/")).length).toBeGreaterThan(20);
});
