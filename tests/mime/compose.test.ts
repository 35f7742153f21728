import { expect, test } from "bun:test";
import { MailchuteError } from "../../src/error.ts";
import { attachmentOf, compose, type Mail, mailPieces, messageId, needsUtf8Header } from "../../src/mime/compose.ts";
import { dotStuff } from "../../src/mime/encoding.ts";
import { bytes, MAIL, text } from "./mail.ts";

function wire(change: Partial<Mail>): string {
  return text(compose({ ...MAIL, ...change }));
}

/** The header fields in their order, unfolded. */
function fields(change: Partial<Mail>): readonly string[] {
  const composed = wire(change);
  return composed.slice(0, composed.indexOf("\r\n\r\n")).replaceAll("\r\n ", " ").split("\r\n");
}

function refusal(change: Partial<Mail>): MailchuteError {
  try {
    compose({ ...MAIL, ...change });
  } catch (error) {
    if (error instanceof MailchuteError) return error;
    throw error;
  }
  throw new Error("it was composed");
}

test("compose() writes a small mail to the letter", () => {
  expect(wire({})).toBe([
    "Date: Sat, 21 Nov 2026 10:00:00 +0000",
    "From: Shop <shop@example.com>",
    "To: Ann <ann@example.com>",
    "Subject: Hello",
    "Message-ID: <0190d5a0-0000-7000-8000-000000000001@example.com>",
    "MIME-Version: 1.0",
    "Content-Type: text/plain; charset=utf-8",
    "Content-Transfer-Encoding: 7bit",
    "",
    "Hi Ann",
    "",
  ].join("\r\n"));
});

test("compose() writes Cc, Reply-To, own headers and unsubscribe when they are there", () => {
  const names = fields({
    cc: [{ email: "bob@example.com" }],
    replyTo: [{ email: "help@example.com" }],
    headers: [["X-Order", "7"], ["x-order", "8"]],
    unsubscribe: "https://example.com/u",
  });
  expect(names).toContain("Cc: bob@example.com");
  expect(names).toContain("Reply-To: help@example.com");
  expect(names.filter((field) => field.toLowerCase().startsWith("x-order: "))).toEqual(["X-Order: 7", "x-order: 8"]);
  expect(names).toContain("List-Unsubscribe: <https://example.com/u>");
  expect(names).toContain("List-Unsubscribe-Post: List-Unsubscribe=One-Click");
});

test("compose() names hidden recipients when To is empty", () => {
  expect(fields({ to: [] })).toContain("To: undisclosed-recipients:;");
  expect(wire({ to: [] })).not.toContain("ann@");
});

test("compose() writes domains in their ASCII form everywhere", () => {
  const composed = wire({ from: { email: "a@Bücher.example" }, to: [{ email: "b@münchen.example", name: "Ü" }] });
  expect(composed).toContain("From: a@xn--bcher-kva.example\r\n");
  expect(composed).toContain("<b@xn--mnchen-3ya.example>\r\n");
  expect(composed).toContain("001@xn--bcher-kva.example>\r\n");
  expect(composed).toMatch(/^[\x01-\x7f]*$/);
});

test("compose() is 7-bit unless a local part is not ASCII, which only SMTPUTF8 can carry", () => {
  expect(wire({ to: [{ email: "用户@example.com", name: "用户" }] })).toContain(
    "To: =?UTF-8?B?55So5oi3?= <用户@example.com>\r\n",
  );
});

test("compose() sends an empty mail: no text, no HTML, no files", () => {
  const { text: _, ...empty } = MAIL;
  expect(text(compose(empty))).toEndWith("\r\nContent-Transfer-Encoding: 7bit\r\n\r\n\r\n");
  expect(wire({ text: "" })).toBe(text(compose(empty)));
});

test("compose() writes Sender as an address", () => {
  expect(fields({ headers: [["Sender", "Jörg <j@münchen.example>"]] })).toContain(
    "Sender: =?UTF-8?Q?J=C3=B6rg?= <j@xn--mnchen-3ya.example>",
  );
});

const INJECTIONS: readonly (readonly [field: string, change: (evil: string) => Partial<Mail>])[] = [
  ["id", (evil) => ({ id: `${MAIL.id}${evil}` })],
  ["from", (evil) => ({ from: { email: `a${evil}@b` } })],
  ["from", (evil) => ({ from: { email: "a@b", name: `A${evil}` } })],
  ["to.0", (evil) => ({ to: [{ email: `a@b${evil}` }] })],
  ["to.1", (evil) => ({ to: [{ email: "a@b" }, { email: "a@b", name: evil }] })],
  ["cc.0", (evil) => ({ cc: [{ email: `"a${evil}"@b` }] })],
  ["replyTo.0", (evil) => ({ replyTo: [{ email: "a@b", name: evil }] })],
  ["subject", (evil) => ({ subject: `Hello${evil}` })],
  ["headers.X-A", (evil) => ({ headers: [["X-A", `1${evil}`]] })],
  ["headers", (evil) => ({ headers: [[`X-A${evil}`, "1"]] })],
  ["headers.Sender", (evil) => ({ headers: [["Sender", `a@b${evil}`]] })],
  ["attachments.0", (evil) => ({ attachments: [{ filename: `a${evil}`, contentType: "a/b", sizeBytes: 1 }] })],
  ["attachments.0", (evil) => ({ attachments: [{ filename: "a", contentType: `a/b${evil}`, sizeBytes: 1 }] })],
  [
    "attachments.0",
    (evil) => ({ attachments: [{ filename: "", contentType: "a/b", contentId: `i${evil}`, sizeBytes: 1 }] }),
  ],
  ["unsubscribe", (evil) => ({ unsubscribe: `https://example.com/${evil}` })],
];

for (const [field, change] of INJECTIONS) {
  test(`worker-mailer F4: header injection through ${Object.keys(change("")).join()} (${field}) is refused`, () => {
    for (const evil of ["\r\nBcc: evil@example.com", "\nX: y", "\r", "\0", "\n.\r\nMAIL FROM:<evil@x>\r\n"]) {
      const error = refusal(change(evil));
      expect(error.code).toBe("validation_error");
      expect(error.issues[0]?.path).toStartWith(field);
      expect(error.message).not.toMatch(/[\r\n\0]/);
    }
  });
}

test("worker-mailer F2: compose() has no Bcc and refuses one among the headers", () => {
  expect(refusal({ headers: [["BCC", "secret@example.com"]] }).message).toMatch(/headers\.BCC: .*use `bcc`/);
});

test("worker-mailer F3: compose() changes nothing of what it is given", () => {
  const headers = [["X-A", "1"]] as const;
  const mail = { ...MAIL, headers };
  const before = structuredClone(mail);
  compose(mail);
  compose({ ...mail, subject: "Another" });
  expect(mail).toEqual(before);
});

test("compose() refuses a second Sender, References or List-Unsubscribe", () => {
  expect(refusal({ headers: [["Sender", "a@b"], ["SENDER", "c@d"]] }).message).toMatch(/more than once/);
  expect(refusal({ headers: [["list-unsubscribe", "<x>"]], unsubscribe: "https://example.com/u" }).message).toMatch(
    /once/,
  );
});

test("RFC 8058: both headers stand in a mail once and as they are, whatever the URL's case; mailto has no one-click", () => {
  const url = "https://example.com/u?token=abc";
  for (const unsubscribe of [url, url.replace("https", "HTTPS")]) {
    const lines = fields({ unsubscribe, headers: [["X-A", "1"]] }).filter((line) => /^list-/i.test(line));
    expect(lines).toEqual([
      `List-Unsubscribe: <${unsubscribe}>`,
      "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
    ]);
  }
  expect(fields({ unsubscribe: "mailto:a@b" }).filter((line) => /^list-/i.test(line))).toEqual([
    "List-Unsubscribe: <mailto:a@b>",
  ]);
  for (const header of [["List-Unsubscribe-Post", "List-Unsubscribe=One-Click"], ["DKIM-Signature", "v=1"]] as const) {
    expect(refusal({ headers: [header] }).message).toContain("cannot be set here");
  }
});

test("CVE-2023-51764, -51765, -51766, VU#302671: no smuggling sequence passes in any part of a mail, its header included", () => {
  for (const evil of ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\n\0.\r\n", "\r\n.\r\n"]) {
    const content = `a${evil}MAIL FROM:<evil@x>${evil}b`;
    const type = (contentType: string) => attachmentOf({ filename: "a", contentType, content: bytes(content) });
    const attachments = [type("message/rfc822"), type("text/calendar; method=REQUEST"), type("text/plain")];
    const onTheWire = text(dotStuff(compose({ ...MAIL, text: content, html: content, attachments })));
    expect(onTheWire).not.toMatch(/\r(?!\n)|(?<!\r)\n|\0|^\.\r?$/m);
    for (const change of [{ subject: content }, { headers: [["X-A", content]] as const }, { unsubscribe: content }]) {
      expect(refusal(change).code).toBe("validation_error");
    }
  }
});

test("compose() refuses what is no UUID and no date", () => {
  expect(refusal({ id: "17" }).issues[0]?.path).toBe("id");
  for (const date of [new Date(Number.NaN), new Date(Date.UTC(10_000)), new Date(Date.UTC(1900) - 1)]) {
    expect(refusal({ date }).issues[0]?.path).toBe("date");
  }
  expect(fields({ date: new Date(Date.UTC(10_000) - 1) })[0]).toBe("Date: Fri, 31 Dec 9999 23:59:59 +0000");
  expect(fields({ date: new Date(Date.UTC(1900)) })[0]).toBe("Date: Mon, 01 Jan 1900 00:00:00 +0000");
});

test("messageId() works for an address literal", () => {
  expect(messageId({ id: MAIL.id, from: { email: "a@[IPv6:2001:DB8::1]" } })).toBe(`<${MAIL.id}@[IPv6:2001:db8::1]>`);
});

test("mailPieces() announces exactly the octets that compose() writes, and leaves each attachment a slot", () => {
  for (const size of [0, 1, 56, 57, 58, 1_000]) {
    const attachments = [attachmentOf({ filename: "a", contentType: "a/b", content: new Uint8Array(size) })];
    const mail: Mail = { ...MAIL, attachments };
    const pieces = [...mailPieces(mail)];
    const announced = pieces.reduce(
      (sum, piece) => sum + (typeof piece === "string" ? piece.length : piece.encodedBytes),
      0,
    );
    expect(announced).toBe(compose(mail).length);
    expect(pieces.filter((piece) => typeof piece !== "string").map(({ index }) => index)).toEqual([0]);
  }
});

test("compose() refuses an attachment whose content is missing or not as long as it says; mailPieces() needs none", () => {
  const file = { filename: "a", contentType: "a/b", sizeBytes: 2 };
  for (const attachment of [file, { ...file, content: new Uint8Array(3) }]) {
    expect(refusal({ attachments: [attachment] }).message).toMatch(/attachments\.0: its content .* 2 bytes/);
  }
  expect(refusal({ attachments: [{ ...file, sizeBytes: Number.NaN }] }).message).toMatch(/sizeBytes/);
  expect([...mailPieces({ ...MAIL, attachments: [file] })]).toContainEqual({
    index: 0,
    encoding: "base64",
    encodedBytes: 6,
  });
});

test("needsUtf8Header() finds a local part that is not ASCII in each header of addresses, and agrees with what is written", () => {
  const utf8 = { email: "用户@example.com", name: "User" };
  const ascii = { email: "a@münchen.example", name: "Jörg" };
  const changes: readonly Partial<Mail>[] = [
    { from: utf8 },
    { to: [ascii, utf8] },
    { cc: [utf8] },
    { replyTo: [utf8] },
    { headers: [["SENDER", "Jörg <jörg@example.com>"]] },
  ];
  for (const change of changes) {
    expect(needsUtf8Header({ ...MAIL, ...change })).toBeTrue();
    expect(wire(change)).toMatch(/[^\0-\x7f]/);
  }
  const plain: Partial<Mail> = {
    from: ascii,
    to: [ascii],
    cc: [ascii],
    replyTo: [ascii],
    subject: "用户",
    headers: [["Sender", "Jörg <j@münchen.example>"], ["X-A", "用户@example.com"]],
  };
  expect(needsUtf8Header({ ...MAIL, ...plain })).toBeFalse();
  expect(wire(plain)).toMatch(/^[\0-\x7f]*$/);
});
