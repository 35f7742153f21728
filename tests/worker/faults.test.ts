import { afterAll, expect, test } from "bun:test";
import { describeMessage, enqueue, makeDue, openTestRelay } from "../relay.ts";
import type { Scripts } from "../scripted_server.ts";
import { setup as setUp, stopWorker } from "./setup.ts";

// Every fault of worker-mailer 1.2.1 that is known, by its number there, and what the Worker does in its place. In
// workerd, over real sockets.

afterAll(stopWorker);

const PASSWORD = "pässwört🔑";

/** The URL of a server, with a login. */
function loginUrl(port: number, parameters: string): string {
  return `smtp://ann:${encodeURIComponent(PASSWORD)}@127.0.0.1:${port}?name=worker.example&${parameters}`;
}

const CLOSINGS: readonly (readonly [when: string, on: Scripts, state: string, outcome?: string])[] = [
  ["at the greeting", { connect: () => ({ close: undefined }) }, "queued"],
  ["with 421 at MAIL", { mail: () => ({ close: "421 4.3.2 shutting down" }) }, "queued"],
  ["after MAIL", { rcpt: () => ({ close: undefined }) }, "deferred", "deferred"],
  ["at DATA, with RST", { data: () => ({ reset: true }) }, "deferred", "deferred"],
  ["after the final dot", { content: () => ({ acceptAndClose: true }) }, "deferred", "uncertain"],
];

for (const [when, on, state, outcome] of CLOSINGS) {
  test(`F1: a server that closes ${when} ends the attempt, and nothing hangs`, async () => {
    await using s = await setUp({ on });
    const id = await enqueue(s.database);
    await s.drain();
    const { state: found, attempts } = await describeMessage(s.database, id);
    expect(found).toBe(state);
    expect(attempts.map((attempt) => attempt.outcome)).toEqual(outcome === undefined ? [] : [outcome]);
    await s.server.whenEmpty();
  });
}

test("F2: who is in Bcc stands in no header", async () => {
  await using s = await setUp();
  await enqueue(s.database, { bcc: ["secret1@example.com", "secret2@example.com"] });
  expect(await s.drain()).toMatchObject({ sent: 3 });
  expect(s.server.mails.flatMap(({ recipients }) => recipients)).toEqual([
    "ann@example.com",
    "secret1@example.com",
    "secret2@example.com",
  ]);
  for (const { content } of s.server.mails) expect(content).not.toMatch(/secret|^bcc:/im);
});

test("F3: no mail has a header of the one before it", async () => {
  await using s = await setUp();
  for (const name of ["ann", "bob"]) {
    await enqueue(s.database, { to: `${name}@example.com`, subject: `For ${name}`, headers: { "X-Name": name } });
  }
  await s.drain();
  const contents = s.server.mails.map(({ content }) => content).sort((a, b) => a < b ? -1 : 1);
  expect(s.server.transcripts).toHaveLength(1);
  for (const name of ["ann", "bob"]) {
    const [own = ""] = contents.filter((content) => content.includes(`X-Name: ${name}`));
    expect(own).toContain(`To: ${name}@example.com`);
    expect(own).not.toContain(name === "ann" ? "bob" : "ann");
  }
  expect(new Set(contents.map((content) => /^Message-ID: (.*)$/m.exec(content)?.[1])).size).toBe(2);
});

test("F4: line breaks that somebody wrote into the tables make no header", async () => {
  await using s = await setUp();
  const id = await enqueue(s.database);
  await s.database.sql`update mailchute.content set subject = ${"Hi\r\nBcc: evil@example.net"}`;
  await s.drain();
  expect(s.server.mails).toEqual([]);
  expect(await describeMessage(s.database, id)).toMatchObject({ state: "failed" });
});

test("F5: line breaks in an address that somebody wrote into the tables make no command", async () => {
  await using s = await setUp();
  const id = await enqueue(s.database, { to: "to@example.com", bcc: "b@example.com" });
  await s.database.sql.unsafe("alter table mailchute.recipient disable trigger all");
  await s.database.sql`update mailchute.recipient set email = ${"b@x>\r\nRCPT TO:<evil@y"} where kind = 'bcc'`;
  await s.drain();
  expect(s.server.mails.map(({ recipients }) => recipients)).toEqual([["to@example.com"]]);
  expect(s.server.transcripts.map(({ client }) => client).join("")).not.toContain("evil");
  const { recipients } = await describeMessage(s.database, id);
  expect(recipients.map(({ state }) => state)).toEqual(["sent", "bounced"]);
});

test("F6: a lone dot in a text ends no mail, and a dot at the start of a line arrives as one", async () => {
  await using s = await setUp();
  await enqueue(s.database, { text: "a\n.\nMAIL FROM:<evil@example.net>\n..b\r\n.\r\nc" });
  await enqueue(s.database, { text: "a\n.hidden\n..b" });
  expect(await s.drain()).toMatchObject({ sent: 2 });
  expect(s.server.mails).toHaveLength(2);
  expect(s.server.mails[1]?.content).toEndWith("a\r\n.hidden\r\n..b\r\n");
  expect(s.server.transcripts[0]?.client).toContain("a\r\n..hidden\r\n...b\r\n.\r\n");
  const { content = "" } = s.server.mails[0] ?? {};
  expect(content.replaceAll("\r\n", "")).not.toMatch(/[\r\n]/);
  expect(content.replaceAll("=2E", ".")).toContain("a\r\n.\r\nMAIL FROM:<evil@example.net>\r\n..b\r\n.\r\nc");
});

test("F7: delivery reports are asked for, and never switched off", async () => {
  await using s = await setUp({ offer: ["DSN"] });
  await enqueue(s.database);
  await s.drain();
  const { client = "" } = s.server.transcripts[0] ?? {};
  expect(client).toMatch(/^MAIL FROM:<shop@example\.com> RET=HDRS ENVID=\S+\r$/m);
  expect(client).toMatch(/^RCPT TO:<ann@example\.com> NOTIFY=FAILURE,DELAY ORCPT=rfc822;ann@example\.com\r$/m);
});

test("F8: a server that hides STARTTLS sees no password", async () => {
  await using s = await setUp({ auth: { user: "ann", password: PASSWORD } });
  const id = await enqueue(s.database);
  const report = await s.drain({ smtp: loginUrl(s.server.port, "tls=required") });
  expect(report).toMatchObject({ end: "route", reason: expect.stringContaining("does not offer STARTTLS") });
  expect(s.server.transcripts.map(({ client }) => client)).toEqual(["EHLO worker.example\r\n"]);
  expect(await describeMessage(s.database, id)).toMatchObject({ state: "queued", attempts: [] });
});

test("F9: a server that does not offer AUTH gets no mail when there are credentials", async () => {
  await using s = await setUp({ tls: "starttls" });
  await enqueue(s.database);
  const report = await s.drain({ smtp: loginUrl(s.server.port, "tls=required") });
  expect(report).toMatchObject({
    end: "route",
    reason: "The server does not offer AUTH, and credentials are configured",
  });
  expect(s.server.transcripts[0]?.client).not.toMatch(/AUTH|MAIL/);
});

test("F10: a server that offers AUTH to somebody who needs none takes the mail", async () => {
  await using s = await setUp({ offer: ["AUTH PLAIN LOGIN"] });
  await enqueue(s.database);
  expect(await s.drain()).toMatchObject({ sent: 1 });
});

for (const mechanism of ["PLAIN", "LOGIN"]) {
  test(`F11, F13: credentials with any characters are shown by ${mechanism}, over TLS`, async () => {
    await using s = await setUp({ tls: "starttls", auth: { user: "ann", password: PASSWORD } });
    await enqueue(s.database);
    const smtp = loginUrl(s.server.port, `tls=required&auth=${mechanism.toLowerCase()}`);
    expect(await s.drain({ smtp })).toMatchObject({ sent: 1 });
    expect(s.server.mails).toMatchObject([{ user: "ann", isTls: true }]);
    expect(s.server.transcripts[0]?.client).toContain(`AUTH ${mechanism}`);
  });
}

test("F12: a server that offers CRAM-MD5 alone is told nothing, and the reason is plain", async () => {
  await using s = await setUp({ tls: "starttls", offer: ["AUTH CRAM-MD5"] });
  await enqueue(s.database);
  const report = await s.drain({ smtp: loginUrl(s.server.port, "tls=required") });
  expect(report).toMatchObject({
    end: "route",
    reason: "The server offers no AUTH by which these credentials could be shown",
  });
  expect(s.server.transcripts[0]?.client).not.toContain("AUTH");
});

test("F14: of three recipients one is refused, and the others get the mail", async () => {
  await using s = await setUp({
    on: { rcpt: (address) => address === "bob@example.com" ? "550 5.1.1 no such user" : undefined },
  });
  const id = await enqueue(s.database, { to: ["ann@example.com", "bob@example.com", "cat@example.com"] });
  expect(await s.drain()).toMatchObject({ sent: 2, bounced: 1 });
  const { recipients } = await describeMessage(s.database, id);
  expect(recipients).toMatchObject([
    { address: "ann@example.com", state: "sent" },
    { address: "bob@example.com", state: "bounced", code: 550, enhanced: "5.1.1" },
    { address: "cat@example.com", state: "sent" },
  ]);
  for (const { content } of s.server.mails) expect(content).toContain("To: ann@example.com");
});

test("F15: EHLO gives the name that is set, and an address literal without", async () => {
  await using s = await setUp();
  await enqueue(s.database);
  await s.drain();
  await enqueue(s.database);
  await s.drain({ smtp: `smtp://127.0.0.1:${s.server.port}` });
  expect(s.server.transcripts.map(({ client }) => client.split("\r\n")[0])).toEqual([
    "EHLO worker.example",
    "EHLO [127.0.0.1]",
  ]);
});

test("F16: MAIL and RCPT are as the RFC writes them, with no blank too many", async () => {
  await using s = await setUp({ offer: ["DSN"] });
  await enqueue(s.database, { returnPath: "bounce@example.com" });
  await s.drain({ smtp: `smtp://127.0.0.1:${s.server.port}?dsn=no` });
  expect(s.server.transcripts[0]?.client).toMatch(
    /\r\nMAIL FROM:<bounce@example\.com>\r\nRCPT TO:<ann@example\.com>\r\nDATA\r\n/,
  );
});

test("F17: what was offered before TLS counts no more behind it", async () => {
  await using s = await setUp({
    tls: "starttls",
    on: {
      ehlo: (_, { isTls }) => isTls ? "250 mx.test" : "250-mx.test\r\n250-STARTTLS\r\n250-DSN\r\n250 AUTH LOGIN PLAIN",
    },
  });
  await enqueue(s.database);
  const report = await s.drain({ smtp: loginUrl(s.server.port, "tls=required") });
  expect(report).toMatchObject({
    end: "route",
    reason: "The server does not offer AUTH, and credentials are configured",
  });
  expect(s.server.transcripts[0]?.client).not.toContain("AUTH");
});

test("F18: a reply is waited for as long as replyMs says, and no longer", async () => {
  await using s = await setUp({ on: { rcpt: () => ({ hang: true }) } });
  const id = await enqueue(s.database);
  await s.drain({ replyMs: 200 });
  const { attempts } = await describeMessage(s.database, id);
  expect(attempts).toMatchObject([{ outcome: "deferred", phase: "rcpt", reply: "The server did not answer in time" }]);
});

test("F19: the reply to a content may take longer than all others, and a mail that was taken is not sent again", async () => {
  const slow = () => new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), 1_200));
  await using s = await setUp({ on: { content: slow } });
  const id = await enqueue(s.database);
  expect(await s.drain({ replyMs: 200 })).toMatchObject({ sent: 1 });
  await makeDue(s.database);
  expect(await s.drain()).toMatchObject({ claimed: 0 });
  expect(s.server.mails).toHaveLength(1);
  expect(await describeMessage(s.database, id)).toMatchObject({ state: "sent" });
});

test("F20: a connection that the server has ended between two mails is replaced, and the next mail is settled", async () => {
  await using s = await setUp({
    on: { mail: (_, { connection, count }) => connection === 1 && count === 2 ? { close: undefined } : undefined },
  });
  for (const name of ["ann", "bob", "cat"]) await enqueue(s.database, { to: `${name}@example.com` });
  const report = await s.drain();
  expect(report).toMatchObject({ sent: 2, end: "empty" });
  expect(s.server.transcripts).toHaveLength(2);
});

test("F21: nothing is written into a content, and no QUIT behind DATA that is not answered", async () => {
  await using s = await setUp({ on: { data: () => ({ hang: true }) } });
  await enqueue(s.database);
  await s.drain({ replyMs: 200 });
  expect(s.server.transcripts[0]?.client).toEndWith("DATA\r\n");
});

test("F22: no socket stays open behind a mail that failed, or one that went", async () => {
  await using s = await setUp({ on: { mail: (_, { connection }) => connection < 3 ? "421 4.3.2 busy" : undefined } });
  for (const name of ["ann", "bob", "cat", "dan"]) await enqueue(s.database, { to: `${name}@example.com` });
  await s.drain();
  await s.server.whenEmpty();
  expect(s.server.transcripts.length).toBeGreaterThanOrEqual(3);
  expect(s.server.transcripts.at(-1)?.client).toEndWith("QUIT\r\n");
});

test("F23: no timer is left behind", async () => {
  await using s = await setUp();
  for (let index = 0; index < 20; index++) await enqueue(s.database);
  expect(await s.drain()).toMatchObject({ sent: 20 });
  expect(s.timersLeft).toBe(0);
});

test("F24: of two replies in one segment the second is not taken for the next one", async () => {
  await using s = await setUp({ on: { mail: () => ({ raw: "250 2.1.0 ok\r\n250 2.1.5 ok\r\n" }) } });
  const id = await enqueue(s.database);
  await s.drain();
  const { attempts } = await describeMessage(s.database, id);
  expect(attempts).toMatchObject([{ outcome: "deferred", reply: "The server said 250 without being asked" }]);
  expect(s.server.transcripts[0]?.client).not.toContain("DATA");
});

test("F25, F28: the mail is the relay's to the byte: names, long subjects, files and alternatives", async () => {
  const tempFail = (address: string) => address.startsWith("bob") ? "451 4.7.1 later" : undefined;
  await using s = await setUp({ on: { rcpt: tempFail } });
  await enqueue(s.database, {
    from: { email: "shop@example.com", name: 'Jörg "der" Laden' },
    to: ["ann@example.com", { email: "bob@example.com", name: "Bob <real@bank>" }],
    subject: `Über ${"lange ".repeat(60)}Betreffe`,
    text: "Grüße",
    html: "<p>Grüße</p>",
    attachments: [
      { filename: 'Rechnung "März".bin', contentType: "application/octet-stream", base64: "AAEC/w==" },
      {
        filename: "groß.bin",
        contentType: "application/octet-stream",
        base64: Buffer.alloc(90_000, 7).toString("base64"),
      },
    ],
  });
  await s.drain();
  await using other = await setUp();
  await using running = await openTestRelay(s.database, { smtpPort: other.server.port });
  await makeDue(s.database);
  await running.relay.runOnce();
  expect(other.server.mails.map(({ recipients }) => recipients)).toEqual([["bob@example.com"]]);
  expect(s.server.mails.map(({ recipients }) => recipients)).toEqual([["ann@example.com"]]);
  expect(s.server.mails[0]?.content).toBe(other.server.mails[0]?.content as string);
  expect(s.server.mails[0]?.content.split("\r\n").every((line) => line.length <= 998)).toBe(true);
});

test("F26: a mail with an address that needs SMTPUTF8 is left to a relay, which sends it", async () => {
  await using s = await setUp({ offer: ["SMTPUTF8", "8BITMIME"] });
  const id = await enqueue(s.database, { to: "jörg@example.com" });
  await enqueue(s.database, { to: "ann@example.com" });
  expect(await s.drain()).toMatchObject({ sent: 1, leftToRelay: 1 });
  expect(await describeMessage(s.database, id)).toMatchObject({
    state: "queued",
    recipients: [{ reason: "Left to a relay: an address needs SMTPUTF8" }],
    attempts: [],
  });
  // It is in nobody's way, and is not looked at again and again.
  expect(await s.drain()).toMatchObject({ claimed: 0 });
  await using running = await openTestRelay(s.database, { smtpPort: s.server.port });
  await running.relay.runOnce();
  expect(await describeMessage(s.database, id)).toMatchObject({ state: "sent" });
});

test("F27: no log has credentials or a content in it", async () => {
  await using s = await setUp({ tls: "starttls", auth: { user: "ann", password: PASSWORD } });
  await enqueue(s.database, { text: "a very private text" });
  expect(await s.drain({ smtp: loginUrl(s.server.port, "tls=required") })).toMatchObject({ sent: 1 });
  const secrets = [PASSWORD, btoa(String.fromCharCode(...new TextEncoder().encode(`\0ann\0${PASSWORD}`)))];
  const log = s.worker.lines.join("");
  expect(log).toContain("drained");
  for (const secret of [...secrets, "a very private text"]) expect(log).not.toContain(secret);
});

test("F28: a mail that is larger than the server takes is refused before it is sent", async () => {
  await using s = await setUp({ offer: ["SIZE 100"] });
  const id = await enqueue(s.database);
  expect(await s.drain()).toMatchObject({ bounced: 1 });
  expect(s.server.transcripts[0]?.client).not.toContain("MAIL");
  expect(await describeMessage(s.database, id)).toMatchObject({ state: "bounced" });
});
