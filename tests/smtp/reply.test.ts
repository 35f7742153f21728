import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  MAX_LINE_BYTES,
  MAX_REPLY_BYTES,
  MAX_REPLY_LINES,
  MAX_TEXT_CHARACTERS,
  type ReplyFault,
  ReplyParser,
  type ServerReply,
} from "../../relay/smtp/reply.ts";

function read(...chunks: readonly (string | Uint8Array)[]): (ServerReply | ReplyFault)[] {
  const parser = new ReplyParser();
  const found: (ServerReply | ReplyFault)[] = [];
  for (const chunk of chunks) {
    parser.push(typeof chunk === "string" ? new TextEncoder().encode(chunk) : chunk);
    for (let item = parser.next(); item !== undefined; item = parser.next()) {
      found.push(item);
      if ("fault" in item) return found;
    }
  }
  return found;
}

const DIALOGUE =
  "220 mx ESMTP\r\n250-mx\r\n250-SIZE 1000\n250 AUTH=PLAIN\r\n250\r\n550-5.1.1 No\r\n550 5.1.1 such user\r\n";
const REPLIES = [
  { code: 220, text: "mx ESMTP", lines: ["mx ESMTP"] },
  { code: 250, text: "mx SIZE 1000 AUTH=PLAIN", lines: ["mx", "SIZE 1000", "AUTH=PLAIN"] },
  { code: 250, text: "", lines: [""] },
  { code: 550, enhanced: "5.1.1", text: "No such user", lines: ["5.1.1 No", "5.1.1 such user"] },
];

test("a parser reads replies with CRLF and LF, bare codes and enhanced codes", () => {
  expect(read(DIALOGUE)).toEqual(REPLIES);
});

test("a parser reads the same whatever two positions the bytes are cut at", () => {
  const bytes = new TextEncoder().encode(DIALOGUE);
  for (let first = 0; first <= bytes.length; first++) {
    for (let second = first; second <= bytes.length; second++) {
      const replies = read(bytes.slice(0, first), bytes.slice(first, second), bytes.slice(second));
      if (!Bun.deepEquals(replies, REPLIES)) {
        throw new Error(`Cut at ${first} and ${second}: ${JSON.stringify(replies)}`);
      }
    }
  }
});

test("a parser reads the same byte by byte", () => {
  expect(read(...new TextEncoder().encode(DIALOGUE).values().map((byte) => Uint8Array.of(byte)))).toEqual(REPLIES);
});

test("a parser reads replies that come again as it read them first, in whatever pieces and among whatever others", () => {
  const texts = [
    ...[
      "220 mx\r\n",
      "250 2.1.0 Ok\r\n",
      "250 2.1.0 Ok\n",
      "250-2.1.0 Ok\r\n250 2.1.0 Ok\r\n",
      "250 2.1.0 OK\r\n",
      "354 go\r\n",
    ],
    ...["250 2.0.0 Ok: queued as ", "250 2.0.0 Ok: queued as 1"].flatMap((text) =>
      Array.from({ length: 12 }, (_, number) => `${text}${number}\r\n`)
    ),
  ];
  fc.assert(fc.property(
    fc.array(fc.constantFrom(...texts.slice(0, 6), ...texts), { maxLength: 60 }),
    fc.array(fc.nat(80), { maxLength: 60 }),
    (said, sizes) => {
      const bytes = new TextEncoder().encode(said.join(""));
      const chunks: Uint8Array[] = [];
      let from = 0;
      for (const size of sizes) chunks.push(bytes.subarray(from, from += size));
      expect(read(...chunks, bytes.subarray(from))).toEqual(said.flatMap((text) => read(text)));
    },
  ));
});

test("a parser knows whether bytes have come behind a reply", () => {
  const parser = new ReplyParser();
  parser.push(new TextEncoder().encode("220 go\r\n2"));
  expect(parser.next()).toMatchObject({ code: 220 });
  expect(parser.hasUnread).toBe(true);
  parser.push(new TextEncoder().encode("50 ok\r\n"));
  expect(parser.next()).toBeDefined();
  expect(parser.hasUnread).toBe(false);
});

test("a reply whose lines differ in their code is a fault", () => {
  expect(read("250-ok\r\n550 no\r\n")).toEqual([{ fault: "The server sent a reply whose lines differ in their code" }]);
});

test.each(["HTTP/1.1 400 Bad Request", "", " 250 ok", "25", "2500 ok", "250_ok", "199 early", "600 late", "25x ok"])(
  "the line %p is a fault",
  (line) => {
    expect(read(`${line}\r\n`)).toEqual([{ fault: "The server sent a line that is no SMTP reply" }]);
  },
);

test("after a fault the parser never trusts the stream again", () => {
  const parser = new ReplyParser();
  parser.push(new TextEncoder().encode("junk\r\n250 ok\r\n"));
  expect(parser.next()).toHaveProperty("fault");
  expect(parser.next()).toHaveProperty("fault");
  parser.push(new TextEncoder().encode("250 ok\r\n"));
  expect(parser.next()).toHaveProperty("fault");
});

for (const end of ["\r\n", "\n"]) {
  for (const cut of [5, MAX_LINE_BYTES, MAX_LINE_BYTES + 1]) {
    test(`a line ended by ${JSON.stringify(end)} and cut at ${cut} may have exactly the most bytes`, () => {
      const line = `250 ${"x".repeat(MAX_LINE_BYTES - 4)}${end}`;
      expect(read(line.slice(0, cut), line.slice(cut))).toMatchObject([{ code: 250 }]);
      const longer = `250 ${"x".repeat(MAX_LINE_BYTES - 3)}${end}`;
      const fault = { fault: `The server sent a line of more than ${MAX_LINE_BYTES} bytes` };
      expect(read(longer.slice(0, cut), longer.slice(cut))).toEqual([fault]);
    });
  }
}

test("a line without end is a fault as soon as it is too long", () => {
  expect(read("2".repeat(MAX_LINE_BYTES))).toEqual([]);
  expect(read("2".repeat(MAX_LINE_BYTES), "22")).toHaveLength(1);
  expect(read("250 ok\r".repeat(1000))).toHaveLength(1);
});

test("a reply may have exactly the most lines", () => {
  expect(read(`${"250-x\r\n".repeat(MAX_REPLY_LINES - 1)}250 x\r\n`)).toMatchObject([{ code: 250 }]);
  expect(read(`${"250-x\r\n".repeat(MAX_REPLY_LINES)}250 x\r\n`)).toEqual([
    { fault: `The server sent a reply of more than ${MAX_REPLY_LINES} lines` },
  ]);
});

test("a reply may have exactly the most bytes", () => {
  const line = `250-${"x".repeat(1018)}\r\n`;
  const lines = line.repeat(MAX_REPLY_BYTES / line.length - 1);
  expect(read(lines, `250 ${"x".repeat(1018)}\r\n`)).toMatchObject([{ code: 250 }]);
  expect(read(lines, `250 ${"x".repeat(1019)}\r\n`)).toEqual([
    { fault: `The server sent a reply of more than ${MAX_REPLY_BYTES} bytes` },
  ]);
});

test("a text is kept up to its limit and never cut inside a character", () => {
  expect(read(`250 ${"x".repeat(MAX_TEXT_CHARACTERS)}\r\n`)).toMatchObject([{ text: "x".repeat(MAX_TEXT_CHARACTERS) }]);
  expect(read(`250 ${"x".repeat(MAX_TEXT_CHARACTERS)}y\r\n`)).toMatchObject([{
    text: "x".repeat(MAX_TEXT_CHARACTERS),
  }]);
  const astral = `${"x".repeat(MAX_TEXT_CHARACTERS - 1)}\u{1f4ee}`;
  expect(read(`250 ${astral}\r\n`)).toMatchObject([{ text: "x".repeat(MAX_TEXT_CHARACTERS - 1) }]);
});

test("control characters and line separators are removed from a text", () => {
  expect(read("250 a\u0000b\u001b[31mc\td\re\u0085f\u2028g\u007f\r\n")).toMatchObject([{ text: "ab[31mcdefg" }]);
});

test("a text that is no UTF-8 is read as Latin-1", () => {
  expect(read(Uint8Array.of(0x35, 0x35, 0x30, 0x20, 0x6b, 0xf6, 0x0d, 0x0a))).toMatchObject([{ text: "kö" }]);
  expect(read("550 kö 📮\r\n")).toMatchObject([{ text: "kö 📮" }]);
});

test.each([
  ["550 5.7.1 relay denied", "5.7.1", "relay denied"],
  ["250 2.0.0", "2.0.0", ""],
  ["550 4.7.1 class differs", undefined, "4.7.1 class differs"],
  ["550 5.7.1000 too long", undefined, "5.7.1000 too long"],
  ["550 5.7.1.2 too deep", undefined, "5.7.1.2 too deep"],
  ["250 10.0.0.1 an address", undefined, "10.0.0.1 an address"],
])("the enhanced code of %p is %p", (line, enhanced, text) => {
  const [reply] = read(`${line}\r\n`);
  expect(reply).toMatchObject({ text });
  expect(reply !== undefined && "enhanced" in reply ? reply.enhanced : undefined).toBe(enhanced);
});
