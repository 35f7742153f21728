import { expect, test } from "bun:test";
import { createDatabase } from "../database.ts";
import { startHeldServer } from "../held_server.ts";
import { describeMessage, enqueue, makeDue, openTestRelay, until } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";

test("of three recipients answered 250, 450 and 550, each has an outcome of its own and only the second is tried again", async () => {
  const seen: string[] = [];
  await using server = await startScriptedServer({
    on: {
      rcpt: (address) => {
        seen.push(address);
        if (address === "b@example.com" && seen.filter((each) => each === address).length === 1) {
          return "450 4.2.1 mailbox busy";
        }
        return address === "c@example.com" ? "550 5.1.1 no such user" : undefined;
      },
    },
  });
  await using database = await createDatabase();
  const id = await enqueue(database, { to: ["a@example.com", "b@example.com", "c@example.com"] });
  await using first = await openTestRelay(database, { smtpPort: server.port });
  await first.relay.runOnce();

  const after = await describeMessage(database, id);
  expect(after.recipients.map(({ state, code, enhanced, reason }) => [state, code, enhanced, reason])).toEqual([
    ["sent", 250, expect.any(String), expect.any(String)],
    ["deferred", 450, "4.2.1", expect.stringContaining("mailbox busy")],
    ["bounced", 550, "5.1.1", expect.stringContaining("no such user")],
  ]);
  expect(after.state).toBe("deferred");
  expect(Date.parse(after.nextAttemptAt as string)).toBeGreaterThan(Date.now() + 40_000);
  expect(server.mails.map(({ recipients }) => recipients)).toEqual([["a@example.com"]]);

  await makeDue(database);
  await using second = await openTestRelay(database, { smtpPort: server.port });
  await second.relay.runOnce();
  expect(server.mails.map(({ recipients }) => recipients)).toEqual([["a@example.com"], ["b@example.com"]]);
  const done = await describeMessage(database, id);
  expect(done.recipients.map(({ state }) => state)).toEqual(["sent", "sent", "bounced"]);
  expect(done.state).toBe("bounced");
  expect(done.attempts.map(({ number, address, outcome }) => [number, address, outcome])).toEqual([
    [1, "a@example.com", "sent"],
    [1, "b@example.com", "deferred"],
    [1, "c@example.com", "bounced"],
    [2, "b@example.com", "sent"],
  ]);
  const [open] = await database.sql`select count(*)::int as rows from mailchute.queue`;
  expect(open?.rows).toBe(0);
});

test("an outage longer than a mail's whole retry budget costs no mail an attempt", async () => {
  await using database = await createDatabase();
  const ids = [];
  for (let number = 0; number < 20; number++) ids.push(await enqueue(database, { to: `u${number}@example.com` }));
  let isOut = true;
  await using server = await startScriptedServer({
    on: { connect: () => isOut ? { close: "421 4.3.2 down for maintenance" } : undefined },
  });
  // One attempt is all that a mail has.
  await using running = await openTestRelay(database, { smtpPort: server.port, maxAttempts: 1, pollMs: 50 });
  running.relay.start();
  await server.whenConnections(8);
  isOut = false;
  await server.whenMails(20);
  for (const id of ids) {
    await until(async () => (await describeMessage(database, id)).state === "sent", "sent");
    const { attempts } = await describeMessage(database, id);
    expect(attempts.map(({ number, outcome }) => [number, outcome])).toEqual([[1, "sent"]]);
  }
});

test("a mail that makes the server drop the connection each time ages and expires while the others flow", async () => {
  await using server = await startScriptedServer({
    on: { content: (content) => content.includes("poison") ? { close: undefined } : undefined },
  });
  await using database = await createDatabase();
  const poison = await enqueue(database, { text: "poison" });
  await using running = await openTestRelay(database, {
    smtpPort: server.port,
    maxAgeMs: 3_000,
    pollMs: 50,
    onUncertain: "retry",
  });
  running.relay.start();
  for (let number = 0; number < 50; number++) await enqueue(database, { to: `u${number}@example.com` });
  await server.whenMails(50);
  await until(async () => (await describeMessage(database, poison)).attempts.length > 0, "tried");
  await until(async () => (await describeMessage(database, poison)).state === "expired", "expired");
  const { recipients, attempts } = await describeMessage(database, poison);
  expect(recipients[0]?.reason).toBe("It is older than RELAY_MAX_AGE");
  expect(attempts.every(({ outcome }) => outcome === "uncertain")).toBe(true);
  const [states] = await database
    .sql`select count(*) filter (where state = 'sent')::int as sent from mailchute.recipient`;
  expect(states?.sent).toBe(50);
});

test("a mail whose reply after the final dot is never read is held when its message says hold, and goes out again only by accept-duplicate", async () => {
  let drop = true;
  await using server = await startScriptedServer({
    on: { content: () => drop ? { acceptAndClose: true } : undefined },
  });
  await using database = await createDatabase();
  const id = await enqueue(database, { onUncertain: "hold" });
  await using running = await openTestRelay(database, { smtpPort: server.port });
  await running.relay.runOnce();
  expect((await describeMessage(database, id)).state).toBe("held");
  const retry = async (accept: boolean) => {
    const [row] = await database
      .sql`select mailchute.retry_message((select seq from mailchute.message where id = ${id}), ${accept}) as answer`;
    return row?.answer as string;
  };
  expect(await retry(false)).toBe("may_duplicate");
  expect((await describeMessage(database, id)).state).toBe("held");
  expect(await retry(true)).toBe("retried");
  drop = false;
  await using second = await openTestRelay(database, { smtpPort: server.port });
  await second.relay.runOnce();
  expect((await describeMessage(database, id)).state).toBe("sent");
  const messageIds = server.mails.map(({ content }) => /^Message-ID: (.*)$/im.exec(content)?.[1]);
  expect(messageIds).toHaveLength(2);
  expect(new Set(messageIds).size).toBe(1);
});

test("a recipient whose outcome is uncertain is not sent to again before five minutes because another was deferred for one", async () => {
  await using server = await startScriptedServer({
    on: {
      rcpt: (address) => address === "bob@example.com" ? "450 4.2.0 later" : undefined,
      content: () => ({ acceptAndClose: true }),
    },
  });
  await using database = await createDatabase();
  const id = await enqueue(database, { to: ["ann@example.com", "bob@example.com"] });
  await using running = await openTestRelay(database, { smtpPort: server.port });
  await running.relay.runOnce();
  const { attempts, nextAttemptAt } = await describeMessage(database, id);
  expect(attempts.map(({ address, outcome }) => [address, outcome])).toEqual([
    ["ann@example.com", "uncertain"],
    ["bob@example.com", "deferred"],
  ]);
  expect(Date.parse(nextAttemptAt as string)).toBeGreaterThan(Date.now() + 4.9 * 60_000);
});

test("retry, cancel and reschedule against a message that is being sent change nothing and say too_late", async () => {
  await using server = await startHeldServer();
  await using database = await createDatabase();
  const id = await enqueue(database);
  await using running = await openTestRelay(database, { smtpPort: server.port });
  running.relay.start();
  await server.reached;
  expect((await describeMessage(database, id)).state).toBe("sending");
  const [answers] = await database.sql`
    select mailchute.cancel_v1(${id}) as cancel, mailchute.reschedule_v1(${id}, now() + interval '1 day') as reschedule,
      mailchute.retry_message((select seq from mailchute.message where id = ${id}), true) as retry`;
  expect({ ...answers }).toEqual({ cancel: "too_late", reschedule: "too_late", retry: "too_late" });
  server.release();
  await until(async () => (await describeMessage(database, id)).state === "sent", "sent");
  expect(server.mails).toHaveLength(1);
  const [after] = await database.sql`select mailchute.cancel_v1(${id}) as cancel`;
  expect(after?.cancel).toBe("too_late");
});

test("a scheduled mail waits for its time, is woken by a timer, and carries that time as its Date", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  await using running = await openTestRelay(database, { smtpPort: server.port });
  running.relay.start();
  const due = new Date(Date.now() + 1_500);
  const id = await enqueue(database, { scheduledAt: due.toISOString() });
  expect((await describeMessage(database, id)).state).toBe("scheduled");
  await server.whenMails(1);
  const lateMs = Date.now() - due.getTime();
  expect(lateMs).toBeGreaterThanOrEqual(0);
  expect(lateMs).toBeLessThan(1_000);
  const date = /^Date: (.*)$/m.exec(server.mails[0]?.content ?? "")?.[1] as string;
  expect(Math.abs(Date.parse(date) - due.getTime())).toBeLessThan(1_000);
});

test("a canceled mail and a suppressed recipient never reach the server", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  await database.sql`insert into mailchute.suppression (address, reason) values ('gone@example.com', 'bounce')`;
  const canceled = await enqueue(database);
  const partly = await enqueue(database, { to: ["Gone@Example.com", "ann@example.com"] });
  const nobody = await enqueue(database, { to: "gone@example.com" });
  await database.sql`select mailchute.cancel_v1(${canceled})`;
  await using running = await openTestRelay(database, { smtpPort: server.port });
  await running.relay.runOnce();
  expect(server.mails.map(({ recipients }) => recipients)).toEqual([["ann@example.com"]]);
  expect((await describeMessage(database, canceled)).state).toBe("canceled");
  expect((await describeMessage(database, nobody)).state).toBe("suppressed");
  expect((await describeMessage(database, partly)).recipients.map(({ state }) => state)).toEqual([
    "suppressed",
    "sent",
  ]);
});

test("Bcc recipients are in the envelope and nowhere in the content", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  await enqueue(database, { cc: "carl@example.com", bcc: "secret@example.com" });
  await using running = await openTestRelay(database, { smtpPort: server.port });
  await running.relay.runOnce();
  expect(server.mails[0]?.recipients).toEqual(["ann@example.com", "carl@example.com", "secret@example.com"]);
  expect(server.mails[0]?.content).not.toContain("secret");
});

test("rows that another writer made with an injected header or address end as failed or bounced, and nothing of them is written", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  const subject = await enqueue(database);
  const address = await enqueue(database);
  await database.sql`update mailchute.content set subject = ${"Hi\r\nBcc: evil@example.com"}
    where id = (select content_id from mailchute.message where id = ${subject})`;
  await database
    .sql`update mailchute.recipient set email = ${"b@x>\r\nRCPT TO:<evil@y"} where seq = (select seq from mailchute.message where id = ${address})`;
  await using running = await openTestRelay(database, { smtpPort: server.port });
  await running.relay.runOnce();
  expect((await describeMessage(database, subject)).state).toBe("failed");
  expect(["failed", "bounced"]).toContain((await describeMessage(database, address)).state);
  expect(server.mails).toHaveLength(0);
  expect(server.transcripts.map(({ client }) => client).join("")).not.toContain("evil");
});
