import { expect, test } from "bun:test";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import nodemailer7 from "nodemailer-7";
import { type AppMessage, sendBothWays } from "./setup.ts";

const PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const FOLDER = mkdtempSync(join(tmpdir(), "mailchute-nodemailer-"));
const FILE = join(FOLDER, "report.pdf");
writeFileSync(FILE, "%PDF-1.7 a report");
const CALENDAR = [
  ...["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//x//y//EN", "METHOD:REQUEST", "BEGIN:VEVENT", "UID:1@example.com"],
  ...["DTSTAMP:20260101T000000Z", "DTSTART:20260102T000000Z", "END:VEVENT", "END:VCALENDAR", ""],
].join("\r\n");

const BASE: AppMessage = { from: "Shop <shop@example.com>", to: "ann@example.com", subject: "Hello", text: "Hi Ann" };

/** What arrives the same, field by field, as through nodemailer's own SMTP transport. */
const SAME: Readonly<Record<string, () => AppMessage>> = {
  "a plain mail": () => BASE,
  "lists in strings": () => ({ ...BASE, to: 'ann@example.com, Bob <bob@example.com>, "Doe, Jane" <jane@example.com>' }),
  "a name with a comma and no quotes": () => ({ ...BASE, to: "Joe Foo, PhD <joe@example.com>, ann@example.com" }),
  "arrays of strings and objects": () => ({
    ...BASE,
    to: ["Ann <ann@example.com>, bob@example.com", { name: "Zoë Ünger", address: "zoe@example.com" }],
    cc: [{ name: "", address: "cc@example.com" }, "x@example.com"],
  }),
  "arrays in arrays": () => ({ ...BASE, cc: [[{ name: "", address: "cc@example.com" }], "x@example.com"] }),
  "an object": () => ({
    ...BASE,
    from: { name: 'The "Shop"', address: "shop@example.com" },
    to: { address: "a@example.com" },
  }),
  "a domain that is not ASCII": () => ({ ...BASE, to: "ann@bücher.example" }),
  "bcc": () => ({ ...BASE, bcc: "hidden@example.com, ann@example.com" }),
  "replyTo and sender": () => ({
    ...BASE,
    replyTo: "Help <help@example.com>, b@example.com",
    sender: "Zoë <robot@example.com>",
  }),
  "a subject that is not ASCII": () => ({
    ...BASE,
    subject: "Grüße 🎉 aus Köln, «1 000 €» und noch viel mehr Text, der gefaltet wird",
  }),
  "a subject with a line break": () => ({ ...BASE, subject: "one\r\ntwo" }),
  "no subject and no text": () => ({ from: BASE.from, to: BASE.to }),
  "a subject and addresses among the headers": () => ({
    text: "t",
    headers: { From: "a@example.com", To: "b@example.com", "Reply-To": "c@example.com", Subject: "s" },
  }),
  "a text and an empty html": () => ({ ...BASE, html: "" }),
  "an empty html alone": () => ({ ...BASE, text: undefined, html: "" }),
  "text and html": () => ({ ...BASE, html: "<p>Hi <b>Ann</b></p>" }),
  "text and html as buffer and stream": () => ({
    ...BASE,
    text: Buffer.from("Grüße"),
    html: Readable.from([Buffer.from("<p>"), Buffer.from("Grüße")]),
  }),
  "text in base64": () => ({ ...BASE, text: { content: Buffer.from("Grüße").toString("base64"), encoding: "base64" } }),
  "text of a file": () => ({ ...BASE, text: { path: FILE } }),
  "headers": () => ({
    ...BASE,
    headers: {
      "X-Order": "17",
      "X-Many": ["one", "two"],
      "x-number": 7,
      "X-Empty": "",
      "X-Prepared": { prepared: true, foldLines: true, value: "as it is" },
      "X-Text": "Grüße",
    },
  }),
  "headers as a list": () => ({ ...BASE, headers: [{ key: "X-A", value: "1" }, { key: "X-A", value: "2" }] }),
  "one header": () => ({ ...BASE, headers: { key: "X-A", value: "1" } }),
  "high priority": () => ({ ...BASE, priority: "high" }),
  "low priority over a header": () => ({ ...BASE, priority: "low", headers: { "X-Priority": "3" } }),
  "normal priority": () => ({ ...BASE, priority: "normal" }),
  "a thread": () => ({ ...BASE, inReplyTo: "a@example.com", references: ["<x@example.com>", "a@example.com"] }),
  "a thread among the headers": () => ({
    ...BASE,
    headers: { "In-Reply-To": "<a@example.com>", references: "<b@e.example> <a@e.example>" },
  }),
  "a list": () => ({
    ...BASE,
    list: {
      help: "help@example.com?subject=help",
      unsubscribe: [[{ url: "https://example.com/u", comment: "with (one) click" }, "mailto:u@example.com"]],
      id: { url: "news.example.com", comment: "News" },
    },
  }),
  "a list whose comments are not ASCII": () => ({
    ...BASE,
    list: {
      help: { url: "https://example.com/h", comment: "Hilfe für dich" },
      subscribe: [[
        { url: "https://example.com/s", comment: "größer" },
        { url: "s@example.com", comment: `${"Ein langer Satz, der länger als ein Wort ist, ".repeat(4)}日本語` },
      ]],
      id: { url: "news.example.com", comment: "Größe" },
    },
  }),
  "one-click unsubscribe": () => ({
    ...BASE,
    headers: {
      "List-Unsubscribe": "<https://example.com/u?id=1>",
      "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    },
  }),
  "a program's name": () => ({ ...BASE, xMailer: "Shop 1.0" }),
  "a one-time password": () => ({ ...BASE, otp: { code: "123456", origin: "https://example.com" } }),
  "attachments": () => ({
    ...BASE,
    attachments: [
      { filename: "a.txt", content: "Grüße\n" },
      { filename: "b.bin", content: Buffer.from([0, 255, 13, 10, 1]) },
      {
        filename: "c.csv",
        content: Readable.from([Buffer.from("a;b\n"), Buffer.from("1;2\n")]),
        contentType: "text/csv",
      },
      { path: FILE },
      { filename: "Köln.pdf", path: FILE, contentDisposition: "attachment" },
      { path: `data:image/png;base64,${PIXEL}` },
      { filename: "hex.bin", content: "00ff10", encoding: "hex" },
      { filename: "d.txt", content: Buffer.from("text").toString("base64"), encoding: "base64" },
      { filename: "empty.txt", content: "" },
      { filename: "e.bin", content: new Uint8Array([1, 2, 3]) as Buffer },
    ],
  }),
  "one attachment and nothing else": () => ({
    from: BASE.from,
    to: BASE.to,
    subject: "s",
    attachments: [{ filename: "a.txt", content: "a" }],
  }),
  "an image in the html": () => ({
    ...BASE,
    html: '<p><img src="cid:logo@example.com">',
    attachments: [{
      filename: "logo.png",
      content: PIXEL,
      encoding: "base64",
      cid: "logo@example.com",
      contentDisposition: "inline",
    }],
  }),
  "an envelope with a sender of its own": () => ({
    ...BASE,
    envelope: { from: "bounces+7@example.com", to: "ann@example.com" },
  }),
  "an envelope with the null sender": () => ({ ...BASE, envelope: { from: "", to: ["ann@example.com"] } }),
  "an envelope with more recipients": () => ({
    ...BASE,
    bcc: "left-out@example.com",
    envelope: { from: "Bounces <b@example.com>", to: "Ann <ann@example.com>", bcc: ["more@example.com"] },
  }),
  "what concerns only how bytes are written": () => ({
    ...BASE,
    text: "Grüße",
    encoding: "base64",
    textEncoding: "base64",
    newline: "windows",
    boundaryPrefix: "x",
    normalizeHeaderKey: (key: string) => key.toUpperCase(),
    template: "unknown to nodemailer, for a plugin",
  } as AppMessage),
};

/** What 7 does not know: in such lists it leaves out an address without a word, which the queue refuses. */
const SINCE_7: ReadonlySet<string> = new Set([
  "a name with a comma and no quotes",
  "arrays in arrays",
  "a one-time password",
]);

test("what nodemailer's message says arrives as through its SMTP transport, field by field", async () => {
  const arrived = await sendBothWays(SAME);
  expect(Object.keys(arrived)).toHaveLength(Object.keys(SAME).length);
  for (const [name, { smtp, queue }] of Object.entries(arrived)) expect({ name, ...queue }).toEqual({ name, ...smtp });
});

test("so it does with nodemailer 7, which Auth.js asks for", async () => {
  const known = Object.entries(SAME).filter(([name]) => !SINCE_7.has(name));
  expect(known).toHaveLength(Object.keys(SAME).length - SINCE_7.size);
  const arrived = await sendBothWays(Object.fromEntries(known), nodemailer7);
  for (const [name, { smtp, queue }] of Object.entries(arrived)) expect({ name, ...queue }).toEqual({ name, ...smtp });
});

test("an invitation arrives as one, from icalEvent and from an alternative, with a file beside it", async () => {
  const event = {
    ...BASE,
    html: "<p>Come!",
    icalEvent: { method: "request", content: CALENDAR, filename: "event.ics" },
  };
  const { icalEvent, alternative } = await sendBothWays({
    icalEvent: () => event,
    alternative: () => ({
      ...BASE,
      html: "<p>Come!",
      alternatives: [{ contentType: 'text/calendar; charset="utf-8"; method=REQUEST', content: CALENDAR }],
    }),
  });
  const parts = ({ attachments }: { readonly attachments?: unknown } = {}) =>
    (attachments as readonly (readonly string[])[]).map((
      [filename, mimeType, , , content],
    ) => [filename, mimeType, content]);
  // postal-mime makes LF of the line ends of calendars.
  const file = Buffer.from(CALENDAR.replaceAll("\r", "")).toString("base64");
  expect(parts(icalEvent?.queue)).toEqual(parts(icalEvent?.smtp));
  expect(parts(icalEvent?.queue)).toContainEqual(["event.ics", "application/ics", file]);
  expect(parts(alternative?.queue)).toContainEqual(parts(alternative?.smtp)[0] as string[]);
  expect(parts(alternative?.queue)).toContainEqual(["invite.ics", "application/ics", file]);
});

test("a mail with html and no text gets one that the relay makes, and with an empty one none", async () => {
  const { missing, empty } = await sendBothWays({
    missing: () => ({ ...BASE, text: undefined, html: "<p>Hi <b>Ann</b>" }),
    empty: () => ({ ...BASE, text: "", html: "<p>Hi <b>Ann</b>" }),
  });
  expect(missing?.queue).toEqual({ ...missing?.smtp, text: "Hi Ann" });
  expect(empty?.queue).toEqual({ ...empty?.smtp });
});

test("who is named twice gets one mail, and stands where the address came first", async () => {
  const to = "Ann <ann@example.com>, ann@EXAMPLE.com, bob@example.com";
  const { twice } = await sendBothWays({
    twice: () => ({ ...BASE, to, cc: "bob@example.com", bcc: "ann@example.com" }),
  });
  expect(twice?.queue).toMatchObject({ to: ["Ann <ann@example.com>", " <bob@example.com>"], cc: [] });
  expect(twice?.queue.recipients).toEqual(["ann@example.com", "bob@example.com"]);
  expect(twice?.queue.recipients).toEqual(twice?.smtp.recipients);
});
