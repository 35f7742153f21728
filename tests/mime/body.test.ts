import { expect, test } from "bun:test";
import PostalMime from "postal-mime";
import { attachmentOf, compose, type Mail, mailPieces } from "../../src/mime/compose.ts";
import { bytes, MAIL, text } from "./mail.ts";

const PDF = attachmentOf({ filename: "a.pdf", contentType: "application/pdf", content: bytes("%PDF") });
const LOGO = attachmentOf({
  filename: "l.png",
  contentType: "image/png",
  contentId: "logo@x",
  content: bytes("PNG"),
});

const { text: _, ...NO_TEXT } = MAIL;

/** The tree as `mixed(text/plain application/pdf)`, read off the delimiters. */
function tree(change: Partial<Mail>): string {
  return shape(text(compose({ ...MAIL, ...change })));
}

function shape(part: string): string {
  const head = part.slice(0, part.indexOf("\r\n\r\n"));
  const type = /^Content-Type: ([\w/-]+)/m.exec(head)?.[1] ?? "none";
  const boundary = /boundary="([^"]+)"/.exec(head)?.[1];
  if (boundary === undefined) return type;
  const [inside = "", ...beyond] = part.slice(head.length).split(`\r\n--${boundary}--\r\n`);
  expect(beyond).toEqual([""]);
  const parts = inside.split(new RegExp(`(?:^|\\r\\n)--${boundary.replaceAll(".", "\\.")}\\r\\n`)).slice(1);
  return `${type.replace("multipart/", "")}(${parts.map(shape).join(" ")})`;
}

test("the tree is as flat as the content allows", () => {
  const html = "<img src=cid:logo@x>";
  const bare = { ...MAIL, text: "" };
  expect(tree({})).toBe("text/plain");
  expect(shape(text(compose({ ...bare, html })))).toBe("text/html");
  expect(tree({ html })).toBe("alternative(text/plain text/html)");
  expect(tree({ html, attachments: [LOGO] })).toBe("alternative(text/plain related(text/html image/png))");
  expect(shape(text(compose({ ...bare, html, attachments: [LOGO] })))).toBe("related(text/html image/png)");
  expect(tree({ attachments: [PDF] })).toBe("mixed(text/plain application/pdf)");
  expect(shape(text(compose({ ...NO_TEXT, attachments: [PDF] })))).toBe("mixed(application/pdf)");
  expect(tree({ html, attachments: [PDF, LOGO] })).toBe(
    "mixed(alternative(text/plain related(text/html image/png)) application/pdf)",
  );
});

test("a mail without text gets one made from its HTML, unless its text is empty or there is nothing to read", async () => {
  const html = "<h1>Grüße</h1><p>See <a href='https://example.com/7'>your order</a>";
  const wire = compose({ ...NO_TEXT, html });
  expect(shape(text(wire))).toBe("alternative(text/plain text/html)");
  expect((await PostalMime.parse(wire)).text?.trimEnd()).toBe("Grüße\n\nSee your order (https://example.com/7)");
  expect(tree({ text: "", html })).toBe("text/html");
  expect(tree({ text: "Mine", html })).toBe("alternative(text/plain text/html)");
  expect(text(compose({ ...MAIL, text: "Mine", html }))).not.toContain("See your order");
  expect(shape(text(compose({ ...NO_TEXT, html: "<img src='cid:logo@x' alt=''>" })))).toBe("text/html");
});

test("what has a Content-ID is an ordinary file when there is no HTML to show it", () => {
  expect(tree({ attachments: [LOGO] })).toBe("mixed(text/plain image/png)");
  expect(text(compose({ ...MAIL, attachments: [LOGO] }))).toContain("Content-Disposition: attachment;");
});

test("a text that ends without a line break, with one or with several comes back so from a multipart", async () => {
  for (const body of ["Hi", "Hi\n", "Hi\n\n\n"]) {
    const wire = text(compose({ ...MAIL, text: body, html: "x" }));
    expect(wire).toContain(`7bit\r\n\r\n${body.replaceAll("\n", "\r\n")}\r\n--=_`);
    expect((await PostalMime.parse(wire)).text?.trimEnd()).toBe("Hi");
  }
});

test("the boundary is from the id, and another one when the mail quotes it", async () => {
  const stem = `=_${MAIL.id.replaceAll("-", "")}`;
  expect(text(compose({ ...MAIL, html: "x" }))).toContain(`boundary="${stem}_a"`);
  const quoting = compose({ ...MAIL, text: `look:\n--${stem}_a\n--${stem}.1_a--\n`, html: "x" });
  expect(text(quoting)).toContain(`boundary="${stem}.2_a"`);
  expect((await PostalMime.parse(quoting)).text?.trim()).toBe(`look:\n--${stem}_a\n--${stem}.1_a--`);
  expect((await PostalMime.parse(quoting)).html?.trim()).toBe("x");
});

test("a mail can carry an earlier copy of itself", async () => {
  const copy = compose({ ...MAIL, html: "x" });
  const carrier = compose({
    ...MAIL,
    html: "y",
    attachments: [attachmentOf({ filename: "copy.eml", contentType: "message/rfc822", content: copy })],
  });
  expect(text(carrier)).toContain(text(copy));
  expect(text(carrier)).toContain(`boundary="=_${MAIL.id.replaceAll("-", "")}.c_m"`);
  const read = await PostalMime.parse(carrier, { forceRfc822Attachments: true });
  expect(read.html?.trim()).toBe("y");
  expect(read.attachments.map((file) => file.mimeType)).toEqual(["message/rfc822"]);
  // postal-mime hands messages out with LF.
  const carried = text(new Uint8Array(read.attachments[0]?.content as ArrayBuffer));
  expect(carried.trimEnd()).toBe(text(copy).replaceAll("\r\n", "\n").trimEnd());
});

test("a message that holds the boundaries of the very mail that carries it cannot break out of its part", async () => {
  const inside = (content: Uint8Array) => [
    attachmentOf({ filename: "a.eml", contentType: "message/rfc822", content }),
  ];
  const honest = compose({ ...MAIL, attachments: inside(bytes("Subject: x\r\n\r\nHi\r\n")) });
  // What somebody writes who knows the id in advance, and so all of the carrier.
  const [, boundary] = /boundary="([^"]+)"/.exec(text(honest)) ?? [];
  const evil = `Subject: x\r\n\r\n--${boundary}\r\nContent-Type: text/html\r\n\r\nevil\r\n--${boundary}--\r\n`;
  for (const content of [bytes(evil), honest]) {
    const wire = compose({ ...MAIL, attachments: inside(content) });
    const read = await PostalMime.parse(wire, { forceRfc822Attachments: true });
    expect(read.html).toBeUndefined();
    expect(read.attachments.map((file) => text(new Uint8Array(file.content as ArrayBuffer)))).toEqual([text(content)]);
  }
  // A text that quotes the carrier makes it change its boundaries, and those are known to the scan as well.
  const quoting = { ...MAIL, text: `--${boundary}`, attachments: inside(bytes("Subject: x\r\n\r\nHi\r\n")) };
  const [, other] = /boundary="([^"]+)"/.exec(text(compose(quoting))) ?? [];
  expect(other).not.toBe(boundary);
  expect(inside(bytes(`\r\n--${other}\r\n`))[0]?.isSevenBit).toBeFalse();
});

test("the pieces of a mail are the same whether its attachments are in memory or not", () => {
  const message = attachmentOf({ filename: "a.eml", contentType: "message/rfc822", content: bytes("\r\nHi\r\n") });
  const whole = { ...MAIL, html: "<p>x", attachments: [PDF, LOGO, message] };
  const facts = whole.attachments.map(({ content: _, ...fact }) => fact);
  expect([...mailPieces({ ...whole, attachments: facts })]).toEqual([...mailPieces(whole)]);
});

test("nodemailer 10.0.12: a body of bare CR and lone dots cannot end the mail", () => {
  for (const sequence of ["\r.\r", "\n.\n", "\r\n.\r\n", "\r\n\0.\r\n"]) {
    const wire = text(compose({ ...MAIL, text: `a${sequence}MAIL FROM:<evil@x>`, html: `b${sequence}c` }));
    expect(wire).not.toMatch(/\r(?!\n)|(?<!\r)\n|\0|^\.\r?$/m);
  }
});

test("attachments of every size around a line come back octet by octet", async () => {
  const sizes = [0, 1, 2, 3, 56, 57, 58, 113, 114, 115, 20_000];
  const attachments = sizes.map((size) =>
    attachmentOf({
      filename: `${size}`,
      contentType: "application/octet-stream",
      content: Uint8Array.from({ length: size }, (_, i) => i * 7),
    })
  );
  const read = await PostalMime.parse(compose({ ...MAIL, attachments }));
  expect(read.attachments.map((file): Uint8Array => new Uint8Array(file.content as ArrayBuffer))).toEqual(
    attachments.map((file) => file.content),
  );
});
