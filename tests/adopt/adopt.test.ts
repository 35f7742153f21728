import { expect, test } from "bun:test";
import PostalMime from "postal-mime";
import { createDatabase, type TestDatabase } from "../database.ts";
import { on, run } from "../command.ts";
import { type RelayProcess, startRelayProcess } from "../relay_process.ts";
import { enqueueMany, makeDue, openTestRelay, until } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";
import { migrateApp, rowsOf, sendByOldRelay, sendMail } from "./django_app.ts";

const QUICK = ["adopt", "django-email-relay", "--watch", "100ms"];

function startAdopt(database: TestDatabase, ...more: readonly string[]): RelayProcess {
  return startRelayProcess([...QUICK, ...more], on(database));
}

/** Ends it as a supervisor would. @returns its exit code */
async function stop(adopt: RelayProcess): Promise<number> {
  adopt.kill("SIGTERM");
  return await adopt.exited;
}

async function hasStatuses(database: TestDatabase, statuses: readonly number[]): Promise<boolean> {
  return JSON.stringify((await rowsOf(database)).map(({ status }) => status)) === JSON.stringify(statuses);
}

test("the mails of Django apps arrive as they meant them, and their rows say what became of them", async () => {
  await using server = await startScriptedServer({
    on: { rcpt: (address) => address === "gone@example.com" ? "550 5.1.1 no such user" : undefined },
  });
  await using database = await createDatabase();
  await migrateApp(database);
  const gone = { subject: "Gone", body: "x", from_email: "shop@example.com", to: ["gone@example.com"] };
  await sendMail(
    database,
    "plain",
    "all",
    "from header",
    "invite",
    gone,
    "raw json",
    "message id",
    "amp",
    "nobody",
    {},
  );
  await using running = await openTestRelay(database, { smtpPort: server.port });
  running.relay.start();
  const adopt = startAdopt(database, "--once");
  expect({ code: await adopt.exited, output: adopt.output() }).toMatchObject({ code: 0 });

  const rows = await rowsOf(database);
  expect(rows.map(({ status }) => status)).toEqual([4, 4, 4, 4, 3, 3, 3, 3, 3, 3]);
  expect(rows.every(({ retry_count }) => retry_count === 0)).toBe(true);
  expect(rows.map(({ sent_at }) => sent_at !== null)).toEqual([...Array(4).fill(true), ...Array(6).fill(false)]);
  expect(rows.slice(0, 4).map(({ log }) => log)).toEqual(["", "", "", ""]);
  expect(rows[4]?.log).toBe("bounced: gone@example.com: 550 5.1.1 no such user");
  expect(rows[5]?.log).toBe('Its attachment 1, "a.json", of type application/json, is not base64');
  expect(rows[6]?.log).toContain("is a header that mailchute writes itself: Message-ID");
  expect(rows[7]?.log).toContain("text/x-amp-html");
  expect(rows[8]?.log).toBe("It has no recipients");
  expect(rows[9]?.log).toBe("The row has no email object");

  const mails = new Map(
    await Promise.all(server.mails.map(async (mail) => {
      const parsed = await PostalMime.parse(mail.content);
      return [parsed.subject, { ...mail, parsed }] as const;
    })),
  );
  expect([...mails.keys()].sort()).toEqual(["All of it", "Envelope", "Grüße", "Invite"]);
  const plain = mails.get("Grüße");
  expect(plain?.recipients).toEqual(["ann@example.com"]);
  expect(plain?.parsed.text?.trim()).toBe("Hallo Ann,\nalles gut?");
  expect(plain?.parsed.to).toEqual([{ name: "Ann", address: "ann@example.com" }]);

  const all = mails.get("All of it");
  expect(all?.recipients).toEqual(["ann@example.com", "bob@example.net", "carl@example.org", "eve@example.org"]);
  expect(all?.content).not.toContain("eve@");
  const { parsed } = all ?? {};
  expect(parsed?.text?.trim()).toBe("The text");
  expect(parsed?.html?.trim()).toBe("<p>The <b>HTML</b></p>");
  expect(parsed?.cc?.map(({ address }) => address)).toEqual(["carl@example.org"]);
  expect(parsed?.replyTo?.map(({ address }) => address)).toEqual(["help@example.com", "two@example.com"]);
  const header = (name: string) => parsed?.headers.find(({ key }) => key === name)?.value;
  expect(header("x-shop")).toBe("7");
  expect(header("list-unsubscribe")).toBe("<https://example.com/u/7>");
  expect(header("list-unsubscribe-post")).toBe("List-Unsubscribe=One-Click");
  const files = new Map(
    parsed?.attachments.map(({ filename, content, mimeType }) => [filename, { content, mimeType }]),
  );
  const bytes = (name: string) => new Uint8Array(files.get(name)?.content as ArrayBuffer);
  // Text is taken as it is, also when it looks like base64.
  expect(new TextDecoder().decode(bytes("report.csv"))).toBe("SGVsbG8=");
  expect(new TextDecoder().decode(bytes("notes.txt"))).toBe("zwölf Boxkämpfer\n");
  expect([...bytes("data.bin")]).toEqual(Array.from({ length: 256 }, (_, index) => index));
  expect(bytes("dot.png").length).toBe(16);
  expect(files.get("dot.png")?.mimeType).toBe("image/png");

  const envelope = mails.get("Envelope");
  expect(envelope?.reversePath).toBe("bounces@example.com");
  expect(envelope?.parsed.from).toEqual({ name: "Shop", address: "shop@example.com" });
  expect(envelope?.content).toContain("To: undisclosed-recipients:;");
  expect(mails.get("Invite")?.content).toContain("method=REQUEST");
}, 60_000);

test("a deferred mail is DEFERRED with its retries and the reply, and SENT when it went out", async () => {
  let isBusy = true;
  await using server = await startScriptedServer({ on: { rcpt: () => isBusy ? "451 4.3.0 busy" : undefined } });
  await using database = await createDatabase();
  await migrateApp(database);
  await sendMail(database, "plain");
  await using running = await openTestRelay(database, { smtpPort: server.port });
  running.relay.start();
  const adopt = startAdopt(database);
  await until(() => hasStatuses(database, [2]), "the row is DEFERRED");
  const [row] = await rowsOf(database);
  expect(row).toMatchObject({ retry_count: 1, log: "ann@example.com: 451 4.3.0 busy", sent_at: null });
  isBusy = false;
  await makeDue(database);
  await until(() => hasStatuses(database, [4]), "the row is SENT");
  expect((await rowsOf(database))[0]).toMatchObject({ retry_count: 1 });
  // The apps go on.
  await sendMail(database, "all");
  await until(() => hasStatuses(database, [4, 4]), "the new row is SENT");
  expect(await stop(adopt)).toBe(0);
  expect(server.mails).toHaveLength(2);
}, 60_000);

test("killed again and again in the middle, it sends every mail once", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  await migrateApp(database);
  const count = 400;
  await database.sql`insert into email_relay_message (data, priority, status, retry_count, log, created_at, updated_at)
    select jsonb_build_object('subject', 'Nr. ' || i, 'body', 'x', 'from_email', 'shop@example.com', 'to', jsonb_build_array('u' || i || '@example.com')),
      1, 1, 0, '', now(), now() from generate_series(1, ${count}) i`;
  await using running = await openTestRelay(database, { smtpPort: server.port });
  running.relay.start();
  for (const least of [1, 120, 260]) {
    const adopt = startAdopt(database);
    await until(async () => {
      const [row] = await database.sql`select count(*)::int as messages from mailchute.message`;
      return row?.messages >= least;
    }, `${least} rows are taken`);
    adopt.kill("SIGKILL");
    await adopt.exited;
  }
  const last = startAdopt(database, "--once");
  expect(await last.exited).toBe(0);
  expect((await rowsOf(database)).every(({ status }) => status === 4)).toBe(true);
  const reached = server.mails.flatMap(({ recipients }) => recipients);
  expect(reached).toHaveLength(count);
  expect(new Set(reached).size).toBe(count);
  const [left] = await database.sql`select count(*)::int as rows from mailchute.adopted`;
  expect(left?.rows).toBe(0);
}, 120_000);

test("while another relay works on the table it takes nothing, and says what to stop", async () => {
  await using database = await createDatabase();
  await migrateApp(database);
  const [first] = await sendMail(database, "plain", "all");
  await using adopt = startRelayProcess(["adopt", "django-email-relay", "--watch", "60s"], on(database));
  await adopt.printed('"msg":"watching"');
  await sendByOldRelay(database, first as number);
  expect(await adopt.exited).toBe(1);
  expect(adopt.output()).toContain("another relay works on it; stop it (runrelay");
  const [taken] = await database.sql`select count(*)::int as messages from mailchute.message`;
  expect(taken?.messages).toBe(0);
}, 60_000);

test(
  "a row that another relay sends while it is here ends the adoption, and its mail is not sent a second time",
  async () => {
    await using database = await createDatabase();
    await migrateApp(database);
    const [first] = await sendMail(database, "plain", "all");
    const adopt = startAdopt(database);
    await until(async () => (await database.sql`select from mailchute.adopted`).length === 2, "both rows are here");
    await sendByOldRelay(database, first as number);
    expect(await adopt.exited).toBe(1);
    expect(adopt.output()).toContain(`Row ${first} of public.email_relay_message was changed by somebody else`);
    const states = await database.sql`select state from mailchute.recipient`;
    expect(new Set(states.map(({ state }) => state))).toEqual(new Set(["canceled"]));
    expect(await hasStatuses(database, [4, 1])).toBe(true);
  },
  60_000,
);

test(
  "stopped, it gives back what was not begun, and holds back what the server may have until it runs again",
  async () => {
    const hung = Promise.withResolvers<void>();
    await using server = await startScriptedServer({
      on: { content: () => (hung.resolve(), { close: undefined }) },
    });
    await using database = await createDatabase();
    await migrateApp(database);
    await sendMail(database, "plain");
    const adopt = startAdopt(database);
    await using running = await openTestRelay(database, { smtpPort: server.port });
    running.relay.start();
    await hung.promise;
    await until(() => hasStatuses(database, [2]), "the row is DEFERRED");
    await running.relay.stop();
    await sendMail(database, "all");
    await until(async () => (await database.sql`select from mailchute.adopted`).length === 2, "both rows are here");
    expect(await stop(adopt)).toBe(0);
    const rows = await rowsOf(database);
    expect(rows.map(({ status }) => status)).toEqual([3, 1]);
    expect(rows[0]?.log).toContain("mailchute may have sent it");
    expect(await database.sql`select from mailchute.adopted`).toHaveLength(1);

    await using healthy = await startScriptedServer();
    await using again = await openTestRelay(database, { smtpPort: healthy.port });
    again.relay.start();
    const next = startAdopt(database);
    await until(async () => (await rowsOf(database))[1]?.status === 4, "the second row is SENT");
    await makeDue(database);
    await until(() => hasStatuses(database, [4, 4]), "both rows are SENT");
    expect(await stop(next)).toBe(0);
    expect(healthy.mails).toHaveLength(2);
  },
  60_000,
);

test("a row that is set to QUEUED again is sent again", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  await migrateApp(database);
  await sendMail(database, "plain");
  await using running = await openTestRelay(database, { smtpPort: server.port });
  running.relay.start();
  expect(await startAdopt(database, "--once").exited).toBe(0);
  await database.sql`update email_relay_message set status = 1`;
  expect(await startAdopt(database, "--once").exited).toBe(0);
  expect(server.mails).toHaveLength(2);
}, 60_000);

test("rows that wait for another try keep back no new one, however many they are", async () => {
  await using database = await createDatabase();
  await migrateApp(database);
  const count = 2_000;
  // As an attempt that was put off leaves them.
  await database.sql`insert into email_relay_message (data, priority, status, retry_count, log, created_at, updated_at)
    select '{}', 1, 2, 1, '451 4.3.0 busy', now(), now() from generate_series(1, ${count})`;
  await enqueueMany(database, count);
  await database.sql`update mailchute.queue set attempts = 1, due = now() + interval '1 hour'`;
  await database
    .sql`insert into mailchute.adopted (source, row_id, app, message_id, status, retry_count, updated_at, first_retries, attempts)
    select 'public.email_relay_message', t.id, m.app, m.id, t.status, t.retry_count, t.updated_at, 0, 1
    from email_relay_message t join mailchute.message m on m.seq = t.id`;
  await sendMail(database, "plain");
  const adopt = startAdopt(database);
  await until(
    async () => (await database.sql`select from mailchute.adopted where attempts = 0`).length === 1,
    "the new row is here",
  );
  adopt.kill("SIGKILL");
  await adopt.exited;
}, 60_000);

test("what cannot be adopted is said in one sentence", async () => {
  await using database = await createDatabase();
  const none = await run(["adopt", "django-email-relay"], on(database));
  expect(none).toMatchObject({ code: 1, stderr: expect.stringContaining("has no table email_relay_message") });
  expect(await run(["adopt"], on(database))).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("mailchute adopt django-email-relay"),
  });
  const watch = await run(["adopt", "django-email-relay", "--watch", "30"], on(database));
  expect(watch).toMatchObject({ code: 2, stderr: expect.stringContaining("--watch 30 is no duration") });
  await migrateApp(database);
  const env = { DATABASE_URL: await database.as("adopting_relay") };
  const stranger = await run([...QUICK, "--once"], env);
  expect(stranger.code).toBe(1);
  expect(stranger.stderr).toContain("permission denied for schema mailchute");
}, 60_000);

test("it needs the rights of a relay, an app of its own and the table, and no more", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  await migrateApp(database);
  const foreign = { subject: "Foreign", body: "x", from_email: "ceo@example.net", to: ["ann@example.com"] };
  await sendMail(database, "plain", foreign);
  const env = { DATABASE_URL: await database.as("adopting_relay") };
  const granted = await run(["grants", "adopting_relay", "--app", "django", "--from", "*@example.com"], on(database));
  expect(granted.code).toBe(0);
  await database.sql`grant mailchute_relay to adopting_relay`;
  await database.sql`grant select, update on email_relay_message to adopting_relay`;
  await using running = await openTestRelay(database, { smtpPort: server.port });
  running.relay.start();
  const { code, stderr } = await run([...QUICK, "--once"], env);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const rows = await rowsOf(database);
  expect(rows.map(({ status }) => status)).toEqual([4, 3]);
  expect(rows[1]?.log).toBe("App django may not send as ceo@example.net");
  expect(server.mails).toHaveLength(1);
}, 60_000);
