import { expect, test } from "bun:test";
import { asciiFilename, parameter } from "../../src/mime/parameter.ts";
import { prng } from "./prng.ts";

/** A reader by the book (RFC 2231). */
function read(written: string): string {
  const values = written.split(";\r\n ").slice(1).map((line) => line.slice(line.indexOf("=") + 1));
  if (!written.startsWith(";\r\n filename*")) return (values[0] ?? "").replace(/^"|"$/g, "");
  return decodeURIComponent(values.join("").replace(/^UTF-8''/, ""));
}

test("parameter() writes a token bare, other ASCII quoted, the rest in the extended form", () => {
  expect(parameter("method", "REQUEST")).toBe(";\r\n method=REQUEST");
  expect(parameter("filename", "a b.pdf")).toBe(';\r\n filename="a b.pdf"');
  expect(parameter("filename", "")).toBe(';\r\n filename=""');
  expect(parameter("filename", 'a"b\\c.pdf')).toBe(";\r\n filename*=UTF-8''a%22b%5Cc.pdf");
  expect(parameter("filename", "=?utf-8?Q?x?=")).toStartWith(";\r\n filename*=UTF-8''");
  expect(parameter("filename", " a")).toBe(";\r\n filename*=UTF-8''%20a");
});

test("parameter() quotes a value of 60 and cuts one of 61 to lines of 78", () => {
  expect(parameter("filename", "x ".repeat(30).trimEnd() + "y")).toContain('="');
  const long = parameter("filename", "x ".repeat(30) + "y");
  expect(long).toContain("filename*0*=UTF-8''");
  for (const line of long.split("\r\n")) expect(line.length).toBeLessThanOrEqual(78);
});

test("parameter() gives each of 1,000 nasty file names back, in lines of 78, no character split", () => {
  const random = prng(11);
  for (let i = 0; i < 1_000; i++) {
    const parts = Array.from(
      { length: random.int(60) },
      () => random.pick(["a", "ü", "日本", "🚀", "%", "'", "*", " ", '"', "\\", ";", "=?"]),
    );
    const name = parts.join("");
    const written = parameter("filename", name);
    expect(read(written)).toBe(name);
    for (const line of written.split("\r\n")) {
      expect(line.length).toBeLessThanOrEqual(78);
      expect(line).toMatch(/^[ -~]*$/);
      if (line.startsWith(" filename*")) {
        expect(decodeURIComponent(line.slice(line.indexOf("=") + 1).replace(/;$/, ""))).toBeString();
      }
    }
  }
});

test("parameter() writes U+FFFD for an unpaired surrogate", () => {
  expect(read(parameter("filename", "a\ud800"))).toBe("a\ufffd");
});

test("asciiFilename() keeps the extension and at most 60 characters", () => {
  expect(asciiFilename("Grüße.pdf")).toBe("Gr__e.pdf");
  expect(asciiFilename("🚀.tar.gz")).toBe("_.tar.gz");
  expect(asciiFilename(`${"日".repeat(100)}.pdf`)).toBe(`${"_".repeat(56)}.pdf`);
  expect(asciiFilename(`${"x".repeat(56)}.pdf`)).toBe(`${"x".repeat(56)}.pdf`);
  expect(asciiFilename(`${"x".repeat(57)}.pdf`)).toBe(`${"x".repeat(56)}.pdf`);
  expect(asciiFilename('a"b\\c%d=?.txt')).toBe("a_b_c_d__.txt");
});
