import { type Mailbox, parseAddress } from "../../src/address.ts";
import { attachmentOf, type WholeAttachment } from "../../src/mime/attachment.ts";
import type { Mail } from "../../src/mime/compose.ts";
import { body, BODY_PIECES, line, PIECES, type Pieces } from "./corpus.ts";
import { type Prng, prng } from "./prng.ts";

/** Whom nobody writes to: what arrives there was smuggled. */
export const VICTIM = "evil@corp.example";

/** A mail for them, as it would stand behind the end of another. */
export const SMUGGLED =
  `MAIL FROM:<x@y.example>\r\nRCPT TO:<${VICTIM}>\r\nDATA\r\nSubject: smuggled\r\n\r\nboo\r\n.\r\n`;

/** What some server has taken for the end of a mail (VU#302671, CVE-2023-51764 to 51766), and what would follow. */
const ENDS = ["\r\n.\r\n", "\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\n\0.\r\n", "\r\n.\0\r\n"] as const;

const LINE_PIECES: Pieces = [
  ...PIECES,
  ...[
    "=?utf-8?b?w7w=?=",
    "=?iso-8859-1?q?=A4?=",
    "=?utf-8*en?q?x?=",
    "=?",
    "?",
    "_",
    "=?utf-8?q?=0d=0aBcc:_x@y.example?=",
  ],
  ...[
    "xn--bcher-kva",
    "\u200b",
    "\u200d",
    "\ufeff",
    "\u{e0041}",
    "\udc00",
    "ﷺ",
    "Ω",
    "ı",
    "\u2028",
    "\u0085x",
    "\u00ad",
  ],
  ...[
    "<script>",
    "--",
    "--=_",
    "`id`",
    "${x}",
    "%0d%0aBcc: x@y.example",
    "\\r\\nBcc: x@y.example",
    "{{x}}",
    "*",
    "|",
    "~",
    "^",
  ],
  ...["w".repeat(300), "日".repeat(120), "👩‍👩‍👧‍👦".repeat(12)],
];
const TEXT_PIECES: Pieces = [
  ...BODY_PIECES,
  ...LINE_PIECES,
  ...ENDS.map((end) => `${end}${SMUGGLED}`),
  ...[
    "begin 644 x\n",
    "\n>From x\n",
    "\n.",
    "\r\r\n",
    "\n\r",
    "\n \n",
    "=\n",
    "=",
    "\t\r\n",
    "\x1b[31m",
    "\v",
    "\f",
    "\n----\n",
    "\x7f",
  ],
  ...[
    "Content-Type: text/html\n\n",
    "\nBcc: x@y.example\n",
    "Q".repeat(2_000),
    "\0\0",
    "+ADw-",
    "\n~\n",
    "QUIT\n",
    "\n\n--=_\n\n",
  ],
];
const EMAILS = [
  ...["ann@example.com", "a@b", "x@[192.0.2.1]", "o'brien+tag=x@corp.example", "-dash@x.example", "1@2.example"],
  ...["!#$%&'*+-/=?^_`{|}~@x.example", '"a b"@x.example', '".."@x.example', '"a,b;c"@x.example', '"(c)"@x.example'],
  ...[
    "user@bücher.example",
    "user@例え.テスト",
    `${"l".repeat(64)}@x.example`,
    `a@${"d".repeat(60)}.${"e".repeat(60)}.example`,
  ],
] as const;
const TYPES = [
  ...[
    "application/pdf",
    "text/plain",
    "text/plain; charset=iso-8859-1",
    'text/csv; charset="utf-16le"; header=present',
  ],
  ...["text/html; charset=koi8-r", "TEXT/X-Odd+Thing", "image/svg+xml", 'application/octet-stream; x="a;b\\"c"'],
  ...["multipart/mixed; boundary=x", "message/partial; id=x; number=1", "application/x-zip", "audio/*"],
] as const;
const FILENAMES = [
  ...[
    "",
    ".",
    "..",
    "../../etc/passwd",
    "C:\\x\\con.txt",
    'a"b.txt',
    "a;b=c.txt",
    "a'b''c.txt",
    "utf-8''x.txt",
    "%41%zz.txt",
  ],
  ...[
    "gpj.\u202eexe.pdf",
    "x.tar.gz",
    " lead and trail ",
    "=?utf-8?q?x?=.txt",
    "日本語.txt",
    "👩‍👩‍👧‍👦.png",
    "a\ud800b.bin",
    "name*0*=x",
  ],
  ...[
    "n".repeat(255),
    "ü".repeat(255),
    "a b  c.txt",
    "~x",
    "(x).txt",
    "a\\b\\",
    "<x>.txt",
    "x\u2028y.txt",
    "CON",
    "x.",
    "e\u0301.txt",
  ],
] as const;
const NAMES = [
  "X-A",
  "x-b",
  "X-1!#$%&'*+.^_`|~",
  `X-${"n".repeat(70)}`,
  "Precedence",
  "Auto-Submitted",
  "Comments",
] as const;

/**
 * Makes mails that break more than those of `corpus` do: every field odd, and every end of a mail that some server
 * knows.
 */
export function wildCorpus(count: number, seed: number): readonly Mail[] {
  const random = prng(seed);
  return Array.from({ length: count }, (_, index) => wildMail(random, index));
}

function wildMail(random: Prng, index: number): Mail {
  const list = (most: number) => Array.from({ length: random.int(most) }, () => mailbox(random));
  const content = random.int(6);
  return {
    id: `0190d5a0-0000-7000-9000-${index.toString(16).padStart(12, "0")}`,
    date: new Date(Date.UTC(1970) + random.int(2 ** 31) * 1_000),
    from: mailbox(random),
    to: list(random.int(50) === 0 ? 60 : 4),
    cc: list(3),
    replyTo: list(2),
    subject: line(random, 16, LINE_PIECES),
    ...(content === 1 || content === 5 ? {} : { text: content === 2 ? "" : body(random, 30, TEXT_PIECES) }),
    ...(content === 0 || content === 5 ? {} : { html: body(random, 30, TEXT_PIECES) }),
    headers: [["X-Note", line(random, 8, LINE_PIECES)], ...headers(random)],
    attachments: Array.from({ length: random.int(4) }, () => attachment(random)),
    ...unsubscribe(random),
  };
}

function headers(random: Prng): readonly (readonly [string, string])[] {
  const own = Array.from({ length: random.int(4) }, () => [random.pick(NAMES), line(random, 10, LINE_PIECES)] as const);
  const threads = Array.from({ length: random.int(30) }, (_, index) => `<${index}.${random.int(1_000)}@x.example>`);
  return threads.length % 5 === 0 ? [...own, ["References", threads.join(" ")]] : own;
}

function unsubscribe(random: Prng): Pick<Mail, "unsubscribe"> {
  const kind = random.int(6);
  if (kind === 0) return { unsubscribe: `https://x.example/u?t=${"t".repeat(random.int(300))}` };
  return kind === 1 ? { unsubscribe: "mailto:leave@x.example?subject=off" } : {};
}

function mailbox(random: Prng): Mailbox {
  const checked = parseAddress({
    email: random.pick(EMAILS),
    name: line(random, 5, LINE_PIECES).slice(0, 900).replace("\x1b", ""),
  });
  if (!checked.ok) throw new Error(`The corpus has an address that nobody can use: ${checked.reason}`);
  return checked.mailbox;
}

function attachment(random: Prng): WholeAttachment {
  const filename = random.int(2) === 0 ? random.pick(FILENAMES) : line(random, 5, LINE_PIECES).slice(0, 255);
  const content = Uint8Array.from({ length: random.int(3) * random.int(400) }, () => random.int(256));
  const contentType = random.pick(TYPES);
  // postal-mime takes a text that is shown inside the HTML for a part of the mail's text.
  const isShown = random.int(4) === 0 && !/^text/i.test(contentType);
  const contentId = `${random.int(1_000)}.${random.int(1_000)}@x.example`;
  return attachmentOf({ filename, contentType, content, ...(isShown ? { contentId } : {}) });
}
