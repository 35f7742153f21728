import { expect, test } from "bun:test";
import { type Capabilities, NO_CAPABILITIES, parseCapabilities } from "../../relay/smtp/capability.ts";

function offered(...lines: readonly string[]): Capabilities {
  return parseCapabilities({ code: 250, text: "", lines: ["mx.example", ...lines] });
}

test("every capability is read, in any case", () => {
  const lines = [
    "pipelining",
    "Size 1000",
    "StartTLS",
    "8bitmime",
    "SmtpUtf8",
    "chunking",
    "dsn",
    "EnhancedStatusCodes",
  ];
  expect(offered(...lines, "auth plain LOGIN")).toEqual({
    pipelining: true,
    size: true,
    maxSizeBytes: 1000,
    startTls: true,
    auth: new Set(["PLAIN", "LOGIN"]),
    eightBitMime: true,
    smtpUtf8: true,
    chunking: true,
    dsn: "failures",
    enhancedStatusCodes: true,
  });
});

test("the greeting in the first line offers nothing", () => {
  expect(parseCapabilities({ code: 250, text: "", lines: ["PIPELINING STARTTLS"] })).toEqual(NO_CAPABILITIES);
  expect(parseCapabilities({ code: 250, text: "", lines: ["STARTTLS"] })).toEqual(NO_CAPABILITIES);
});

test("AUTH with an equals sign and several AUTH lines count together", () => {
  expect(offered("AUTH=LOGIN", "AUTH PLAIN  XOAUTH2").auth).toEqual(new Set(["LOGIN", "PLAIN", "XOAUTH2"]));
});

test("leading and trailing blanks are ignored", () => {
  expect(offered("  PIPELINING ", " SIZE  2000 ")).toMatchObject({ pipelining: true, maxSizeBytes: 2000 });
});

test("a keyword is compared as a whole", () => {
  expect(offered("XSTARTTLS", "STARTTLSX", "PIPELINING-NOT")).toEqual(NO_CAPABILITIES);
});

test.each([["SIZE", undefined], ["SIZE 0", undefined], ["SIZE 1", 1], ["SIZE -1", undefined], ["SIZE 1e3", undefined], [
  "SIZE 9007199254740991",
  Number.MAX_SAFE_INTEGER,
], ["SIZE 9007199254740993", undefined]])("%p limits the size to %p", (line, bytes) => {
  expect(offered(line)).toMatchObject({ size: true, maxSizeBytes: bytes });
});
