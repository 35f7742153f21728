import { expect, test } from "bun:test";
import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import nodemailer from "nodemailer";
import { type Inbox, type InboxOptions, startInbox } from "../../relay/mail/inbox.ts";
import { sendMail, talk } from "../http/setup.ts";

async function setup(options: Partial<InboxOptions> = {}) {
  const directory = options.directory ?? await mkdtemp(join(tmpdir(), "mailchute-inbox-"));
  const inbox = await startInbox({ ...options, directory });
  return {
    inbox,
    directory,
    async [Symbol.asyncDispose]() {
      await inbox.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

function text(inbox: Inbox, id: string): string {
  return new TextDecoder().decode(inbox.get(id)?.content);
}

test("a captured mail has the envelope that SMTP was told, Bcc included, and the bytes as they came", async () => {
  await using it = await setup({ now: () => 1_795_000_000_000 });
  const content = "Subject: hi\r\n\r\n.dot\r\n..two\r\nend";
  const mail = await sendMail(it.inbox, content, { from: "", to: ["ann@example.com", "bcc@example.com"] });
  expect(mail).toMatchObject({ from: "", to: ["ann@example.com", "bcc@example.com"] });
  expect(mail.receivedAt).toEqual(new Date(1_795_000_000_000));
  expect(text(it.inbox, mail.id)).toBe(`${content}\r\n`);
});

test("nodemailer can use the inbox as it would a server with a login", async () => {
  await using it = await setup();
  const transport = nodemailer.createTransport({
    host: "127.0.0.1",
    port: it.inbox.port,
    auth: { user: "any", pass: "thing" },
  });
  await transport.sendMail({ from: "shop@example.com", to: "ann@example.com", subject: "hi", text: "hello" });
  transport.close();
  expect(it.inbox.mails()).toHaveLength(1);
});

test("the newest mail comes first, also when the clock stands still", async () => {
  await using it = await setup({ now: () => 1_000 });
  for (const subject of ["a", "b", "c"]) await sendMail(it.inbox, `Subject: ${subject}\r\n\r\n`);
  expect(it.inbox.mails().map(({ id }) => id)).toEqual(["0000000001002", "0000000001001", "0000000001000"]);
  expect(text(it.inbox, "0000000001002")).toContain("Subject: c");
});

test("mails survive a restart, with their envelopes, and new ids go on", async () => {
  const first = await setup({ now: () => 5_000 });
  const mail = await sendMail(first.inbox, "Subject: kept\r\n\r\n", { to: ["bcc@example.com"] });
  await first.inbox.stop();
  await using second = await setup({ directory: first.directory, now: () => 4_000 });
  expect(second.inbox.mails()).toEqual([mail]);
  const next = await sendMail(second.inbox, "Subject: next\r\n\r\n");
  expect(Number(next.id)).toBe(Number(mail.id) + 1);
});

test("what a crash left half written is removed, what is no mail stays untouched", async () => {
  const directory = await mkdtemp(join(tmpdir(), "mailchute-inbox-"));
  for (const name of ["0000000000001.json", "0000000000002.tmp", "notes.txt"]) {
    await writeFile(join(directory, name), "{}");
  }
  await writeFile(join(directory, "0000000000003.eml"), "Subject: by hand\r\n\r\n");
  await writeFile(join(directory, "0000000000004.eml"), "Subject: broken\r\n\r\n");
  await writeFile(join(directory, "0000000000004.json"), "{ not json");
  await using it = await setup({ directory });
  expect((await readdir(directory)).sort()).toEqual([
    "0000000000003.eml",
    "0000000000004.eml",
    "0000000000004.json",
    "notes.txt",
  ]);
  expect(it.inbox.mails().map(({ id, from, to }) => [id, from, to])).toEqual([
    ["0000000000004", "", []],
    ["0000000000003", "", []],
  ]);
});

test("nobody else on the machine can read the files", async () => {
  await using it = await setup();
  await sendMail(it.inbox, "Subject: private\r\n\r\n");
  expect((await stat(it.directory)).mode & 0o777).toBe(0o700);
  for (const name of await readdir(it.directory)) {
    expect((await stat(join(it.directory, name))).mode & 0o777).toBe(0o600);
  }
});

test("the inbox keeps exactly as many mails as it may, in memory and on disk", async () => {
  await using it = await setup({ maxMails: 3 });
  for (const subject of ["1", "2", "3"]) await sendMail(it.inbox, `Subject: ${subject}\r\n\r\n`);
  expect(it.inbox.mails()).toHaveLength(3);
  await sendMail(it.inbox, "Subject: 4\r\n\r\n");
  expect(it.inbox.mails().map(({ id }) => text(it.inbox, id)[9])).toEqual(["4", "3", "2"]);
  expect(await readdir(it.directory)).toHaveLength(6);
});

test("the inbox keeps exactly as many bytes as it may, and a restart with less room keeps fewer", async () => {
  const first = await setup({ maxBytes: 300 });
  const body = (size: number) => "x".repeat(size - 2); // the CRLF before the final dot is part of the mail
  for (let count = 0; count < 3; count++) await sendMail(first.inbox, body(100));
  expect(first.inbox.mails()).toHaveLength(3);
  await sendMail(first.inbox, body(101));
  expect(first.inbox.mails().map(({ content }) => content.byteLength)).toEqual([101, 100]);
  await first.inbox.stop();
  await using second = await setup({ directory: first.directory, maxBytes: 200 });
  expect(second.inbox.mails()).toHaveLength(1);
  expect(await readdir(second.directory)).toHaveLength(2);
});

test("attack: a mail larger than the whole inbox is refused with 552 and pushes nothing out", async () => {
  await using it = await setup({ maxBytes: 1_000 });
  await sendMail(it.inbox, "x".repeat(998));
  const replies = await talk(it.inbox.port, [
    "EHLO test\r\n",
    "MAIL FROM:<a@example.com>\r\n",
    "RCPT TO:<b@example.com>\r\n",
    "DATA\r\n",
    `${"x".repeat(999)}\r\n.\r\n`,
    "QUIT\r\n",
  ]);
  expect(replies[5]).toStartWith("552 ");
  expect(it.inbox.mails()).toHaveLength(1);
});

test("a client that breaks off in the middle of a mail leaves nothing", async () => {
  await using it = await setup();
  const broken = connect(it.inbox.port, "127.0.0.1");
  const closed = new Promise((resolve) => broken.on("close", resolve));
  let step = 0;
  const lines = [
    "EHLO t\r\n",
    "MAIL FROM:<a@example.com>\r\n",
    "RCPT TO:<b@example.com>\r\n",
    "DATA\r\n",
    "Subject: half",
  ];
  broken.on("data", (data) => {
    if (!/^\d{3} /m.test(data.toString())) return;
    broken.write(lines[step] ?? "");
    if (++step === lines.length) broken.end();
  });
  await closed;
  await sendMail(it.inbox, "Subject: whole\r\n\r\n");
  expect(it.inbox.mails()).toHaveLength(1);
  expect(await readdir(it.directory)).toHaveLength(2);
});

test("the inbox listens on loopback only, offers no STARTTLS and relays nothing", async () => {
  await using it = await setup();
  const replies = await talk(it.inbox.port, ["EHLO test\r\n", "QUIT\r\n"]);
  expect(replies[0]).toStartWith("220 ");
  expect(replies[1]).not.toContain("STARTTLS");
  expect(replies[1]).toContain("PIPELINING");
});

test("waitFor finds a mail that is there, and one that comes later", async () => {
  await using it = await setup();
  const signal = new AbortController().signal;
  const later = it.inbox.waitFor(({ to }) => to.includes("bob@example.com"), signal);
  const ann = await sendMail(it.inbox, "Subject: 1\r\n\r\n", { to: ["ann@example.com"] });
  expect(await it.inbox.waitFor(({ to }) => to.includes("ann@example.com"), signal)).toBe(ann);
  const bob = await sendMail(it.inbox, "Subject: 2\r\n\r\n", { to: ["bob@example.com"] });
  expect(await later).toBe(bob);
});

test("waitFor ends with its signal and with the inbox", async () => {
  await using it = await setup();
  const gone = new AbortController();
  const first = it.inbox.waitFor(() => false, gone.signal);
  gone.abort(new Error("enough"));
  await expect(first).rejects.toThrow("enough");
  await expect(it.inbox.waitFor(() => true, gone.signal)).rejects.toThrow("enough");
  const second = it.inbox.waitFor(() => false, new AbortController().signal);
  const stopped = it.inbox.stop();
  await expect(second).rejects.toThrow("the inbox has stopped");
  await stopped;
});

test("a listener hears each mail until it stops listening", async () => {
  await using it = await setup();
  const heard: string[] = [];
  const forget = it.inbox.onArrival(({ id }) => heard.push(id));
  const { id } = await sendMail(it.inbox, "Subject: 1\r\n\r\n");
  forget();
  await sendMail(it.inbox, "Subject: 2\r\n\r\n");
  expect(heard).toEqual([id]);
});

test("many mails at once arrive whole and in an order", async () => {
  await using it = await setup();
  await Promise.all(Array.from({ length: 20 }, (_, n) =>
    talk(it.inbox.port, [
      "EHLO t\r\n",
      `MAIL FROM:<n${n}@example.com>\r\n`,
      "RCPT TO:<b@example.com>\r\n",
      "DATA\r\n",
      `Subject: ${n}\r\n\r\n.\r\n`,
      "QUIT\r\n",
    ])));
  const mails = it.inbox.mails();
  expect(new Set(mails.map(({ from }) => from)).size).toBe(20);
  for (const mail of mails) expect(text(it.inbox, mail.id)).toContain(`Subject: ${/\d+/.exec(mail.from)?.[0]}\r\n`);
});

test("a taken port is refused by its number", async () => {
  await using it = await setup();
  await expect(startInbox({ directory: join(it.directory, "other"), port: it.inbox.port })).rejects.toThrow(
    `Cannot start the inbox: port ${it.inbox.port} cannot be used; choose another`,
  );
});
