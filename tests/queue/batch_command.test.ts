import { expect, test } from "bun:test";
import { createMailer } from "../../mod.ts";
import { enqueueBatch } from "../batch.ts";
import { createDatabase } from "../database.ts";
import { openTestRelay, until } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";
import { on, run } from "../command.ts";
import { complaintOf, receiptOf } from "./report.ts";

test("batch lists bulk sends, and tells of one how far it is and how long it takes yet", async () => {
  await using server = await startScriptedServer({
    on: { rcpt: (address) => address.startsWith("reader1@") ? "550 5.1.1 no such user" : undefined },
  });
  await using database = await createDatabase();
  const empty = await run(["batch"], on(database));
  expect(empty).toEqual({ code: 0, stdout: "", stderr: "No batch has been sent.\n" });
  await enqueueBatch(database, { name: "news/1", readers: 3 });
  await using running = await openTestRelay(database, { smtpPort: server.port });
  await running.relay.runOnce();
  const scheduledAt = new Date(Date.now() + 3_600_000).toISOString();
  const id = await enqueueBatch(database, { name: "news/2", readers: 4, mail: { scheduledAt } });
  await enqueueBatch(database, { name: "news/1", readers: 4 });

  const list = await run(["batch"], on(database));
  expect(list.stdout).toMatch(
    /^batch +app +created +done +messages\nnews\/2 .* 0 % +4 scheduled\nnews\/1 .* 75 % +1 bounced, 1 queued, 2 sent\n$/,
  );
  const one = await run(["batch", "news/1"], on(database));
  expect(one.stdout).toContain(
    "75 % of 4: 1 bounced, 1 queued, 2 sent\n  3 ended within the last minute, about 20 seconds left",
  );
  // A bar is for terminals.
  expect(one.stdout).not.toContain("[#");
  expect(JSON.parse((await run(["batch", id, "--json"], on(database))).stdout)).toMatchObject({
    ...{ id, name: "news/2", total: 4, done: 0, states: { scheduled: 4 }, lastMinute: 0 },
  });
  expect(await run(["batch", "news/3"], on(database))).toMatchObject({ code: 1, stdout: "" });
}, 60_000);

test("a batch tells of how many of its messages reports have come back, to the command and to its app", async () => {
  await using database = await createDatabase();
  const mail = createMailer(database.sql, { from: "shop@shop.example" });
  const readers = ["ann", "bob", "carl"].map((name) => ({ to: `${name}@example.com` }));
  for (const batch of ["news/1", "other"]) await mail.sendMany({ subject: "News", text: "!" }, readers, { batch });
  await database.sql`update mailchute.recipient set state = 'sent'`;
  expect((await run(["batch", "news/1"], on(database))).stdout).not.toContain("reported");
  for (
    const { id, email, number } of await database.sql`
    select m.id, r.email, row_number() over (order by m.seq) as number
    from mailchute.message m join mailchute.recipient r using (seq)
    where m.batch = (select min(seq) from mailchute.batch)`
  ) {
    await run(["bounce"], on(database), receiptOf(id, email));
    if (number === "1") await run(["bounce"], on(database), complaintOf(id));
  }
  const { stdout } = await run(["batch", "news/1"], on(database));
  expect(stdout).toContain("\n  reported since: 1 complained, 3 opened\n");
  const events = { complained: 1, opened: 3 };
  expect(JSON.parse((await run(["batch", "news/1", "--json"], on(database))).stdout)).toMatchObject({ events });
  expect(await mail.get({ batch: "news/1" })).toMatchObject({ total: 3, events });
  expect(await mail.get({ batch: "other" })).toMatchObject({ events: {} });
});

test("a batch that has just begun, or was just resumed, is told how long it takes by the pace that it has, and not by a whole minute", async () => {
  await using database = await createDatabase();
  await enqueueBatch(database, { readers: 1_020 });
  await database
    .sql`update mailchute.recipient set state = 'sent', changed_at = now() - interval '5 seconds' where seq <= 20`;
  await database.sql`delete from mailchute.queue where seq <= 20`;
  const { secondsLeft, lastMinute } = JSON.parse((await run(["batch", "news/1", "--json"], on(database))).stdout);
  expect(lastMinute).toBe(20);
  // 20 in 5 seconds; the command takes a moment itself.
  expect(secondsLeft).toBeGreaterThanOrEqual(250);
  expect(secondsLeft).toBeLessThan(1_500);
});

test("batch pauses, resumes and cancels one, by its name", async () => {
  await using database = await createDatabase();
  const id = await enqueueBatch(database);
  await enqueueBatch(database, { name: "other" });
  const paused = await run(["batch", "news/1", "--pause", "--reason", "a wrong link"], on(database));
  expect(paused).toEqual({ code: 0, stdout: "", stderr: "batch news/1: paused\n" });
  const [row] = await database.sql`select key, reason from mailchute.pause`;
  expect({ ...row }).toEqual({ key: `batch=${id}`, reason: "a wrong link" });
  expect((await run(["batch", "news/1"], on(database))).stdout).toMatch(/paused since .* by postgres: a wrong link/);
  expect((await run(["batch"], on(database))).stdout).toContain("2 queued (paused)");
  expect(await run(["batch", "news/1", "--resume"], on(database))).toMatchObject({
    code: 0,
    stderr: "batch news/1: resumed\n",
  });
  expect((await run(["batch", "news/1", "--resume"], on(database))).code).toBe(1);
  const asked = await run(["batch", "news/1", "--cancel"], on(database));
  expect({ code: asked.code, stderr: asked.stderr.includes("2 messages") }).toEqual({ code: 1, stderr: true });
  await run(["batch", "news/1", "--pause"], on(database));
  const canceled = await run(["batch", "news/1", "--cancel", "--yes"], on(database));
  expect(canceled).toMatchObject({ code: 0, stderr: expect.stringContaining("It stays paused") });
  expect((await run(["batch"], on(database))).stdout).toMatch(
    /other .* 2 queued\nnews\/1 .* 100 % +2 canceled \(paused\)\n/,
  );
}, 60_000);

test("a name that two apps have needs --app", async () => {
  await using database = await createDatabase();
  await enqueueBatch(database);
  await database.sql`update mailchute.batch set app = 'shop'`;
  await enqueueBatch(database);
  const both = await run(["batch", "news/1"], on(database));
  expect({ code: both.code, stderr: both.stderr }).toEqual({
    code: 2,
    stderr: "mailchute: 2 batches are called news/1: add --app, one of postgres, shop\n",
  });
  expect((await run(["batch", "news/1", "--app", "shop"], on(database))).stdout).toContain("app shop");
});

test(
  "a test mail of a batch arrives merged, also while the batch is paused, and counts as none of its messages",
  async () => {
    await using server = await startScriptedServer();
    await using database = await createDatabase();
    await enqueueBatch(database, {
      ...{ readers: 1, variables: { name: "Reader" } },
      mail: { subject: "News for {{name}}", text: "Dear {{name}}", replyTo: [{ email: "help@example.com" }] },
    });
    await run(["batch", "news/1", "--pause"], on(database));
    const test = (...words: readonly string[]) =>
      run(["batch", "news/1", "--test", "ann@example.com", ...words], on(database));
    const missing = await test();
    expect({ code: missing.code, stderr: missing.stderr }).toEqual({
      code: 2,
      stderr: "mailchute: The mail has {{name}}: add --var name=…\n",
    });
    expect((await test("--var", "name=Ann", "--var", "nick=A")).stderr).toContain(
      "--var nick: the mail has no {{nick}}, but name",
    );
    const sent = await test("--var", "name=Ann = Co");
    expect(sent.code).toBe(0);
    await using running = await openTestRelay(database, { smtpPort: server.port });
    await running.relay.runOnce();
    expect(server.mails.map(({ recipients }) => recipients)).toEqual([["ann@example.com"]]);
    expect(server.mails[0]?.content).toContain("Subject: News for Ann = Co\r\n");
    expect(server.mails[0]?.content).toContain("Reply-To: help@example.com\r\n");
    expect(server.mails[0]?.content).toContain(`Message-ID: <${sent.stdout.trim()}@`);
    expect((await run(["batch", "news/1"], on(database))).stdout).toContain("0 % of 1: 1 queued");
  },
  60_000,
);

test("a relay pauses a batch by itself when too many are refused, says so, and nobody else waits", async () => {
  await using server = await startScriptedServer({
    on: { rcpt: (address) => /^reader\d*[05]@/.test(address) ? "550 5.1.1 no such user" : undefined },
  });
  await using database = await createDatabase();
  const id = await enqueueBatch(database, { readers: 2_000 });
  await using running = await openTestRelay(database, { smtpPort: server.port, batchFailures: 0.1, connections: 2 });
  running.relay.start();
  await until(
    async () =>
      (await database.sql`select from mailchute.queue where leased_by is not null or throttle is null`).length === 0,
    "the rest is parked",
  );
  const [row] = await database.sql`select key, reason from mailchute.pause`;
  expect(row?.key).toBe(`batch=${id}`);
  expect(row?.reason).toMatch(
    /^[12]\d(\.\d)? % of its last 1\d\d recipients were refused for good; RELAY_BATCH_FAILURES is 10%$/,
  );
  expect(running.lines.some((line) => line.includes('"msg":"batch paused"'))).toBe(true);
  const [{ waiting } = {}] = await database.sql`select count(*)::int as waiting from mailchute.queue`;
  expect(waiting).toBeGreaterThan(500);
  const before = server.mails.length;
  await enqueueBatch(database, { name: "other", readers: 1 });
  await server.whenMails(before + 1);
}, 60_000);
