import { expect, test } from "bun:test";
import nodemailer from "nodemailer";
import { createMailer, type MessageInput } from "../../mod.ts";
import { mailchuteTransport } from "../../src/nodemailer/transport.ts";
import { fakeMailer, type SentMail, type Simulated, type SimulatedReply } from "../../src/testing/testing.ts";
import { rejection, rejects } from "../client/cases.ts";

const MESSAGE = {
  from: "a@shop.example",
  to: "Ann <ann@example.com>",
  subject: "Receipt",
  text: "Thanks!",
} satisfies MessageInput;

test("sent lists what was queued, as it was checked, with the options", async () => {
  const mail = fakeMailer({ from: "Shop <shop@example.com>", tags: ["shop"] });
  const html = { toString: () => Promise.resolve("<p>Hi") };
  const { id } = await mail.send({ to: "Ann <ann@example.com>", subject: "s", html }, { idempotencyKey: "k" });
  expect(mail.sent).toEqual([{
    id,
    message: {
      from: { email: "shop@example.com", name: "Shop" },
      to: [{ email: "ann@example.com", name: "Ann" }],
      subject: "s",
      html: "<p>Hi",
      tags: ["shop"],
    },
    options: { idempotencyKey: "k" },
  }]);
  await mail.send({ to: "ann@example.com", subject: "s", text: "t" });
  expect(mail.sent.map(({ message }) => message.text)).toEqual([undefined, "t"]);
  await mail.cancel(id);
  expect(mail.sent).toHaveLength(2);
});

test("a refused mail, a second use of a key and a mere statement are not sent", async () => {
  const mail = fakeMailer();
  await rejects(mail.send({ ...MESSAGE, to: "nobody" }), "validation_error", "to");
  await mail.statement(MESSAGE);
  expect(mail.sent).toEqual([]);
  await mail.send(MESSAGE, { idempotencyKey: "k" });
  await mail.send(MESSAGE, { idempotencyKey: "k" });
  expect(mail.sent).toHaveLength(1);
});

test("waitFor resolves with the first mail that fits, that is there or comes later", async () => {
  const mail = fakeMailer();
  const later = mail.waitFor({ to: "bob@EXAMPLE.com", subject: /^Re/ });
  await mail.send(MESSAGE);
  await mail.send({ ...MESSAGE, to: [], bcc: "bob@example.com", subject: "Other" });
  const { id } = await mail.send({ ...MESSAGE, cc: "bob@example.com" });
  expect((await later).id).toBe(id);
  expect((await mail.waitFor({})).id).toBe(mail.sent[0]?.id as string);
  expect((await mail.waitFor({ subject: "Other" })).id).toBe(mail.sent[1]?.id as string);
  expect((await mail.waitFor(({ message }) => message.cc !== undefined)).id).toBe(id);
});

test("waitFor says when none has come, what is wrong with its time, and what its predicate throws", async () => {
  const mail = fakeMailer();
  await mail.send(MESSAGE);
  const error = await rejects(mail.waitFor({ to: "bob@example.com" }, { timeoutMs: 5 }), "timeout");
  expect(error.message).toContain("within 5 ms (1 mail is there)");
  for (const timeoutMs of [0, NaN, 2 ** 31, "5s" as never]) {
    await rejects(mail.waitFor({}, { timeoutMs }), "validation_error", "timeoutMs");
  }
  const failing = mail.waitFor(() => {
    throw new Error("no such field");
  });
  expect(await rejection(failing)).toMatchObject({ message: "no such field" });
});

test("waitFor refuses what would fit every mail: another field, a predicate that answers later", async () => {
  const mail = fakeMailer();
  await mail.send(MESSAGE);
  await rejects(mail.waitFor({ too: "bob@example.com" } as object), "validation_error", "too");
  await rejects(mail.waitFor({ to: /bob/ as unknown as string }), "validation_error", "to");
  await rejects(mail.waitFor({ subject: 7 as unknown as string }), "validation_error", "subject");
  const later = (() => Promise.resolve(false)) as unknown as (mail: SentMail) => boolean;
  await rejects(mail.waitFor(later), "validation_error", "fits");
  await rejects(mail.waitFor({}, 50 as unknown as object), "validation_error", "options");
});

test("waitFor looks at each subject from its start, whatever the flags of the RegExp", async () => {
  const mail = fakeMailer();
  const subject = new RegExp(MESSAGE.subject, "g");
  subject.lastIndex = 1;
  const { id } = await mail.send(MESSAGE);
  expect((await mail.waitFor({ subject })).id).toBe(id);
});

test("clear forgets mails and keys", async () => {
  const mail = fakeMailer();
  const { id } = await mail.send(MESSAGE, { idempotencyKey: "k" });
  mail.clear();
  expect(mail.sent).toEqual([]);
  expect(await mail.get(id)).toBeUndefined();
  expect((await mail.send({ ...MESSAGE, subject: "Other" }, { idempotencyKey: "k" })).created).toBe(true);
});

test("the mails of a transaction of its own come with the commit, to sent and to waitFor", async () => {
  const mail = fakeMailer({ transaction: "required" });
  await rejects(mail.send(MESSAGE), "transaction_required");
  const waiting = mail.waitFor({});
  const id = await mail.transaction(async (tx) => {
    const sent = await mail.send(MESSAGE, { tx });
    expect(mail.sent).toEqual([]);
    return sent.id;
  });
  expect((await waiting).id).toBe(id);
  const failing = mail.transaction(async (tx) => {
    await mail.send(MESSAGE, { tx });
    throw new Error("out of stock");
  });
  expect(await rejection(failing)).toMatchObject({ message: "out of stock" });
  expect(mail.sent.map((sent) => sent.id)).toEqual([id]);
});

test("a transaction of the app's own driver is taken, noted, and never touched", async () => {
  const mail = fakeMailer({ transaction: "required" });
  const tx = { query: () => Promise.reject(new Error("The app's connection was used")) };
  const { id } = await mail.send(MESSAGE, { tx });
  expect(mail.sent[0]?.options.tx).toBe(tx);
  expect(await mail.cancel(id, { tx })).toBe("canceled");
  for (const none of [{}, null, "postgres://x", 7]) {
    await rejects(mail.send(MESSAGE, { tx: none as never }), "connection_unsupported");
  }
});

test("its connection serves code that makes its own mailer, statements, and nodemailer", async () => {
  const mail = fakeMailer();
  await createMailer(mail.connection, { from: "a@shop.example" }).send({ to: "b@c.example", subject: "1", text: "t" });
  const { text, values, id } = await mail.statement({ ...MESSAGE, subject: "2" });
  expect(await mail.connection.query(text, values)).toEqual({ rows: [{ id, created: true }] });
  expect(await mail.connection.query(text, values)).toEqual({ rows: [{ id, created: false }] });
  const info = await nodemailer.createTransport(mailchuteTransport(mail)).sendMail({ ...MESSAGE, subject: "3" });
  expect(mail.sent.map(({ message }) => message.subject)).toEqual(["1", "2", "3"]);
  expect(mail.sent[2]?.id).toBe(info.id);
  await rejection(mail.connection.query("select 1", []));
});

test("simulate concerns the open recipients of an id, or of an address in all mails, and says when there is none", async () => {
  const mail = fakeMailer();
  const one = await mail.send({ ...MESSAGE, cc: "bob@example.com" });
  const other = await mail.send(MESSAGE);
  const statesOf = async (id: string) => (await mail.get(id))?.recipients.map(({ state }) => state);
  mail.simulate("ann@EXAMPLE.com", "sent");
  expect([await statesOf(one.id), await statesOf(other.id)]).toEqual([["sent", "queued"], ["sent"]]);
  mail.simulate(one.id, "bounced");
  expect([await statesOf(one.id), await statesOf(other.id)]).toEqual([["sent", "bounced"], ["sent"]]);
  for (const which of [one.id, "ann@example.com", "nobody@example.com", "x"]) {
    expect(() => mail.simulate(which, "sent")).toThrow("which: no mail with this id");
  }
  expect(() => mail.simulate(one.id, "delivered" as Simulated)).toThrow("outcome: it is none of sending, sent");
  for (
    const [reply, path] of [[{ cod: 550 }, "cod"], [{ code: 50 }, "code"], [{ enhanced: "5" }, "enhanced"], [{
      reply: 7,
    }, "reply"]] as const
  ) {
    expect(() => mail.simulate(one.id, "bounced", reply as SimulatedReply)).toThrow(`Cannot simulate: ${path}: `);
  }
});

test("simulate says what the server said, and why a mail has failed or expired", async () => {
  const mail = fakeMailer();
  const sent = async () => (await mail.send({ ...MESSAGE, subject: crypto.randomUUID() })).id;
  const [bounced, failed, expired] = [await sent(), await sent(), await sent()];
  mail.simulate(bounced, "bounced", { code: 552, enhanced: "5.2.2", reply: "Mailbox full" });
  mail.simulate(failed, "failed", { reply: "It cannot be composed" });
  mail.simulate(expired, "expired");
  expect(await mail.get(bounced)).toMatchObject({
    recipients: [{ state: "bounced", code: 552, enhanced: "5.2.2", reason: "Mailbox full" }],
    attempts: [{ number: 1, outcome: "bounced", code: 552, reply: "Mailbox full" }],
  });
  expect(await mail.get(failed)).toMatchObject({
    state: "failed",
    recipients: [{ reason: "It cannot be composed" }],
    attempts: [],
  });
  expect(await mail.get(expired)).toMatchObject({
    state: "expired",
    recipients: [{ reason: "Its expiresAt has passed" }],
  });
});

test("its time is the test's: a schedule comes, a mail waits, and gives up in the end", async () => {
  let nowMs = Date.UTC(2026, 0, 1);
  const mail = fakeMailer({ now: () => nowMs });
  const { id } = await mail.send({
    ...MESSAGE,
    scheduledAt: new Date(nowMs + 60_000),
    expiresAt: new Date(nowMs + 3_600_000),
  });
  expect((await mail.get(id))?.state).toBe("scheduled");
  nowMs += 60_000;
  expect((await mail.get(id))?.state).toBe("queued");
  mail.simulate(id, "deferred");
  expect((await mail.get(id))?.nextAttemptAt).toEqual(new Date(nowMs + 60_000));
  nowMs += 3_600_000;
  mail.simulate(id, "deferred");
  expect(await mail.get(id)).toMatchObject({ state: "expired", attempts: [{ number: 1 }, { number: 2 }] });
});

test("unknown options are refused as by the real one", () => {
  expect(() => fakeMailer({ form: "a@b.example" } as object)).toThrow("form");
  expect(() => fakeMailer({ from: "nobody" })).toThrow("from");
  expect(() => fakeMailer({ now: 5 } as object)).toThrow("now: it is not a function");
});

test("templates that the database would not save are refused", () => {
  const fine = { name: "welcome", subject: "s", text: "t" };
  expect(fakeMailer({ templates: [fine, { ...fine, language: "zh_Hant-TW" }] }).sent).toEqual([]);
  const wrong = [
    ["name", { ...fine, name: "a b" }],
    ["language", { ...fine, language: "deutsch" }],
    ["subject", { ...fine, subject: "a\r\nb" }],
    ["subject", { ...fine, subject: undefined as never }],
    ["text", { ...fine, text: "{{#if}}" }],
    ["text", { name: "welcome", subject: "s" }],
  ] as const;
  for (const [path, template] of wrong) {
    expect(() => fakeMailer({ templates: [fine, template] })).toThrow(`templates.1.${path}: it `);
  }
});

test("the mails of a bulk send are in sent as each recipient gets them", async () => {
  const mail = fakeMailer({ from: "a@shop.example", transaction: "required" });
  const tx = { query: () => Promise.reject(new Error("The app's connection was used")) };
  const template = {
    subject: "News for {{name}}",
    text: "Dear {{name}}",
    html: "<p>Dear {{name}}",
    headers: { "X-Number": "{{number}}" },
    unsubscribe: "https://shop.example/u?n={{name}}",
  };
  const recipients = [{ to: "Ann <ann@example.com>", variables: { name: "Ann & Co", number: 7 } }];
  await mail.sendMany(template, recipients, { tx });
  expect(mail.sent).toEqual([{
    id: expect.stringMatching(/-7.*00000000$/),
    message: {
      from: { email: "a@shop.example" },
      to: [{ email: "ann@example.com", name: "Ann" }],
      subject: "News for Ann & Co",
      text: "Dear Ann & Co",
      html: "<p>Dear Ann &amp; Co",
      headers: [["X-Number", "7"]],
      unsubscribe: "https://shop.example/u?n=Ann%20%26%20Co",
      priority: "low",
    },
    options: { tx },
  }]);
});

test("closeDigests() makes a mail of the items of each digest, as the relay would write it, and answers with those that go out", async () => {
  const mail = fakeMailer({ from: "forum@example.com" });
  const digest = { key: "replies", wait: "1h", subject: "{{count}} new replies", maxItems: 2 } as const;
  const common = { to: "ann@example.com", digest, text: "Yes" };
  expect(mail.closeDigests()).toEqual([]);
  const first = await mail.send({ ...common, subject: "One", tags: ["a"], metadata: { post: "1" } });
  await mail.send({ ...common, subject: "Two", html: "<p>Oh <b>no</b>" });
  await mail.send({ ...common, subject: "Three", tags: ["b", "a"], priority: "high", from: "Bob <bob@example.com>" });
  const lone = await mail.send({ ...common, to: "bob@example.com", subject: "Alone" });
  const [replies, alone, ...others] = mail.closeDigests();
  expect(others).toEqual([]);
  expect(alone?.id).toBe(lone.id);
  expect(replies?.message).toMatchObject({
    from: { email: "bob@example.com", name: "Bob" },
    to: [{ email: "ann@example.com" }],
    subject: "3 new replies",
    text: "One\n---\n\nYes\n\n\nTwo\n---\n\nYes\n\n\nand 1 more\n",
    html: expect.stringContaining("<b>no</b></p>"),
    tags: ["a", "b"],
    priority: "high",
  });
  expect(replies?.message).not.toHaveProperty("metadata");
  expect(mail.sent.map(({ id }) => id)).toContain(replies?.id as string);
  // Said of an item, it is said of its digest.
  mail.simulate(first.id, "bounced");
  expect((await mail.get(replies?.id as string))?.state).toBe("bounced");
  expect(await mail.get(first.id)).toMatchObject({ state: "bounced", digest: { id: replies?.id as string } });
  expect(mail.closeDigests()).toEqual([]);
});
