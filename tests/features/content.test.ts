import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Attachment } from "postal-mime";
import { MailchuteError, type MessageInput } from "../../mod.ts";
import { until } from "../relay.ts";
import { openStage, type Stage } from "./stage.ts";

// What a mail says arrives as it was said.

let stage: Stage;

beforeAll(async () => {
  stage = await openStage();
});

afterAll(() => stage[Symbol.asyncDispose]());

/** Sends it to an address of its own, and reads what arrived. */
async function deliver(message: MessageInput) {
  const to = `${crypto.randomUUID()}@example.com`;
  const { id } = await stage.mail.send({ ...message, to });
  expect((await stage.mail.wait(id)).state).toBe("sent");
  const [email] = await stage.received(to);
  if (email === undefined) throw new Error("Nothing arrived");
  return email;
}

/** A number for the bytes of a part. */
function hashOf(content: Attachment["content"]): string {
  return new Bun.CryptoHasher("sha256").update(content).digest("hex");
}

/** Saves a template, as the owner of the schema; another text is a new version. */
async function save(name: string, subject: string, { text, html, language = "" }: TemplateText): Promise<void> {
  await stage.database
    .sql`select mailchute.save_template('shop', ${name}, ${subject}, ${text}, ${html ?? null}, ${language})`;
}

interface TemplateText {
  readonly text: string;
  readonly html?: string;
  readonly language?: string;
}

test("mails are made with the template system", async () => {
  await save("welcome", "Welcome, {{first}}", { text: "Dear {{first}}", html: "<p>Dear {{first}}</p>" });
  const variables = { first: "Ann & {{first}}" };
  const email = await deliver({ template: { name: "welcome", variables } });
  expect([email.subject, email.text?.trimEnd(), email.html?.trimEnd()]).toEqual([
    "Welcome, Ann & {{first}}",
    "Dear Ann & {{first}}",
    "<p>Dear Ann &amp; {{first}}</p>",
  ]);
  // What it lacks is told before anything is stored.
  const lacking = stage.mail.send({ to: "lacking@example.com", template: { name: "welcome" } });
  const error = await lacking.then(() => undefined, (error: unknown) => error);
  expect((error as MailchuteError).issues).toEqual([{ path: "template.variables.first", message: "is missing" }]);
  const stored = await stage.database.sql`select from mailchute.recipient where email = 'lacking@example.com'`;
  expect(stored).toHaveLength(0);
});

test("a template in the reader's language, or the one for all others, and of an older version where the mail says so", async () => {
  await save("code", "Your code", { text: "for all" });
  await save("code", "Ihr Code", { text: "erster", language: "de" });
  await save("code", "Ihr Code", { text: "zweiter", language: "de" });
  const textOf = async (template: object) =>
    (await deliver({ template: { name: "code", ...template } })).text?.trimEnd();
  const texts = [];
  for (const language of ["de-AT", "de", "fr", undefined]) texts.push(await textOf({ language }));
  expect(texts).toEqual(["zweiter", "zweiter", "for all", "for all"]);
  expect(await textOf({ language: "de-AT", version: 1 })).toBe("erster");
  // What is in the queue stays as it was, whatever becomes of its template.
  const { id } = await stage.mail.send({
    to: "later@example.com",
    template: { name: "code", language: "de" },
    scheduledAt: new Date(Date.now() + 3_600_000),
  });
  await save("code", "Ihr Code", { text: "dritter", language: "de" });
  await stage.mail.reschedule(id, new Date());
  expect((await stage.mail.wait(id)).state).toBe("sent");
  expect((await stage.received("later@example.com"))[0]?.text?.trimEnd()).toBe("zweiter");
});

test("both text and HTML are supported", async () => {
  const both = await deliver({ subject: "Both", text: "Grüße, ж 😀", html: "<p>Grüße, <b>ж</b> 😀</p>" });
  expect(both.text?.trimEnd()).toBe("Grüße, ж 😀");
  expect(both.html?.trimEnd()).toBe("<p>Grüße, <b>ж</b> 😀</p>");
  const text = await deliver({ subject: "Text", text: "Only <text>" });
  expect({ text: text.text?.trimEnd(), html: text.html }).toEqual({ text: "Only <text>", html: undefined });
  // Readers that show no HTML get a text all the same.
  const html = await deliver({ subject: "HTML", html: "<h1>Hello</h1><p>Only <b>HTML</b> &amp; no text</p>" });
  expect(html.text).toContain("Only HTML & no text");
});

test("large attachments", async () => {
  const content = new Uint8Array(8_000_000);
  for (let at = 0; at < content.length; at += 65_536) crypto.getRandomValues(content.subarray(at, at + 65_536));
  const { attachments } = await deliver({ subject: "Film", text: "!", attachments: [{ filename: "a.bin", content }] });
  expect(attachments).toHaveLength(1);
  expect(hashOf(attachments[0]?.content as Uint8Array)).toBe(hashOf(content));
  // What no server would take is refused at once, and not after days in the queue.
  const tooLarge = { filename: "b.bin", content: new Uint8Array(25_000_001) };
  const sending = stage.mail.send({ to: "ann@example.com", subject: "x", text: "!", attachments: [tooLarge] });
  const error = await sending.then(() => undefined, (error: unknown) => error);
  expect(error).toBeInstanceOf(MailchuteError);
  expect((error as MailchuteError).code).toBe("too_large");
}, 60_000);

test("attachments, inline images and alternatives survive the queue", async () => {
  const bytes = Uint8Array.from({ length: 512 }, (_, index) => index % 256);
  const inner = "From: a@example.com\r\nSubject: Inner\r\n\r\nForwarded\r\n";
  const invite = ["BEGIN:VCALENDAR", "METHOD:REQUEST", "BEGIN:VEVENT", "UID:1", "END:VEVENT", "END:VCALENDAR", ""].join(
    "\r\n",
  );
  const email = await deliver({
    subject: "All of it",
    text: "See the logo",
    html: '<p>See <img src="cid:logo"></p>',
    attachments: [
      { filename: "logo.png", content: bytes, contentType: "image/png", contentId: "logo" },
      // Eight letters that are base64 too: text must not be taken for that.
      { filename: "hello.txt", content: "Hello Bob", contentType: "text/plain", encoding: "utf-8" },
      new File([bytes], "Übersicht 2026.pdf", { type: "application/pdf" }),
      { filename: "forwarded.eml", content: inner, contentType: "message/rfc822", encoding: "utf-8" },
      { filename: "invite.ics", content: invite, contentType: "text/calendar; method=REQUEST", encoding: "utf-8" },
    ],
  });
  expect(email.html).toContain('<img src="cid:logo">');
  const found = (name: string) => {
    const part = email.attachments.find(({ filename }) => filename === name);
    if (part === undefined) throw new Error(`${name} did not arrive`);
    return { ...part, hash: hashOf(part.content) };
  };
  expect(found("logo.png")).toMatchObject({ hash: hashOf(bytes), mimeType: "image/png", contentId: "<logo>" });
  expect(found("hello.txt")).toMatchObject({ hash: hashOf("Hello Bob"), mimeType: "text/plain" });
  expect(found("Übersicht 2026.pdf")).toMatchObject({ hash: hashOf(bytes), mimeType: "application/pdf" });
  // The reader of this test writes the line ends of texts in its own way.
  const textOf = (name: string) => new TextDecoder().decode(found(name).content as Uint8Array).trim();
  expect(textOf("forwarded.eml")).toBe(inner.replaceAll("\r", "").trim());
  expect(textOf("invite.ics")).toBe(invite.replaceAll("\r", "").trim());
  const types = email.attachments.map(({ mimeType, method }) =>
    method === undefined ? mimeType : `${mimeType} ${method}`
  );
  expect(types).toContain("message/rfc822");
  // An invitation that a reader can answer, and not only a file.
  expect(types).toContain("text/calendar REQUEST");
});

test("text of users is no template, and a subject is not escaped as HTML", async () => {
  const { mail } = stage;
  const odd = "{{ user.password }} {% include 'x' %} Tom & <b>";
  const one = await deliver({ subject: odd, text: odd });
  expect({ subject: one.subject, text: one.text?.trimEnd() }).toEqual({ subject: odd, text: odd });
  // In a bulk send the names are those of the template; what stands in for them is looked into no more.
  const template = { subject: "Dear {{name}}", text: "Dear {{name}}", html: "<p>Dear {{name}}</p>" } as const;
  await mail.sendMany(template, [{ to: "odd@example.com", variables: { name: odd } }], { batch: "odd" });
  await until(async () => (await mail.get({ batch: "odd" }))?.states.sent === 1, "it is sent");
  const [many] = await stage.received("odd@example.com");
  expect({ subject: many?.subject, text: many?.text?.trimEnd(), html: many?.html?.trimEnd() }).toEqual({
    subject: `Dear ${odd}`,
    text: `Dear ${odd}`,
    html: `<p>Dear ${odd.replace("&", "&amp;").replace("<b>", "&lt;b&gt;").replaceAll("'", "&#39;")}</p>`,
  });
});

test("what is stored can be read, and is no pickle", async () => {
  const { mail, database } = stage;
  const { id } = await mail.send({
    ...{ to: "Ann <ann@example.com>", subject: "Grüße", text: "Hallo", html: "<p>Hallo</p>" },
    ...{ headers: { "X-Order": "1042" }, tags: ["receipt"], metadata: { order: "1042" } },
  });
  const [row] = await database.sql`
    select m.from_email, m.tags, m.metadata, c.subject, c.text, c.html, c.headers, r.email, r.name
    from mailchute.message m join mailchute.content c on c.id = m.content_id join mailchute.recipient r using (seq) where m.id = ${id}`;
  expect({ ...row }).toEqual({
    ...{ from_email: "hello@shop.example", email: "ann@example.com", name: "Ann" },
    ...{ subject: "Grüße", text: "Hallo", html: "<p>Hallo</p>", headers: [["X-Order", "1042"]] },
    ...{ tags: ["receipt"], metadata: { order: "1042" } },
  });
  // No column holds bytes but the files and what is compared with a second request.
  const columns = await database.sql`
    select table_name || '.' || column_name as name from information_schema.columns
    where table_schema = 'mailchute' and data_type = 'bytea' order by 1`;
  expect(columns.map(({ name }) => name)).toEqual(["attachment.bytes", "batch.request_hash", "message.request_hash"]);
});
