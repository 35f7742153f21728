import { expect, test } from "bun:test";
import { attachmentOf, attachmentProblem, encodeAttachment } from "../../src/mime/attachment.ts";

function header(contentType: string, filename = "a.bin"): string {
  expect(attachmentProblem({ filename, contentType })).toBeUndefined();
  return encodeAttachment({ filename, contentType, sizeBytes: 3 }, "attachment").header;
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

test("encodeAttachment() writes both names, the disposition and the size that base64 takes", () => {
  const file = { filename: "Köln.pdf", contentType: "Application/PDF", sizeBytes: 58 };
  expect(encodeAttachment(file, "attachment")).toEqual({
    header: 'Content-Type: application/pdf;\r\n name="K_ln.pdf"\r\nContent-Transfer-Encoding: base64\r\n' +
      "Content-Disposition: attachment;\r\n filename*=UTF-8''K%C3%B6ln.pdf\r\n",
    encoding: "base64",
    encodedBytes: 78 + 6,
  });
});

test("encodeAttachment() keeps the parameters that the caller gave, such as a calendar's method", () => {
  expect(header('text/calendar; charset="utf-8" ;method=REQUEST; x="a\\"b; c"')).toStartWith(
    "Content-Type: text/calendar;\r\n charset=utf-8;\r\n method=REQUEST;\r\n x*=UTF-8''a%22b%3B%20c;\r\n name=",
  );
});

test("encodeAttachment() drops a name or boundary of the caller's: those are ours to write", () => {
  const written = header("application/pdf; name=\"evil.exe\"; boundary=x; name*=UTF-8''evil.exe");
  expect(written).not.toContain("evil");
  expect(written).not.toContain("boundary");
});

test("encodeAttachment() writes an unnamed attachment without names", () => {
  expect(header("image/png", "")).toBe(
    "Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment\r\n",
  );
});

test("encodeAttachment() writes the Content-ID in brackets, given with or without", () => {
  for (const contentId of ["logo@example.com", "<logo@example.com>"]) {
    const file = { filename: "l.png", contentType: "image/png", contentId, sizeBytes: 0 };
    expect(encodeAttachment(file, "inline").header).toContain("\r\nContent-ID: <logo@example.com>\r\n");
  }
});

test("RFC 2046 section 5.2.1: an attached message travels as it is when it is 7-bit, else as a file", () => {
  const clean = { filename: "fwd", contentType: "message/rfc822", content: bytes("Subject: x\r\n\r\nHi\r\n") };
  const asItIs = encodeAttachment(attachmentOf(clean), "attachment");
  expect(asItIs).toMatchObject({ encoding: "7bit", encodedBytes: clean.content.length });
  expect(asItIs.header).toStartWith("Content-Type: message/rfc822;\r\n");
  for (const content of ["Subject: ü\r\n\r\n", "a\nb", "\0", `${"x".repeat(999)}\r\n`]) {
    const file = encodeAttachment(attachmentOf({ ...clean, content: bytes(content) }), "attachment");
    expect(file.encoding).toBe("base64");
    expect(file.header).toStartWith("Content-Type: application/octet-stream;\r\n");
    expect(file.header).toContain('filename="fwd.eml"');
  }
});

test("encodeAttachment() sends a message of which nothing is known as a file", () => {
  const file = encodeAttachment({ filename: "a.eml", contentType: "message/rfc822", sizeBytes: 3 }, "attachment");
  expect(file).toMatchObject({ encoding: "base64", encodedBytes: 6 });
});

test("attachmentOf() knows the size, and looks into nothing but messages", () => {
  const content = bytes("Subject: x\r\n\r\n");
  const facts = { filename: "a", content, sizeBytes: 14 };
  expect(attachmentOf({ filename: "a", contentType: "text/plain", content })).toEqual({
    ...facts,
    contentType: "text/plain",
  });
  expect(attachmentOf({ filename: "a", contentType: "Message/RFC822", content })).toEqual({
    ...facts,
    contentType: "Message/RFC822",
    isSevenBit: true,
  });
});

test("encodeAttachment() sends other composite types as files, since readers would look for parts inside", () => {
  for (
    const type of ["multipart/mixed; boundary=x", "message/partial; id=1", "message/external-body; access-type=URL"]
  ) {
    const written = header(type);
    expect(written).toStartWith("Content-Type: application/octet-stream;\r\n name=");
    expect(written).toContain("base64");
  }
});

test("attachmentProblem() refuses what is no media type, at every cut of one", () => {
  const type = 'text/calendar; method=REQUEST; x="a b"';
  const good = new Set(["text/c", "text/calendar; method=R", type, `${type} `, `${type};`]);
  for (const contentType of good) {
    expect([contentType, attachmentProblem({ filename: "", contentType })]).toEqual([contentType, undefined]);
  }
  for (let end = 0; end <= type.length; end++) {
    const cut = type.slice(0, end);
    const valid = /^text\/\w+(?:; ?| ?; ?method=\w+(?:; ?(?:x="a b")?)?)?$/.test(cut);
    expect([cut, attachmentProblem({ filename: "", contentType: cut }) === undefined]).toEqual([cut, valid]);
  }
  for (
    const contentType of [
      "",
      "pdf",
      "a/b/c",
      "a/b c",
      "a/ü",
      "a/b\r\nX: y",
      "a/b; x",
      "a/b; x=",
      'a/b; x="',
      "a/b, c/d",
    ]
  ) {
    expect([contentType, attachmentProblem({ filename: "", contentType })]).toEqual([contentType, expect.any(String)]);
  }
});

test("attachmentProblem() refuses nodemailer's 10.1.4 list: HT, CR, LF, DEL and NUL in a filename", () => {
  for (const control of ["\t", "\r", "\n", "\r\nX: y", "\x7f", "\0"]) {
    expect(attachmentProblem({ filename: `a${control}b`, contentType: "a/b" })).toMatch(/filename/);
  }
});

test("attachmentProblem() checks the Content-ID", () => {
  for (const contentId of ["", "a b", "a>b", "ü", "a\r\nb", "<<a>>", "x".repeat(251)]) {
    expect([contentId, attachmentProblem({ filename: "", contentType: "a/b", contentId })]).toEqual([
      contentId,
      expect.stringContaining("contentId"),
    ]);
  }
  expect(attachmentProblem({ filename: "", contentType: "a/b", contentId: "x".repeat(250) })).toBeUndefined();
});

test("attachmentProblem() takes a filename of 255 characters and a type of 500, and refuses one more", () => {
  expect(attachmentProblem({ filename: "x".repeat(255), contentType: "a/b" })).toBeUndefined();
  expect(attachmentProblem({ filename: "x".repeat(256), contentType: "a/b" })).toMatch(/255/);
  expect(attachmentProblem({ filename: "", contentType: `a/b; x=${"y".repeat(493)}` })).toBeUndefined();
  expect(attachmentProblem({ filename: "", contentType: `a/b; x=${"y".repeat(494)}` })).toMatch(/contentType/);
});

test("nodemailer 9.0.4 to 10.1.4: a boundary of line breaks cannot be given, and an unpaired surrogate becomes U+FFFD", () => {
  for (const boundary of ['"\r\n"', '"\n"', '"a\r\nb"', "\r\n"]) {
    expect(attachmentProblem({ filename: "", contentType: `multipart/mixed; boundary=${boundary}` })).toMatch(
      /contentType/,
    );
  }
  expect(header("application/pdf", "a\ud800.pdf")).toContain("filename*=UTF-8''a%EF%BF%BD.pdf");
});

test("nodemailer 9.0.4 to 10.1.4: attachmentProblem() takes no longer for the most hostile content type of 500 characters", () => {
  const start = performance.now();
  for (const piece of [";", "; ", ";a=", ';a="', ";a=b", '\\"', '"', " ", "/", ';a="\\']) {
    for (let run = 0; run < 200; run++) {
      attachmentProblem({ filename: "", contentType: `a/b${piece.repeat(497)}`.slice(0, 500) });
    }
  }
  expect(performance.now() - start).toBeLessThan(5_000);
});

test("a name shows its last letters last: marks that turn the order of what is shown are left out", () => {
  const filename = "invoice\u202efdp.exe";
  const { header } = encodeAttachment({ filename, contentType: "application/pdf", sizeBytes: 3 }, "attachment");
  expect(header).toContain('name="invoicefdp.exe"');
  expect(header).not.toMatch(/%E2%80%AE/i);
  // Arabic and Hebrew need none of them, and keep their own marks.
  const arabic = encodeAttachment(
    { filename: "\u0641\u200f.pdf", contentType: "application/pdf", sizeBytes: 3 },
    "attachment",
  );
  expect(arabic.header).toContain("%D9%81%E2%80%8F.pdf");
  for (const mark of "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069") {
    expect(encodeAttachment({ filename: mark, contentType: "a/b", sizeBytes: 0 }, "attachment").header).not.toContain(
      "name",
    );
  }
});
