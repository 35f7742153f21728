import { afterAll, expect, test } from "bun:test";
import { beginPause } from "../../relay/limits/pause_table.ts";
import { enqueueBatch } from "../batch.ts";
import type { TestDatabase } from "../database.ts";
import { on, run } from "../command.ts";
import { endLeases } from "../queue/setup.ts";
import { describeMessage, enqueue, enqueueMany, makeDue, openTestRelay, until } from "../relay.ts";
import { TEST_AUTHORITY } from "../scripted_server.ts";
import { setup, startWorker, stopWorker } from "./setup.ts";

afterAll(stopWorker);

/** The rows of the queue, oldest first. */
async function rows(database: TestDatabase): Promise<readonly Readonly<Record<string, unknown>>[]> {
  return await database.sql`
    select attempts, intent, leased_by is not null as leased, due <= now() as "isDue", throttle from mailchute.queue order by seq`;
}

/** Resolves when the end of the newest message's lease has moved. */
async function untilRenewed(database: TestDatabase): Promise<void> {
  const due = async () => (await database.sql`select due::text from mailchute.queue order by seq desc limit 1`)[0]?.due;
  const before = await due();
  await until(async () => await due() !== before, "the lease is renewed");
}

test("a mail goes from the queue through workerd to the server, and is settled", async () => {
  await using s = await setup();
  const id = await enqueue(s.database, { subject: "Hello", text: "Hello" });
  expect(await s.drain()).toMatchObject({ claimed: 1, sent: 1, end: "empty" });
  expect(s.server.mails).toHaveLength(1);
  expect(await describeMessage(s.database, id)).toMatchObject({
    state: "sent",
    attempts: [{ number: 1, outcome: "sent", phase: "final", code: 250, route: "worker" }],
  });
});

test("a cron trigger drains, by the settings that it makes of its bindings", async () => {
  await using s = await setup();
  await enqueue(s.database);
  await using worker = await startWorker({
    settings: { database: s.database.url, smtp: `smtp://127.0.0.1:${s.server.port}` },
  });
  expect(await worker.fire()).toBe("ok");
  expect(s.server.mails).toHaveLength(1);
});

test("the example drains through Hyperdrive", async () => {
  await using s = await setup();
  await enqueue(s.database);
  await using worker = await startWorker({
    entry: "../../examples/cron_worker.ts",
    bindings: { SMTP_URL: `smtp://127.0.0.1:${s.server.port}` },
    hyperdrives: { HYPERDRIVE: s.database.url },
  });
  expect(await worker.fire()).toBe("ok");
  expect(s.server.mails).toHaveLength(1);
  const [place] = await s.database.sql`select addresses from mailchute.place`;
  expect(place?.addresses).toEqual(["db.example.com:5432/shop"]);
});

test("a cron trigger fails where nothing could be done, so that Cloudflare shows it", async () => {
  await using s = await setup();
  await s.database.sql`update mailchute.schema_info set version = 1`;
  await using worker = await startWorker({
    settings: { database: s.database.url, smtp: `smtp://127.0.0.1:${s.server.port}` },
  });
  expect(await worker.fire()).toBe("exception");
});

test("many mails go over few connections, batch after batch", async () => {
  await using s = await setup();
  await enqueueMany(s.database, 25);
  const smtp = `smtp://127.0.0.1:${s.server.port}?mails-per-connection=10`;
  expect(await s.drain({ smtp, batch: 4 })).toMatchObject({ claimed: 25, sent: 25, end: "empty" });
  expect(s.server.transcripts).toHaveLength(3);
});

for (const [tls, scheme] of [["implicit", "smtps"], ["starttls", "smtp"]] as const) {
  test(`mails go over ${tls} TLS, and none to a server whose certificate is for another`, async () => {
    await using s = await setup({ tls });
    await enqueue(s.database);
    expect(await s.drain({ smtp: `${scheme}://127.0.0.1:${s.server.port}` })).toMatchObject({ sent: 1 });
    expect(s.server.mails[0]?.isTls).toBe(true);
    await using other = await setup({ tls, certificate: TEST_AUTHORITY.issue(["other.example"]) });
    const id = await enqueue(s.database);
    await s.drain({ smtp: `${scheme}://127.0.0.1:${other.server.port}` });
    expect(other.server.transcripts.map(({ client }) => client).join("")).not.toContain("MAIL");
    expect(await describeMessage(s.database, id)).toMatchObject({ state: "queued", attempts: [] });
  });
}

test("bytes that follow the reply to STARTTLS end the connection before TLS", async () => {
  await using s = await setup({ tls: "starttls", on: { starttls: () => ({ raw: "220 go\r\n250 AUTH PLAIN\r\n" }) } });
  await enqueue(s.database);
  expect(await s.drain()).toMatchObject({ end: "route", reason: expect.stringContaining("tampering") });
});

test("after its time nothing is begun, and what was claimed is given back as if it had not been", async () => {
  await using s = await setup({
    on: { content: () => new Promise((resolve) => setTimeout(() => resolve(undefined), 300)) },
  });
  await enqueueMany(s.database, 5);
  expect(await s.drain({ deadlineMs: 200 })).toMatchObject({ claimed: 5, sent: 1, end: "deadline" });
  const row = { attempts: 0, intent: false, leased: false, isDue: true };
  expect(await rows(s.database)).toMatchObject([row, row, row, row]);
});

test("a run ends after as many messages as it may have, and the next one goes on", async () => {
  await using s = await setup();
  await enqueueMany(s.database, 12);
  expect(await s.drain({ batch: 4, maxMessages: 7 })).toMatchObject({ claimed: 7, sent: 7, end: "enough" });
  expect(await s.drain({ batch: 4, maxMessages: 7 })).toMatchObject({ claimed: 5, sent: 5, end: "empty" });
});

test("a server that is out costs no attempt, and ends the run", async () => {
  await using s = await setup();
  await s.server.close();
  await enqueueMany(s.database, 5);
  expect(await s.drain()).toMatchObject({ claimed: 5, sent: 0, deferred: 0, end: "route" });
  expect(await rows(s.database)).toMatchObject(new Array(5).fill({ attempts: 0, intent: false, leased: false }));
});

test("before the first command of a mail the database says that it may be sent", async () => {
  const gate = Promise.withResolvers<undefined>();
  await using s = await setup({ on: { mail: () => gate.promise } });
  await enqueue(s.database);
  const drained = s.drain();
  await s.server.whenSaid("MAIL FROM");
  expect(await rows(s.database)).toMatchObject([{ intent: true, leased: true }]);
  gate.resolve(undefined);
  expect(await drained).toMatchObject({ sent: 1 });
});

for (const [onUncertain, state] of [["hold", "held"], ["retry", "deferred"]] as const) {
  test(`a Worker that is lost behind the final dot leaves a mail that is uncertain, and ${onUncertain} decides`, async () => {
    await using s = await setup({ on: { content: () => ({ acceptAndHang: true }) } });
    const begun = await enqueue(s.database, { onUncertain, to: "begun@example.com" });
    const other = await enqueue(s.database, { onUncertain: "hold", to: "other@example.com" });
    await using lost = await startWorker();
    const body = JSON.stringify({ database: s.database.url, smtp: `smtp://127.0.0.1:${s.server.port}` });
    void lost.runtime.dispatchFetch("http://worker/", { method: "POST", body }).catch(() => undefined);
    await s.server.whenMails(1);
    await lost[Symbol.asyncDispose]();
    await endLeases(s.database);

    await using next = await setup();
    const report = await s.drain({ smtp: `smtp://127.0.0.1:${next.server.port}` });
    expect(report).toMatchObject({ claimed: 2, uncertain: 1, sent: 1 });
    expect(next.server.mails.map(({ recipients }) => recipients)).toEqual([["other@example.com"]]);
    expect(await describeMessage(s.database, begun)).toMatchObject({
      state,
      attempts: [{ number: 1, outcome: "uncertain" }],
    });
    expect(await describeMessage(s.database, other)).toMatchObject({ state: "sent", attempts: [{ number: 1 }] });
  });
}

test("what another relay has taken over meanwhile is not settled", async () => {
  const gate = Promise.withResolvers<undefined>();
  await using s = await setup({ on: { content: () => gate.promise } });
  const id = await enqueue(s.database);
  const drained = s.drain();
  await s.server.whenSaid("\r\n.\r\n");
  await s.database.sql`update mailchute.queue set lease = lease + 1, leased_by = leased_by + 1000`;
  gate.resolve(undefined);
  await drained;
  expect(s.worker.lines.join("")).toContain("settled too late");
  expect(await describeMessage(s.database, id)).toMatchObject({ state: "sending", attempts: [] });
});

test("a mail whose lease is lost is not brought to its final dot", async () => {
  const gate = Promise.withResolvers<undefined>();
  await using s = await setup({ on: { data: () => gate.promise } });
  await enqueueMany(s.database, 2);
  const drained = s.drain({ leaseMs: 8_000 });
  await s.server.whenSaid("DATA");
  await s.database
    .sql`update mailchute.queue set lease = lease + 1, leased_by = leased_by + 1000 where seq = (select min(seq) from mailchute.queue)`;
  // The renewal of the other one finds out too. The next one begins when its answer has been read.
  await untilRenewed(s.database);
  await untilRenewed(s.database);
  gate.resolve(undefined);
  await drained;
  expect(s.server.transcripts[0]?.client).toEndWith("DATA\r\n");
  expect(s.server.mails.map(({ recipients }) => recipients)).toEqual([["u2@example.com"]]);
}, 60_000);

test("leases are renewed while a mail is under way", async () => {
  const gate = Promise.withResolvers<undefined>();
  await using s = await setup({ on: { content: () => gate.promise } });
  await enqueue(s.database);
  const drained = s.drain({ leaseMs: 8_000 });
  await s.server.whenSaid("\r\n.\r\n");
  await untilRenewed(s.database);
  gate.resolve(undefined);
  expect(await drained).toMatchObject({ sent: 1 });
});

test(
  "a mail whose outcome the database does not take ends the run within a lease, though that is renewed",
  async () => {
    await using s = await setup();
    const id = await enqueue(s.database);
    await s.database.sql.unsafe(
      "create function refuse() returns trigger language plpgsql as 'begin raise exception ''no room for an attempt''; end'",
    );
    await s.database.sql.unsafe(
      "create trigger refuse before insert on mailchute.attempt for each row execute function refuse()",
    );
    expect(await s.drainError({ leaseMs: 8_000 })).toContain("no room for an attempt");
    // Whoever takes it over says that it is uncertain.
    expect(await describeMessage(s.database, id)).toMatchObject({ state: "sending", attempts: [] });
    expect(s.server.mails).toHaveLength(1);
  },
  30_000,
);

test("what is paused waits, and is sent when a run finds the pause ended", async () => {
  await using s = await setup();
  const id = await enqueue(s.database, { stream: "bulk" });
  await enqueue(s.database, { to: ["ann@example.com", "bob@example.net"] });
  await s.database.sql`insert into mailchute.pause (key) values ('stream=bulk'), ('domain=example.net')`;
  expect(await s.drain()).toMatchObject({ sent: 1, end: "empty" });
  expect(await describeMessage(s.database, id)).toMatchObject({ recipients: [{ reason: "Paused: stream=bulk" }] });
  expect(await s.drain()).toMatchObject({ claimed: 0 });
  await s.database.sql`delete from mailchute.pause`;
  expect(await s.drain()).toMatchObject({ sent: 2 });
});

test("nothing is claimed while all is paused", async () => {
  await using s = await setup();
  await enqueue(s.database);
  await s.database.sql`insert into mailchute.pause (key) values ('all')`;
  expect(await s.drain()).toMatchObject({ claimed: 0, end: "paused" });
});

test("a mail is tried again after the waits of its stream", async () => {
  await using s = await setup({ on: { rcpt: () => "450 4.2.0 Try again later" } });
  await enqueue(s.database, { stream: "otp" });
  await enqueue(s.database);
  expect(await s.drain()).toMatchObject({ claimed: 2, deferred: 2 });
  const waits = await s.database.sql`
    select extract(epoch from q.due - a.at)::float8 as wait from mailchute.queue q join mailchute.attempt a on a.seq = q.seq order by q.seq`;
  const [code, plain] = waits.map(({ wait }) => wait as number);
  // 5 and 60 seconds, a fifth more or less.
  expect({ code, isQuick: code !== undefined && code >= 3.9 && code <= 6.1 }).toMatchObject({ isQuick: true });
  expect({ plain, isUsual: plain !== undefined && plain >= 47 && plain <= 73 }).toMatchObject({ isUsual: true });
});

test("a mail that is too old is not sent, and one that asks for a person is held", async () => {
  await using s = await setup({ on: { content: () => ({ acceptAndClose: true }) } });
  const old = await enqueue(s.database);
  await s.database.sql`update mailchute.message set expires_at = now() - interval '1 second'`;
  const held = await enqueue(s.database, { onUncertain: "hold" });
  expect(await s.drain()).toMatchObject({ uncertain: 1 });
  expect(await describeMessage(s.database, old)).toMatchObject({ state: "expired", attempts: [] });
  expect(await describeMessage(s.database, held)).toMatchObject({ state: "held" });
});

test("a mail that is too large for a Worker goes by a relay, and holds up no other", async () => {
  await using s = await setup();
  const base64 = Buffer.alloc(60_000).toString("base64");
  const large = await enqueue(s.database, {
    attachments: [{ filename: "a.bin", contentType: "application/octet-stream", base64 }],
  });
  await enqueue(s.database);
  expect(await s.drain({ maxBytes: 50_000, batch: 1 })).toMatchObject({ sent: 1, leftToRelay: 1, end: "empty" });
  expect(await describeMessage(s.database, large)).toMatchObject({
    state: "queued",
    recipients: [{ reason: "Left to a relay: it has more than 50000 bytes" }],
  });
  await using running = await openTestRelay(s.database, { smtpPort: s.server.port });
  await running.relay.runOnce();
  expect(await describeMessage(s.database, large)).toMatchObject({ state: "sent" });
});

test("what the routes give to a relay is left to one, and the other recipients have their mail", async () => {
  await using s = await setup();
  const id = await enqueue(s.database, { to: ["ann@example.com", "bob@sub.corp.example"] });
  expect(await s.drain({ routes: "to:*.corp.example=relay, *=worker" })).toMatchObject({ sent: 1, leftToRelay: 1 });
  expect(await describeMessage(s.database, id)).toMatchObject({
    recipients: [{ state: "sent" }, { state: "queued", reason: "Left to a relay: its route is a relay's" }],
  });
  await using running = await openTestRelay(s.database, { smtpPort: s.server.port });
  await running.relay.runOnce();
  expect(s.server.mails.map(({ recipients }) => recipients[0])).toEqual(["ann@example.com", "bob@sub.corp.example"]);
});

test("a mail that waits for a limit of a relay goes on waiting for it", async () => {
  await using s = await setup();
  await enqueue(s.database);
  await s.database.sql`update mailchute.queue set throttle = 'all=1/h'`;
  expect(await s.drain()).toMatchObject({ claimed: 1, sent: 0 });
  expect(await rows(s.database)).toMatchObject([{ throttle: "all=1/h", isDue: false, leased: false, attempts: 0 }]);
});

test("nothing is sent from a copy of the database", async () => {
  await using s = await setup();
  expect(await s.drain()).toMatchObject({ end: "empty" });
  await s.database.sql`
    update mailchute.place set addresses = array['elsewhere.example:5432/shop'], server_started_at = '2000-01-01'`;
  await enqueue(s.database);
  expect(await s.drain()).toMatchObject({
    claimed: 0,
    end: "copy",
    reason: expect.stringContaining("elsewhere.example"),
  });
  // The same database, by the name that it knows.
  expect(await s.drain({ address: "elsewhere.example:5432/shop" })).toMatchObject({ sent: 1 });
});

test("a schema that does not fit is one sentence with the fix", async () => {
  await using s = await setup();
  await s.database.sql`update mailchute.schema_info set version = 1`;
  expect(await s.drainError()).toContain("run mailchute migrate as the owner of the database");
  await s.database.sql`update mailchute.schema_info set oldest_program = '99.0.0'`;
  expect(await s.drainError()).toContain("needs mailchute 99.0.0 or later");
});

test("a database that is not there is an error, without its password", async () => {
  await using s = await setup();
  expect(await s.drainError({ database: "postgres://ann:secret@127.0.0.1:9/shop" })).not.toContain("secret");
});

test("status shows a Worker between its runs, which leave one row", async () => {
  await using s = await setup();
  for (let index = 0; index < 3; index++) await s.drain({ name: "shop" });
  const [count] = await s.database.sql`select count(*)::int as relays from mailchute.relay`;
  expect(count).toEqual({ relays: 1 });
  const { stdout } = await run(["status"], on(s.database));
  expect(stdout).toMatch(/rests +worker shop/);
  await s.database.sql`update mailchute.relay set heartbeat_at = now() - interval '1 second'`;
  expect((await run(["status"], on(s.database))).stdout).not.toContain("worker shop");
});

test("a mail that was in flight at three crashes is on record as alone while it is sent", async () => {
  const gate = Promise.withResolvers<undefined>();
  await using s = await setup({ on: { mail: () => gate.promise } });
  await enqueue(s.database);
  await s.database.sql`update mailchute.queue set crashes = 3`;
  const drained = s.drain();
  await s.server.whenSaid("MAIL FROM");
  expect((await s.database.sql`select alone from mailchute.queue`)[0]).toEqual({ alone: true });
  gate.resolve(undefined);
  expect(await drained).toMatchObject({ sent: 1 });
  await makeDue(s.database);
  expect(await rows(s.database)).toEqual([]);
});

test("who came onto the suppression list meanwhile gets nothing, and a batch that is paused waits", async () => {
  await using s = await setup();
  const both = await enqueue(s.database, { to: ["ann@example.com", "bob@example.com"] });
  const alone = await enqueue(s.database, { to: "ann@example.com" });
  await s.database.sql`insert into mailchute.suppression (address, reason) values ('ann@example.com', 'complaint')`;
  const batch = await enqueueBatch(s.database, { readers: 1 });
  await beginPause(s.database.sql, { key: `batch=${batch}`, reason: undefined });
  expect(await s.drain()).toMatchObject({ claimed: 3, sent: 1, end: "empty" });
  expect(s.server.mails.map(({ recipients }) => recipients)).toEqual([["bob@example.com"]]);
  expect((await describeMessage(s.database, both)).recipients.map(({ state }) => state)).toEqual([
    "suppressed",
    "sent",
  ]);
  expect(await describeMessage(s.database, alone)).toMatchObject({ state: "suppressed", attempts: [] });
  expect(await rows(s.database)).toMatchObject([{ throttle: `paused:batch=${batch}`, leased: false }]);
});
