import { expect, test } from "bun:test";
import PostalMime from "postal-mime";
import { attachmentOf, compose, type Mail } from "../../src/mime/compose.ts";
import { inviteOf, needsContent } from "../../src/mime/invite.ts";
import { bytes, MAIL, text } from "./mail.ts";

const CALENDAR =
  "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nSUMMARY:Grüße\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

function invite(contentType = "text/calendar; method=REQUEST", content = bytes(CALENDAR)) {
  return attachmentOf({ filename: "invite.ics", contentType, content });
}

function wire(change: Partial<Mail>): string {
  return text(compose({ ...MAIL, ...change }));
}

test("an invitation is the last alternative, and a file as well", async () => {
  const mail = { ...MAIL, html: "<p>Hi", attachments: [invite()] };
  const types = [...text(compose(mail)).matchAll(/^Content-Type: (.*?);?\r$/gm)].map(([, type]) => type);
  expect(types).toEqual([
    "multipart/mixed",
    "multipart/alternative",
    "text/plain; charset=utf-8",
    "text/html; charset=utf-8",
    "text/calendar; method=REQUEST; charset=utf-8",
    "application/ics",
  ]);
  const { attachments } = await PostalMime.parse(compose(mail));
  expect(attachments.map(({ mimeType, disposition, filename, method }) => [mimeType, disposition, filename, method]))
    .toEqual([
      ["text/calendar", null, null, "REQUEST"],
      ["application/ics", "attachment", "invite.ics", undefined],
    ]);
  // postal-mime hands calendars out with LF.
  expect(text(new Uint8Array(attachments[1]?.content as ArrayBuffer))).toBe(CALENDAR.replaceAll("\r\n", "\n"));
});

test("an invitation beside a text alone is an alternative too, and with nothing else it is the mail", () => {
  expect(wire({ attachments: [invite()] })).toContain("multipart/alternative");
  const { text: _, ...bare } = MAIL;
  expect(text(compose({ ...bare, attachments: [invite()] }))).not.toContain("multipart/alternative");
});

test("each method is written in upper case, as RFC 5546 does", () => {
  for (const method of ["REQUEST", "cancel", "REPLY", "PUBLISH", "DeclineCounter"]) {
    expect(wire({ attachments: [invite(`text/calendar; charset=utf-8; METHOD="${method}"`)] })).toContain(
      `Content-Type: text/calendar; method=${method.toUpperCase()}; charset=utf-8\r\n`,
    );
  }
});

test("a calendar is a file only when it has no method, a Content-ID, another charset, or is no UTF-8", () => {
  const latin = Uint8Array.from([...bytes("SUMMARY:Gr"), 0xfc, ...bytes("n\r\n")]);
  const files = [
    invite("text/calendar"),
    invite("text/calendar; charset=iso-8859-1; method=REQUEST"),
    invite('text/calendar; method="A B"'),
    invite("text/calendar; method=REQUEST", latin),
    invite("application/ics; method=REQUEST"),
    { ...invite(), contentId: "c@x" },
  ];
  for (const file of files) {
    expect(inviteOf([file])).toBeUndefined();
    expect(wire({ attachments: [file] })).not.toContain("multipart/alternative");
  }
  expect(wire({ attachments: [invite("text/calendar")] })).toContain("Content-Type: text/calendar;\r\n name=");
});

test("a calendar of 256,000 bytes is an invitation, and one of a byte more is a file", () => {
  const large = (size: number) => invite("text/calendar; method=REQUEST", bytes("x".repeat(size)));
  expect(inviteOf([large(256_000)])?.text).toHaveLength(256_000);
  expect(inviteOf([large(256_001)])).toBeUndefined();
  expect([needsContent(large(256_000)), needsContent(large(256_001))]).toEqual([true, false]);
});

test("a method of 20 characters is taken, and one of 21 is not", () => {
  const method = (chars: number) => ({ contentType: `text/calendar; method=${"X".repeat(chars)}`, sizeBytes: 1 });
  expect([needsContent(method(20)), needsContent(method(21))]).toEqual([true, false]);
});

test("of two invitations the first is shown, and the other stays a calendar", () => {
  const second = invite("text/calendar; method=CANCEL");
  const made = wire({ attachments: [invite(), second] });
  expect(made).toContain("method=REQUEST; charset=utf-8");
  expect(made).toContain("Content-Type: text/calendar;\r\n method=CANCEL;\r\n name=");
});

test("an invitation whose content is left out stays a calendar, so that nothing is lost", () => {
  const { content: _, ...facts } = invite();
  expect(needsContent(facts)).toBeTrue();
  expect(inviteOf([facts])).toBeUndefined();
});

test("an invitation that quotes the mail's boundary makes it change", () => {
  const quoting = bytes(`BEGIN:VCALENDAR\r\n--=_${MAIL.id.replaceAll("-", "")}_a\r\n`);
  expect(wire({ attachments: [invite("text/calendar; method=REQUEST", quoting)] })).toContain(".1_a");
});
