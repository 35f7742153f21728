import fc from "fast-check";
import { headerProblem } from "../../src/mime/header.ts";
import { address, addresses, brokenAddress, brokenAddresses, email } from "./addresses.ts";
import { attachments, brokenAttachments } from "./files.ts";
import { body, brokenLine, line, word } from "./text.ts";

// Every field of a mail: what it may hold, and what it may not or perhaps.

type Fields = Readonly<Record<string, fc.Arbitrary<unknown>>>;

const NAMES = [
  "X-A",
  "x-b",
  "X-1!#$%&'*+.^_`|~",
  `X-${"n".repeat(70)}`,
  "Precedence",
  "Comments",
  "__proto__",
  "7",
] as const;
const TOKEN = fc.string({ minLength: 1, maxLength: 76 }).map((text) => text.replace(/[^!-9;-~]/g, "x"));
/** Any but those with rules of their own. X-Note is what the readers know as another field. */
export const HEADER_NAME: fc.Arbitrary<string> = fc.oneof(fc.constantFrom(...NAMES), TOKEN).filter((name) =>
  headerProblem(name, "") === undefined && !/^(?:x-note|sender|in-reply-to|references|list-unsubscribe)$/i.test(name)
);
const VALUE = line(400);
const THREAD = fc.array(fc.nat(), { maxLength: 30 }).map((ids) => ids.map((id) => `<${id}@x.example>`).join(" "));

const HEADERS = fc.oneof(
  fc.dictionary(HEADER_NAME, VALUE, { maxKeys: 4 }),
  fc.array(fc.tuple(HEADER_NAME, VALUE), { maxLength: 4 }),
  fc.record({ References: THREAD, "In-Reply-To": VALUE }, { requiredKeys: [] }),
  email.map((sender) => ({ Sender: sender })),
);

/** Seconds without a fraction, and a year that a Date header can have. */
const INSTANT = fc.date({ min: new Date("1970-01-01"), max: new Date("2100-01-01"), noInvalidDate: true });
const TIMES = fc.oneof(
  INSTANT,
  INSTANT.map((date) => date.toISOString()),
  INSTANT.map((date) => `${date.toISOString().slice(0, 16)}+05:30`),
  INSTANT.map((date) => `${date.toISOString().slice(0, 19)}.123456789-0800`),
);

const HTML = fc.oneof(
  { weight: 4, arbitrary: body },
  { weight: 1, arbitrary: body.map((html) => Promise.resolve(html)) },
  { weight: 1, arbitrary: body.map((html) => ({ toString: () => html })) },
  { weight: 1, arbitrary: body.map((html) => ({ toString: () => Promise.resolve(new String(html)) })) },
);

/** Fields that every mail must have, or one of them. */
export const NEEDED: Fields = { to: addresses, cc: addresses, bcc: addresses, text: body, html: HTML };

/** Fields that a mail may have. */
export const OPTIONAL: Fields = {
  from: address,
  replyTo: addresses.filter((value) => !Array.isArray(value) || value.length <= 50),
  returnPath: fc.oneof(email, fc.constant(""), email.map((at) => `Bounces <${at}>`)),
  headers: HEADERS,
  attachments,
  tags: fc.array(word(60), { maxLength: 5 }),
  metadata: fc.oneof(
    fc.dictionary(line(60), line(60), { maxKeys: 4 }),
    fc.constant(JSON.parse('{"__proto__":"x","constructor":"y","a.b":"","toString":"z"}')),
  ),
  priority: fc.constantFrom("high", "normal", "low"),
  scheduledAt: TIMES,
  expiresAt: fc.constantFrom<unknown>("2999-12-31T23:59:59Z", new Date("2999-01-01"), "2999-01-01T00:00+14:00"),
  unsubscribe: fc.constantFrom<unknown>(
    ...["https://x.example/u?t=1&x=%20", `https://x.example/${"t".repeat(880)}`, "mailto:leave@x.example?subject=off"],
    new URL("https://bücher.example/ü"),
  ),
  onUncertain: fc.constantFrom("retry", "hold"),
  // Those that say nothing which a mail has not said: what is stored is compared with what was given.
  stream: fc.constantFrom("transactional", "news-2026.weekly", "0", "s".repeat(63)),
};

/** Any subject. */
export const subject: fc.Arbitrary<unknown> = line();

const LONG = 10_000_001;
const SAYS_OTHER = { toString: () => ({}) };
/** Nothing turns it into a text. */
export const BARE: unknown = Object.create(null);

/** What is hardly ever right in any field. */
export const ODD: fc.Arbitrary<unknown> = fc.oneof(
  fc.anything({ maxDepth: 2, withNullPrototype: true, withSparseArray: true, withBoxedValues: true }),
  fc.anything({ withDate: true, withMap: true, withSet: true, withBigInt: true, withTypedArray: true, maxDepth: 1 }),
  fc.constantFrom<unknown>(
    ...[null, undefined, "", 0, -0, Number.NaN, true, 7n, Symbol("s"), () => "x", BARE, [BARE], SAYS_OTHER, [[
      BARE,
      BARE,
    ]]],
    ...[new Date(Number.NaN), new Map([["X-A", "1"]]), new Set(["a"]), [[]], [null], [undefined], new Proxy([], {})],
    ...[
      Object.freeze({ email: "a@b.example" }),
      [["X-A"]],
      [["X-A", BARE]],
      { "X-A": BARE },
      new Array(3),
      new String("x"),
    ],
  ),
);

const BAD_TIMES = [
  ...[
    "2026-02-30T00:00:00Z",
    "2026-11-22",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59-12:00",
    "2026-11-22T24:00:00Z",
  ],
  ...[
    "0000-01-01T00:00:00Z",
    "2026-11-22T09:30:60Z",
    "2026-11-22T09:30Z\r\n",
    "2026-11-22T09:30:00+99:99",
    "now",
    "infinity",
  ],
  ...[
    "1899-12-31T23:59:59Z",
    "2026-13-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "2026-11-22T25:00:00Z",
    "1900-01-01T00:00+01:00",
  ],
] as const;
const TIMES_THAT_ARE_NONE = fc.oneof(fc.constantFrom(...BAD_TIMES), fc.date(), fc.nat(), line(30));

/** For each field what is wrong, or might be. */
export const BROKEN: Fields = {
  from: fc.oneof(brokenAddress, ODD),
  to: fc.oneof(brokenAddresses, ODD),
  cc: fc.oneof(brokenAddresses, ODD),
  bcc: fc.oneof(brokenAddresses, ODD),
  replyTo: fc.oneof(brokenAddresses, ODD),
  returnPath: fc.oneof(brokenAddress, ODD),
  subject: fc.oneof(brokenLine, ODD, fc.constant("s".repeat(65_537))),
  text: fc.oneof(fc.constant("a\0b"), ODD, fc.constant("x".repeat(LONG))),
  html: fc.oneof(fc.constant("<p>\0"), ODD, fc.constantFrom<unknown>({ then: (_: unknown, no: () => void) => no() })),
  headers: fc.oneof(
    fc.dictionary(fc.oneof(HEADER_NAME, brokenLine, line(90)), fc.oneof(VALUE, brokenLine, ODD), { maxKeys: 3 }),
    fc.array(fc.oneof(fc.tuple(HEADER_NAME, VALUE), fc.array(fc.anything())), { maxLength: 3 }),
    fc.sparseArray(fc.tuple(HEADER_NAME, VALUE), { maxLength: 3 }),
    fc.array(fc.tuple(HEADER_NAME, VALUE), { maxLength: 3 }).map((pairs) => new Map(pairs)),
    fc.constantFrom(new Headers({ "X-A": "1" }), new URLSearchParams("a=b")),
    fc.tuple(fc.constantFrom(...RESERVED()), VALUE).map((pair) => [pair]),
    fc.tuple(fc.constantFrom("Sender", "sender"), fc.oneof(brokenAddress, line(60))).map((pair) => [pair]),
    fc.constantFrom([["References", "a"], ["references", "b"]], [["Sender", "a@b.example"], ["SENDER", "a@b.example"]]),
    fc.constant({ "X-A": "v".repeat(65_600) }),
    ODD,
  ),
  attachments: fc.oneof({ weight: 4, arbitrary: brokenAttachments }, { weight: 1, arbitrary: ODD }),
  tags: fc.oneof(
    fc.array(fc.oneof(line(300), brokenLine, ODD), { maxLength: 3 }),
    fc.sparseArray(word(9)),
    manyTags(),
    ODD,
  ),
  metadata: fc.oneof(
    fc.dictionary(fc.oneof(line(60), brokenLine), fc.oneof(line(60), brokenLine, ODD), { maxKeys: 3 }),
    fc.constant({ a: "v".repeat(16_384) }),
    fc.dictionary(line(60), line(60), { maxKeys: 3 }).map((values) => new Map(Object.entries(values))),
    ODD,
  ),
  priority: fc.oneof(fc.constantFrom("urgent", "HIGH", ["high"]), ODD),
  scheduledAt: fc.oneof(TIMES_THAT_ARE_NONE, ODD),
  expiresAt: fc.oneof(TIMES_THAT_ARE_NONE, ODD),
  unsubscribe: fc.oneof(
    fc.constantFrom<unknown>(
      "http://x.example",
      "https:///x",
      "mailto:?x",
      "https://x.example/ä",
      "https://x.example/<>",
    ),
    fc.constantFrom<unknown>(
      ["https://x.example/"],
      `https://x.example/${"t".repeat(900)}`,
      "HTTPS://x.example/\r\nBcc: a@b",
    ),
    brokenLine,
    ODD,
  ),
  onUncertain: fc.oneof(fc.constantFrom("Retry", ["hold"]), ODD),
  stream: fc.oneof(fc.constantFrom<unknown>("-x", "Bulk", "s".repeat(64), ["bulk"], "a\n"), ODD),
  // No fields of a mail.
  reply_to: email,
  digests: fc.constant({ key: "k", wait: "1h" }),
  "a.b\r\nBcc": line(10),
};

function RESERVED(): readonly string[] {
  const own = [
    "From",
    "TO",
    "bcc",
    "Subject",
    "Date",
    "Message-ID",
    "Return-Path",
    "List-Unsubscribe-Post",
    "Received",
  ];
  return [
    ...own,
    "MIME-Version",
    "content-type",
    "Resent-To",
    "DKIM-Signature",
    "ARC-Seal",
    "Authentication-Results",
    "X:A",
    "",
    "ü",
  ];
}

function manyTags(): fc.Arbitrary<unknown> {
  return fc.constant(Array.from({ length: 51 }, (_, index) => `t${index}`));
}
