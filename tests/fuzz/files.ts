import fc from "fast-check";
import { body, brokenLine, line, word } from "./text.ts";

// Attachments of each kind, and those that are none.

const TYPES = [
  ...[
    "application/pdf",
    "text/plain",
    "text/plain; charset=iso-8859-1",
    'text/csv; charset="utf-16le"; header=present',
  ],
  ...["TEXT/X-Odd+Thing", "image/svg+xml", 'application/octet-stream; x="a;b\\"c"', "multipart/mixed; boundary=x"],
  ...[
    "message/partial; id=x; number=1",
    "application/x-zip",
    "text/html; charset=koi8-r",
    "image/png;",
    "a/b ; ; x=y ",
  ],
] as const;
const IMAGES = ["image/png", "image/gif", "image/svg+xml", "application/x-odd"] as const;
const MESSAGES = [
  "Subject: Inner\r\n\r\nHi\r\n.\r\nFrom here\r\n",
  'Subject: Inner\r\nContent-Type: multipart/mixed; boundary="=_1"\r\n\r\n--=_1\r\n\r\nx\r\n--=_1--\r\n',
  "Subject: grün\r\n\r\nx\r\n",
  "Subject: x\n\ny\n",
  "Subject: x\r\n\r\n--=_0190d5a0000070008000000000000001.c_m--\r\n",
  `Subject: x\r\n\r\n${"y".repeat(999)}\r\n`,
] as const;
const CALENDARS = [
  "BEGIN:VCALENDAR\nSUMMARY:Grüße\nEND:VCALENDAR\n",
  "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\n.\r\nEND:VCALENDAR\r\n",
] as const;

const FILENAME = fc.oneof(
  { weight: 3, arbitrary: word(255) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      ...[
        ".",
        "..",
        "../../etc/passwd",
        "C:\\x\\con.txt",
        'a"b.txt',
        "a;b=c.txt",
        "utf-8''x.txt",
        "%41%zz.txt",
        "name*0*=x",
      ],
      ...[
        "gpj.\u202eexe.pdf",
        " lead and trail ",
        "=?utf-8?q?x?=.txt",
        "日本語.txt",
        "n".repeat(255),
        "ü".repeat(255),
        "a\ud800b",
      ],
    ),
  },
);
const BYTES = fc.oneof(
  { weight: 8, arbitrary: fc.uint8Array({ maxLength: 200 }) },
  // Above what a relay holds, and what goes by BDAT.
  {
    weight: 1,
    arbitrary: fc.integer({ min: 40_000, max: 120_000 }).map((length) => new Uint8Array(length).fill(length)),
  },
);
const CID = fc.string({ unit: fc.constantFrom(..."ab19.@!$%-_"), minLength: 1, maxLength: 60 });

const whole = (fields: Readonly<Record<string, fc.Arbitrary<unknown>>>): fc.Arbitrary<unknown> =>
  fc.record({ filename: FILENAME, ...fields });

const BASE64 = BYTES.map((bytes) => Buffer.from(bytes).toString("base64").replace(/.{76}/g, "$&\r\n"));

/** One attachment. */
export const attachment: fc.Arbitrary<unknown> = fc.oneof(
  whole({ content: BYTES, contentType: fc.constantFrom(...TYPES) }),
  whole({ content: BYTES.map((bytes) => bytes.slice().buffer) }),
  whole({ content: BYTES.map((bytes) => Buffer.from(bytes)), contentType: fc.constantFrom(...TYPES) }),
  whole({ content: BYTES.map((bytes) => new Blob([new Uint8Array(bytes)], { type: "application/pdf" })) }),
  fc.tuple(FILENAME, BYTES).map(([name, bytes]) => new File([new Uint8Array(bytes)], name, { type: "image/png" })),
  whole({ content: body, encoding: fc.constant("utf-8"), contentType: fc.constantFrom(...TYPES) }),
  whole({ content: BASE64, encoding: fc.constant("base64"), contentType: fc.constantFrom("application/zip") }),
  whole({ content: BYTES, contentType: fc.constantFrom(...IMAGES), contentId: CID }),
  whole({ content: BYTES, contentType: fc.constantFrom(...IMAGES), contentId: CID.map((cid) => `<${cid}>`) }),
  whole({
    content: fc.constantFrom(...CALENDARS),
    encoding: fc.constant("utf-8"),
    contentType: fc.constantFrom("text/calendar; method=REQUEST", 'Text/Calendar; method="CANCEL"; charset=UTF-8'),
  }),
  whole({
    content: fc.constantFrom(...MESSAGES),
    encoding: fc.constant("utf-8"),
    contentType: fc.constant("message/rfc822"),
  }),
);

/** A list of attachments. */
export const attachments: fc.Arbitrary<unknown> = fc.array(attachment, { maxLength: 3 });

const BROKEN_TYPES = [
  ...[
    "",
    "pdf",
    "a/b/c",
    "a/b\r\nBcc: x@y.example",
    "text/plain; charset",
    "text/plain; x=é",
    'a/b; x="',
    "a/b; x=y z",
  ],
  ...[
    "a /b",
    `${"t".repeat(128)}/x`,
    `a/b; x=${"y".repeat(600)}`,
    "a/b; 'x'=y",
    "a/b; =x",
    "*/*",
    `a/b${"; ".repeat(60)}é`,
  ],
  ...["text/calendar; method=REQUEST", "a/b\0", "message/rfc822; x=y", "text/plain; name=evil.exe", "Message/RFC822"],
] as const;

const BROKEN_FIELDS: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  filename: fc.oneof(brokenLine, fc.constantFrom("", "n".repeat(256)), fc.anything()),
  content: fc.oneof(
    fc.anything(),
    fc.constantFrom<unknown>(new DataView(new ArrayBuffer(1)), new Uint16Array(2), new SharedArrayBuffer(1)),
    fc.constantFrom(new Proxy(new Uint8Array(3), {}), new Proxy(new Blob(["x"]), {}), new Proxy(new File([], "x"), {})),
    fc.constant(detached()),
    line(),
  ),
  contentType: fc.oneof(fc.constantFrom(...BROKEN_TYPES), brokenLine, fc.anything()),
  contentId: fc.oneof(
    fc.constantFrom<unknown>("", "<>", "a b", "é", "<a", "c".repeat(251), null),
    brokenLine,
    fc.anything(),
  ),
  encoding: fc.oneof(fc.constantFrom<unknown>("hex", "utf8", null), fc.anything()),
  path: fc.constant("/etc/passwd"),
  href: fc.constant("https://x.example/"),
};

/** What is no attachment, or no list of them. */
export const brokenAttachments: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 4, arbitrary: fc.array(brokenAttachment(), { minLength: 1, maxLength: 2 }) },
  { weight: 1, arbitrary: fc.sparseArray(attachment, { maxLength: 3 }) },
  { weight: 1, arbitrary: fc.array(fc.anything(), { maxLength: 3 }) },
  {
    weight: 1,
    arbitrary: fc.constant(Array.from({ length: 501 }, () => ({ filename: "x", content: new Uint8Array() }))),
  },
);

function brokenAttachment(): fc.Arbitrary<unknown> {
  const broken = Object.entries(BROKEN_FIELDS).map(([name, values]) => fc.record({ [name]: values }));
  return fc.tuple(whole({ content: BYTES }), fc.oneof(...broken)).map(([good, fault]) => ({
    ...Object(good),
    ...fault,
  }));
}

function detached(): ArrayBuffer {
  const buffer = new ArrayBuffer(8);
  structuredClone(buffer, { transfer: [buffer] });
  return buffer;
}
