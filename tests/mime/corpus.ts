import type { Mailbox } from "../../src/address.ts";
import { attachmentOf, type WholeAttachment } from "../../src/mime/attachment.ts";
import type { Mail } from "../../src/mime/compose.ts";
import { type Prng, prng } from "./prng.ts";

/** What text is made of: each piece has broken some mailer. */
export const PIECES = [
  ...["word", "a", "Grüße", "日本語", "🚀", "👩‍👩‍👧‍👦", "שלום", "مرحبا", "e\u0301\u0327", "\u202bx\u202c", "ｆｕｌｌ"],
  ...[
    "=?utf-8?Q?x?=",
    "=?x",
    "?=",
    "=",
    "=3D",
    "=20",
    '"',
    "\\",
    "'",
    "(c)",
    "<b@c>",
    "a@b",
    ",",
    ";",
    ":",
    "[x]",
    ".",
    "%41",
    "&amp;",
  ],
  ...["x".repeat(70), "y".repeat(80), "ß".repeat(40), "\ud800"],
] as const;
export const BODY_PIECES = [
  ...[
    ...PIECES,
    "\n",
    "\r\n",
    "\r",
    "\n.\n",
    "\r\n.\r\n",
    "\n..\n",
    "\nFrom me\n",
    "From ",
    "\0",
    "\t",
    " \n",
    "\t\n",
    "\n\n\n",
    "-- \n",
  ],
  ...[
    "z".repeat(998),
    `\n${"z".repeat(998)}\n`,
    `\n${"z".repeat(999)}\n`,
    "\x07",
    "\u2028",
    "\u0085",
    "\ufeff",
    "--=_",
    "\n--\n",
  ],
] as const;

/** What HTML is made of beside that. */
const TAGS = [
  ...[
    "<p>",
    "</p>",
    "<br>",
    "<ul>",
    "<li>",
    "</ul>",
    "<ol start=3>",
    "</ol>",
    "<table><tr><td>",
    "</td><td>",
    "</table>",
  ],
  ...["<a href='https://x.example/?a=1&amp;b=2'>", "<a href=mailto:a@b.example>", "</a>", "<img alt='A &gt; B' src=x>"],
  ...[
    "<blockquote>",
    "</blockquote>",
    "<pre>",
    "</pre>",
    "<h1>",
    "</h1>",
    "<!-- c -->",
    "<style>x</style>",
    "<hr>",
    "<",
  ],
  ...[
    "<div style='display:none'>",
    "</div>",
    "&uuml;",
    "&#8212;",
    "&nbsp;",
    "&",
    "<script>y</script>",
    "<p title='>'>",
  ],
] as const;

const SENDER = [["Sender", "Jörg <jorg@example.com>"]] as const;
const MESSAGES: readonly [string, ...string[]] = [
  "Subject: Inner\r\n\r\nHi\r\n.\r\nFrom here\r\n",
  'Subject: Inner\r\nContent-Type: multipart/mixed; boundary="=_1"\r\n\r\n--=_1\r\n\r\nx\r\n--=_1--\r\n',
  "Subject: grün\r\n\r\nx\r\n",
  "Subject: x\n\ny\n",
  // As the boundaries of a mail in this corpus.
  "Subject: x\r\n\r\n--=_0190d5a0000070008000000000000001.c_m--\r\n",
];

/** Makes the same nasty mails for the same seed. */
export function corpus(count: number, seed: number): readonly Mail[] {
  const random = prng(seed);
  return Array.from({ length: count }, (_, index) => nastyMail(random, index));
}

function nastyMail(random: Prng, index: number): Mail {
  const kind = random.int(5);
  return {
    id: `0190d5a0-0000-7000-8000-${index.toString(16).padStart(12, "0")}`,
    date: new Date(Date.UTC(2026, 0, 1) + random.int(2 ** 31)),
    from: mailbox(random),
    to: Array.from({ length: random.int(6) }, () => mailbox(random)),
    cc: Array.from({ length: random.int(3) }, () => mailbox(random)),
    replyTo: Array.from({ length: random.int(2) }, () => mailbox(random)),
    subject: line(random, 12),
    ...(kind === 1 ? {} : { text: kind === 2 ? "" : body(random) }),
    ...(kind === 0 ? {} : { html: html(random) }),
    headers: [["X-Note", line(random, 8)], ...(random.int(4) === 0 ? SENDER : [])],
    attachments: Array.from({ length: random.int(4) }, () => attachment(random)),
    ...(random.int(4) === 0 ? { unsubscribe: "https://example.com/u?t=1" } : {}),
  };
}

function mailbox(random: Prng): Mailbox {
  const email = random.pick(["ann@example.com", "o'brien+x@corp.example", "ops@localhost", '"a b"@x.example']);
  const name = line(random, 4);
  return name.trim() === "" ? { email } : { email, name: name.toWellFormed() };
}

function attachment(random: Prng): WholeAttachment {
  return attachmentOf(file(random));
}

function file(random: Prng): Parameters<typeof attachmentOf>[0] {
  const content = Uint8Array.from({ length: random.int(200) }, () => random.int(256));
  const filename = `${line(random, 3).slice(0, 200)}x.pdf`;
  const kind = random.int(6);
  if (kind === 0) return { filename, contentType: "image/png", contentId: "logo@example.com", content };
  if (kind === 3) {
    const message = new TextEncoder().encode(random.pick(MESSAGES));
    return { filename, contentType: "message/rfc822", content: message };
  }
  if (kind === 4) return { filename, contentType: "multipart/mixed; boundary=x", content };
  if (kind === 1) return { filename, contentType: "text/plain; charset=utf-8", content };
  if (kind === 2) return { filename, contentType: "application/pdf", content };
  // A small text, because postal-mime decodes a calendar instead of handing out its bytes.
  const calendar = new TextEncoder().encode("BEGIN:VCALENDAR\nSUMMARY:Grüße\nEND:VCALENDAR\n");
  return { filename, contentType: "text/calendar; method=REQUEST", content: calendar };
}

/** Text for a header: blanks at the ends and in a row, no line breaks. */
export function line(random: Prng, most: number, pieces: Pieces = PIECES): string {
  const gaps = ["", " ", " ", "  "] as const;
  return Array.from({ length: random.int(most) }, () => random.pick(pieces) + random.pick(gaps)).join("");
}

/** Text of several lines. */
export function body(random: Prng, most = 40, pieces: Pieces = BODY_PIECES): string {
  const gaps = ["", " ", " ", "\n"] as const;
  return Array.from({ length: random.int(most) }, () => random.pick(pieces) + random.pick(gaps)).join("");
}

function html(random: Prng): string {
  const gaps = ["", " ", "\n"] as const;
  return Array.from(
    { length: random.int(40) },
    () => (random.int(2) === 0 ? random.pick(TAGS) : random.pick(BODY_PIECES)) + random.pick(gaps),
  ).join("");
}

export type Pieces = readonly [string, ...string[]];
