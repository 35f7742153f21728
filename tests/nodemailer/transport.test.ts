import { expect, test } from "bun:test";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import nodemailer, { type Transporter } from "nodemailer";
import nodemailer7 from "nodemailer-7";
import { createMailer, MailchuteError, type Mailer, type MailerOptions } from "../../mod.ts";
import { type ComposedMail, mailchuteTransport, type QueuedInfo } from "../../src/nodemailer/transport.ts";
import { fakeMailer } from "../../src/testing/testing.ts";
import { rejection } from "../client/cases.ts";
import { offline } from "../client/offline.ts";
import { grantShop } from "../client/shop.ts";
import { createDatabase } from "../database.ts";
import type { AppMessage } from "./setup.ts";

const BASE: AppMessage = { from: "Shop <a@shop.example>", to: "ann@example.com", subject: "s", text: "t" };

/** A transporter whose mails must not reach any database. */
const refusing = nodemailer.createTransport(mailchuteTransport(offline));

/** The issues of the error that a message with these fields gets. */
async function issuesOf(fields: object): Promise<readonly string[]> {
  const error = await rejection(refusing.sendMail({ ...BASE, ...fields }));
  if (!(error instanceof MailchuteError)) throw error;
  expect(error.code).toBe("validation_error");
  for (const { path, message } of error.issues.slice(0, 1)) expect(error.message).toContain(`${path}: ${message}`);
  return error.issues.map(({ path }) => path);
}

interface Bench {
  readonly mail: Mailer;
  readonly transport: Transporter<QueuedInfo>;
  readonly database: Awaited<ReturnType<typeof createDatabase>>;
}

async function withBench(work: (bench: Bench) => Promise<void>, options: MailerOptions = {}): Promise<void> {
  await using database = await createDatabase();
  const mail = createMailer(database.sql, options);
  await work({ mail, transport: nodemailer.createTransport(mailchuteTransport(mail)), database });
}

test("a transport of what is no mailer is refused where it is made", () => {
  for (const mail of [undefined, {}, createMailer]) {
    expect(() => mailchuteTransport(mail as unknown as Mailer)).toThrow("mail: it is not a mailer");
  }
});

test("sendMail answers with the id, the Message-ID and the envelope, to a promise and to a callback", async () => {
  await withBench(async ({ mail, transport }) => {
    const message = { ...BASE, cc: "bob@example.com", bcc: "eve@example.com" };
    const info = await transport.sendMail(message);
    const to = ["ann@example.com", "bob@example.com", "eve@example.com"];
    expect(info).toEqual({
      id: info.id,
      created: true,
      messageId: `<${info.id}@shop.example>`,
      envelope: { from: "a@shop.example", to },
      accepted: to,
      rejected: [],
      pending: [],
      response: `Queued as ${info.id}`,
    });
    expect((await mail.get(info.id))?.recipients.map(({ address }) => address)).toEqual(to);
    const called = Promise.withResolvers<QueuedInfo>();
    transport.sendMail(message, (error, info) => error ? called.reject(error) : called.resolve(info));
    expect((await mail.get((await called.promise).id))?.state).toBe("queued");
    const refused = Promise.withResolvers<unknown>();
    transport.sendMail({ ...message, to: "nobody" }, (error, info) => refused.resolve([error, info]));
    expect(await refused.promise).toMatchObject([{ code: "validation_error" }, undefined]);
  });
});

test("Auth.js' Nodemailer provider finds nobody who was rejected, and its link arrives in the queue", async () => {
  await withBench(async ({ transport, database }) => {
    // As in @auth/core's providers/nodemailer: the transporter, then these lines.
    const result = await transport.sendMail({
      to: "ann@example.com",
      from: "Shop <a@shop.example>",
      subject: "Sign in to shop.example",
      text: "Sign in to shop.example\nhttps://shop.example/callback?token=1\n\n",
      html: "<body>Sign in</body>",
    });
    const rejected = result.rejected || [];
    const pending = result.pending || [];
    expect(rejected.concat(pending).filter(Boolean)).toEqual([]);
    expect((await database.sql`select text from mailchute.content`)[0]?.text).toContain("token=1");
  });
});

test("the field mailchute gives what only a queue knows", async () => {
  await withBench(async ({ mail, transport, database }) => {
    const scheduledAt = new Date(Date.now() + 60_000);
    const mailchute = {
      idempotencyKey: "receipt/1",
      tags: ["receipt"],
      metadata: { order: "7" },
      priority: "high",
      stream: "bulk",
      onUncertain: "hold",
      unsubscribe: "mailto:u@shop.example",
      scheduledAt,
      expiresAt: new Date(Date.now() + 120_000),
    } as const;
    const message = { ...BASE, mailchute };
    const first = await transport.sendMail(message);
    const second = await transport.sendMail(message);
    expect([first.created, second.created, second.id]).toEqual([true, false, first.id]);
    expect(second.response).toBe(`Queued before as ${first.id}`);
    expect(await mail.get(first.id)).toMatchObject({
      state: "scheduled",
      tags: ["receipt"],
      metadata: { order: "7" },
      stream: "bulk",
    });
    const [row] = await database
      .sql`select lane, on_uncertain, unsubscribe, scheduled_at, expires_at from mailchute.message`;
    expect(row).toEqual({
      ...{ lane: 0, on_uncertain: "hold", unsubscribe: mailchute.unsubscribe },
      ...{ scheduled_at: scheduledAt, expires_at: mailchute.expiresAt },
    });
  });
});

test("a mail exists if and only if the transaction of its field mailchute commits", async () => {
  await withBench(async ({ mail, transport, database }) => {
    const ids: string[] = [];
    const failing = database.sql.begin(async (tx) => {
      ids.push((await transport.sendMail({ ...BASE, mailchute: { tx } } as AppMessage)).id);
      throw new Error("out of stock");
    });
    expect(await rejection(failing)).toMatchObject({ message: "out of stock" });
    await database.sql.begin(async (tx) => {
      ids.push((await transport.sendMail({ ...BASE, mailchute: { tx } } as AppMessage)).id);
    });
    expect(await mail.get(ids[0] as string)).toBeUndefined();
    expect((await mail.get(ids[1] as string))?.state).toBe("queued");
    expect(await rejection(transport.sendMail(BASE))).toMatchObject({ code: "transaction_required" });
  }, { transaction: "required" });
});

test("the mailer's From is the mail's, and in its Message-ID, when the message has none", async () => {
  await withBench(async ({ transport }) => {
    const info = await transport.sendMail({ to: "ann@example.com", subject: "s", text: "t" });
    expect(info.messageId).toBe(`<${info.id}@default.example>`);
    expect(info.envelope.from).toBe("a@default.example");
  }, { from: "Default <a@default.example>" });
});

test("the defaults of createTransport count, the field mailchute among them", async () => {
  await withBench(async ({ mail, database }) => {
    const defaults: AppMessage = { from: "a@shop.example", headers: { "X-A": "1" }, mailchute: { tags: ["shop"] } };
    const transport = nodemailer.createTransport(mailchuteTransport(mail), defaults);
    const { id } = await transport.sendMail({ to: "b@c.example", text: "t", headers: { "X-B": "2" } });
    expect((await mail.get(id))?.tags).toEqual(["shop"]);
    expect((await database.sql`select headers from mailchute.content`)[0]?.headers).toEqual([["X-B", "2"], [
      "X-A",
      "1",
    ]]);
  });
});

test("the message and its attachments stay as the app made them, and can be sent again", async () => {
  await withBench(async ({ transport, database }) => {
    const attachments = [{ content: Buffer.from("a") }, { filename: "b.txt", content: "b" }];
    const message = { ...BASE, attachments };
    await transport.sendMail(message);
    expect(attachments).toEqual([{ content: Buffer.from("a") }, { filename: "b.txt", content: "b" }]);
    await transport.sendMail(message);
    const rows = await database
      .sql`select filename, convert_from(bytes, 'UTF8') as text from mailchute.attachment order by content_id, position`;
    const both = [{ filename: "attachment-1.bin", text: "a" }, { filename: "b.txt", text: "b" }];
    expect([...rows]).toEqual([...both, ...both]);
  });
});

test("verify() asks the database, as the app's role, and says what is wrong", async () => {
  await withBench(async ({ transport, database }) => {
    expect(await transport.verify()).toBe(true);
    const called = Promise.withResolvers<unknown>();
    transport.verify((error, success) => called.resolve([error, success]));
    expect(await called.promise).toEqual([null, true]);
    expect([transport.isIdle(), transport.close()]).toEqual([true, undefined]);
    await database.sql.unsafe("drop schema mailchute cascade");
    expect(await rejection(transport.verify())).toMatchObject({ code: "not_migrated" });
    const failed = Promise.withResolvers<unknown>();
    transport.verify((error) => failed.resolve(error));
    expect(await failed.promise).toMatchObject({ code: "not_migrated" });
  });
});

test("what the database refuses names the fields that the app wrote", async () => {
  await using database = await createDatabase();
  const { default: postgres } = await import("postgres");
  const sql = postgres(await grantShop(database), { onnotice: () => {} });
  const transport = nodemailer.createTransport(mailchuteTransport(createMailer(sql)));
  const pathOf = async (fields: object) =>
    (await rejection(transport.sendMail({ ...BASE, ...fields })) as MailchuteError).issues[0]?.path;
  expect(await pathOf({ from: "boss@bank.example" })).toBe("from");
  expect(await pathOf({ sender: "boss@bank.example" })).toBe("sender");
  expect(await pathOf({ envelope: { from: "boss@bank.example", to: "ann@example.com" } })).toBe("envelope.from");
  expect(await pathOf({ mailchute: { scheduledAt: "2026-02-30T00:00:00Z" } })).toBe("mailchute.scheduledAt");
  await sql.end();
});

/** What is refused, and the fields that the error names. */
const REFUSED: readonly (readonly [fields: object, ...paths: string[]])[] = [
  [{ raw: "From: a\r\n\r\nx" }, "raw"],
  [{ dkim: { domainName: "a.example", keySelector: "s", privateKey: "k" } }, "dkim"],
  [{ amp: "<html amp4email>" }, "amp"],
  [{ watchHtml: "<b>" }, "watchHtml"],
  [{ messageId: "<a@b>" }, "messageId"],
  [{ headers: { "Message-ID": "<a@b>" } }, "headers.Message-ID"],
  [{ date: new Date() }, "date"],
  [
    { dsn: { notify: "never" }, auth: { user: "u" }, ses: {}, requireTLSExtensionEnabled: true },
    "auth",
    "dsn",
    "requireTLSExtensionEnabled",
    "ses",
  ],
  [{ to: "nobody" }, "to.0"],
  [{ to: ["ann@example.com", "nobody"], cc: [{ name: "Ann" }] }, "to.1", "cc.0"],
  [{ to: "Friends: ann@example.com, bob@example.com;" }, "to.0"],
  [{ bcc: ["bob@example.com", { name: "Friends", group: [{ address: "a@b.example" }] }] }, "bcc.1"],
  [{ from: "a@shop.example, b@shop.example" }, "from"],
  [{ from: "nobody" }, "from"],
  [{ from: "Us: a@shop.example;" }, "from"],
  [{ sender: ["a@shop.example", "b@shop.example"] }, "sender"],
  [{ replyTo: "a@shop.example, nobody" }, "replyTo.1"],
  [{ to: undefined }, "to"],
  [{ to: "a..b@example.com, a@-b.example" }, "to.1"],
  [{ headers: { To: ["a@b.example", "c@d.example"] }, to: undefined }, "headers.To"],
  [{ headers: { "Content-Type": "text/x" } }, "headers.Content-Type"],
  [{ headers: { "X-A": "a\u0001b" } }, "headers.X-A"],
  [{ subject: "=?UTF-8?B?R3LDvMOfZQ==?=" }, "subject"],
  [{ headers: { "X-A": "=?UTF-8?Q?a?=" } }, "headers.X-A"],
  [{ attachments: [{ content: "a", filename: "n".repeat(256) }] }, "attachments.0.filename"],
  [{ mailchute: { template: { name: "welcome", version: 0 } }, subject: "", text: "" }, "mailchute.template.version"],
  [{ mailchute: { template: { name: "welcome" } } }, "subject", "text"],
  [{ headers: { "List-Unsubscribe-Post": "List-Unsubscribe=One-Click" } }, "headers.List-Unsubscribe-Post"],
  [{
    headers: { "List-Unsubscribe": "<mailto:a@b>, <https://a>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click" },
  }, "headers.List-Unsubscribe-Post"],
  [
    { attachments: [{ raw: "x" }, { content: "a", headers: { "X-A": "1" } }] },
    "attachments.0.raw",
    "attachments.1.headers",
  ],
  [
    { attachments: [{ content: new Blob(["a"]) }, { filename: false, content: "a" }] },
    "attachments.0.content",
    "attachments.1.filename",
  ],
  [{ attachments: [{ content: "a", contentDisposition: "inline" }] }, "attachments.0.contentDisposition"],
  [
    { html: "<p>", attachments: [{ content: "a", cid: "a@b", contentDisposition: "attachment" }] },
    "attachments.0.contentDisposition",
  ],
  [
    { attachments: [{ content: "a", filename: "a" }, { content: "b", filename: "b", cid: "a b" }] },
    "attachments.1.cid",
  ],
  [{ attachments: [{ content: "a", contentType: "no type" }] }, "attachments.0.contentType"],
  [{ alternatives: [{ contentType: "text/markdown", content: "# a" }] }, "alternatives.0.contentType"],
  [
    { icalEvent: "BEGIN:VCALENDAR", alternatives: [{ contentType: "text/calendar; method=REQUEST", content: "x" }] },
    "icalEvent",
  ],
  [{ icalEvent: { method: "1", content: "BEGIN:VCALENDAR" } }, "icalEvent"],
  [{ icalEvent: { content: Buffer.from([0xff, 0xfe]) } }, "icalEvent"],
  [{ icalEvent: { content: "x", filename: "a\nb" } }, "icalEvent.filename"],
  [{ envelope: { from: "a@shop.example" } }, "envelope.to", "envelope.to"],
  [{ envelope: { from: "a@shop.example", to: "list@example.com" } }, "envelope.to"],
  [{ envelope: { from: "a@shop.example", to: ["ann@example.com", "nobody"] } }, "envelope.to"],
  [{ envelope: { from: "a..b@shop.example ", to: "ann@example.com", dsn: { notify: "never" } } }, "envelope.dsn"],
  [{ mailchute: "key" }, "mailchute"],
  [{ tx: {}, idempotencyKey: "k", mailchute: { tags: ["a"] } }, "tx", "idempotencyKey"],
  [
    { scheduledAt: new Date(), expiresAt: new Date(), onUncertain: "hold", overrideSuppression: true },
    "scheduledAt",
    "expiresAt",
    "onUncertain",
    "overrideSuppression",
  ],
  [{ mailchute: { idempotencykey: "k", to: "x@y.example" } }, "mailchute.idempotencykey", "mailchute.to"],
  [
    { mailchute: { priority: "urgent", tags: ["a", 7], stream: "Bulk", scheduledAt: "soon" } },
    "mailchute.tags.1",
    "mailchute.priority",
    "mailchute.scheduledAt",
    "mailchute.stream",
  ],
];

for (const [fields, ...paths] of REFUSED) {
  test(`${Bun.inspect(fields, { depth: 3 }).replace(/\s+/g, " ").slice(0, 120)} is refused, and the error names ${paths.join(", ")}`, async () => {
    expect(await issuesOf(fields)).toEqual(paths);
  });
}

for (const [version, library] of [["7", nodemailer7], ["10", nodemailer]] as const) {
  test(`a plugin of nodemailer ${version} that would change the finished mail, such as encrypt it, stops it`, async () => {
    for (const change of ["transform", "processFunc"] as const) {
      const transport = library.createTransport(mailchuteTransport(offline));
      transport.use("stream", (mail, done) => {
        mail.message[change]((input?: Readable) => input?.pipe(new PassThrough()) ?? new PassThrough());
        done();
      });
      const error = await rejection(transport.sendMail(BASE));
      expect(error).toMatchObject({ code: "validation_error", issues: [{ path: "message" }] });
    }
  });

  test(`a header that a plugin of nodemailer ${version} writes into the finished mail is the mail's`, async () => {
    const mail = fakeMailer();
    const transport = library.createTransport(mailchuteTransport(mail));
    transport.use("stream", ({ message }, done) => {
      message.setHeader("X-Plugin", "one");
      message.addHeader("X-Many", ["two", "three"]);
      done();
    });
    const list = { help: "help@example.com" };
    await transport.sendMail({ ...BASE, headers: { "X-Own": "own" }, list, inReplyTo: "<a@b.example>" });
    expect(mail.sent[0]?.message.headers).toEqual([
      ["In-Reply-To", "<a@b.example>"],
      ["X-Own", "own"],
      ["X-Plugin", "one"],
      ["X-Many", "two"],
      ["X-Many", "three"],
      ["List-Help", "<mailto:help@example.com>"],
    ]);
  });
}

test("a file that is given as text says in which characters it is written", async () => {
  const mail = fakeMailer();
  const content = "Grüße";
  await nodemailer.createTransport(mailchuteTransport(mail)).sendMail({
    ...BASE,
    attachments: [{ filename: "a.txt", content }, { filename: "b.txt", content: Buffer.from(content) }],
  });
  expect(mail.sent[0]?.message.attachments?.map(({ contentType }) => contentType)).toEqual([
    ...["text/plain; charset=utf-8", "text/plain"],
  ]);
});

test("what is too large is told so, for all attachments together", async () => {
  const attachments = [{ filename: "a", content: Buffer.alloc(25_000_000) }, { filename: "b", content: "b" }];
  const error = await rejection(refusing.sendMail({ ...BASE, attachments }));
  expect(error).toMatchObject({ code: "too_large", issues: [{ path: "attachments" }] });
});

test("files, URLs and data are read by nodemailer with the access that the app gives it, and never else", async () => {
  const path = join(mkdtempSync(join(tmpdir(), "mailchute-nodemailer-")), "secret.txt");
  writeFileSync(path, "secret");
  const attempt = (fields: object) => rejection(refusing.sendMail({ ...BASE, ...fields }));
  const files = {
    attachments: [{ path }, { filename: "a.txt", content: { path } }],
    text: { path },
    icalEvent: { path },
  };
  const filePaths = ["text.path", "icalEvent.path", "attachments.0.path", "attachments.1.path"];
  expect(await issuesOf({ ...files, disableFileAccess: true })).toEqual(filePaths);
  const href = "http://127.0.0.1:1/x";
  const calendar = { contentType: "text/calendar; method=REQUEST", href };
  const urls = { attachments: [{ href }, { path: href }], html: { path: href }, alternatives: [calendar] };
  // While it composes, nodemailer makes an href of a path that is a URL.
  const urlPaths = ["html.href", "attachments.0.href", "attachments.1.href", "alternatives.0.href"];
  expect(await issuesOf({ ...urls, disableUrlAccess: true })).toEqual(urlPaths);
  // 7 would read the file.
  const seven = nodemailer7.createTransport(mailchuteTransport(offline));
  const read = seven.sendMail({ ...BASE, attachments: [{ path }], disableFileAccess: true });
  expect(await rejection(read)).toMatchObject({ issues: [{ path: "attachments.0.path" }] });
  const closing = nodemailer.createTransport(mailchuteTransport(offline), { disableFileAccess: true });
  expect(await rejection(closing.sendMail({ ...BASE, ...files }))).toMatchObject({ code: "validation_error" });
  expect(await attempt({ attachments: [{ path: `${path}.missing` }] })).toMatchObject({ code: "ENOENT" });
  await using server = Bun.serve({ port: 0, fetch: () => new Response("from the web") });
  await withBench(async ({ transport, database }) => {
    await transport.sendMail({ ...BASE, attachments: [{ href: `http://127.0.0.1:${server.port}/web.txt` }] });
    const [row] = await database.sql`select filename, convert_from(bytes, 'UTF8') as text from mailchute.attachment`;
    expect(row).toEqual({ filename: "web.txt", text: "from the web" });
  });
});

test("a refused mail has not begun to read its streams, and nodemailer closes them", async () => {
  const stream = Readable.from(["a"]);
  expect(await issuesOf({ raw: "x", attachments: [{ content: stream }] })).toEqual(["raw"]);
  expect([stream.readableDidRead, stream.destroyed]).toEqual([false, true]);
});

test("anything that calls a transport by its shape can use it", async () => {
  await withBench(async ({ mail }) => {
    const transport = mailchuteTransport(mail);
    expect([transport.name, transport.version]).toEqual(["mailchute", expect.stringMatching(/^\d+\.\d+\.\d+$/)]);
    // A plugin's view: the composed mail comes from nodemailer, and send() is called by somebody else.
    const composed = Promise.withResolvers<ComposedMail>();
    const capture = nodemailer.createTransport({
      name: "capture",
      version: "1",
      send: (mail) => composed.resolve(mail),
    });
    capture.sendMail(BASE, () => {});
    const mailOf = await composed.promise;
    const info = await new Promise<QueuedInfo | undefined>((resolve, reject) => {
      transport.send(mailOf, (error, info) => error ? reject(error) : resolve(info));
    });
    expect((await mail.get(info?.id ?? ""))?.state).toBe("queued");
  });
});

test("a list's comment that is not ASCII stands apart from its brackets, and what would end it is quoted", async () => {
  const mail = fakeMailer();
  const list = { help: { url: "https://example.com/h", comment: "für (alle) \\o/ =?" } };
  await nodemailer.createTransport(mailchuteTransport(mail)).sendMail({ ...BASE, list });
  expect(mail.sent[0]?.message.headers).toEqual([[
    "List-Help",
    "<https://example.com/h> ( für \\(alle\\) \\\\o/ =? )",
  ]]);
});

test("a message with the line ends of files is attached as one with CRLF; what could not travel as a message stays as it is", async () => {
  const mail = fakeMailer();
  const contentType = "message/rfc822";
  const files = ["Subject: x\n\nHi\n", "Subject: x\r\n\r\nHi\n", Buffer.from("Subject: x\n\nHi"), "Subject: ü\n\nHi\n"];
  const attachments = [...files.map((content) => ({ filename: "a.eml", contentType, content })), {
    filename: "a.txt",
    content: "a\n",
  }];
  await nodemailer.createTransport(mailchuteTransport(mail)).sendMail({ ...BASE, attachments });
  const queued = mail.sent[0]?.message.attachments?.map(({ base64 }) => Buffer.from(base64, "base64").toString());
  const message = "Subject: x\r\n\r\nHi\r\n";
  expect(queued).toEqual([message, message, message.trimEnd(), "Subject: ü\n\nHi\n", "a\n"]);
});

test("mailchute: { template } takes the place of subject, text and html", async () => {
  const mail = fakeMailer({ templates: [{ name: "welcome", subject: "Hi {{first}}", text: "Dear {{first}}" }] });
  const transport = nodemailer.createTransport(mailchuteTransport(mail));
  const { subject: _, text: __, ...rest } = BASE;
  const message: AppMessage = { ...rest, mailchute: { template: { name: "welcome", variables: { first: "Ann" } } } };
  await transport.sendMail(message);
  expect(mail.sent[0]?.message).toMatchObject({ subject: "Hi Ann", text: "Dear Ann" });
});
