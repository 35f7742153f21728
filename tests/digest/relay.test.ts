import { expect, test } from "bun:test";
import PostalMime from "postal-mime";
import { createMailer } from "../../mod.ts";
import { on, run } from "../command.ts";
import { createDatabase } from "../database.ts";
import { openConnection, openQueue, untilSeen } from "../queue/setup.ts";
import { describeMessage, enqueue, openTestRelay, until } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";
import { age, closeAt, digests, enqueueItem, viewOf } from "./setup.ts";

const DAY_MS = 86_400_000;

test("a digest arrives as one mail with its items under their subjects; its id, Date and subject are its own", async () => {
  await using database = await createDatabase();
  await using server = await startScriptedServer();
  await using running = await openTestRelay(database, { smtpPort: server.port });
  const mail = createMailer(database.sql, { from: "Shop <shop@example.com>" });
  const digest = { key: "replies", wait: "1h", subject: "{{count}} neue Antworten für 😀" };
  const { id } = await mail.send({
    to: "Ann <ann@example.com>",
    subject: "Grüße von Bob",
    text: "Hallo\nAnn & Co",
    digest,
  });
  await mail.send({ to: "ann@example.com", subject: "<b>Eve</b>", html: "<body></div><p>Hi <b>Ann<!--", digest });
  await mail.send({ to: "ann@example.com", subject: "Third", text: "3", digest: { ...digest, maxItems: 2 } });
  await closeAt(database, "1 hour");
  await running.relay.runOnce();

  expect(server.mails).toHaveLength(1);
  const [accepted] = server.mails;
  expect(accepted?.recipients).toEqual(["ann@example.com"]);
  const [made] = await digests(database);
  const parsed = await PostalMime.parse(accepted?.content ?? "");
  expect(parsed.messageId).toBe(`<${made?.id}@example.com>`);
  expect(parsed.subject).toBe("3 neue Antworten für 😀");
  // The window's close, which this test has set an hour ahead.
  const aheadMs = Date.parse(parsed.date as string) - Date.now();
  expect(aheadMs / 60_000).toBeWithin(59, 61);
  expect(parsed.text?.trimEnd()).toBe(
    "Grüße von Bob\n-------------\n\nHallo\nAnn & Co\n\n\n<b>Eve</b>\n----------\n\nHi Ann\n\n\nand 1 more",
  );
  expect(parsed.html).toContain("Hallo\nAnn &amp; Co</div></td>");
  expect(parsed.html).toContain("&lt;b&gt;Eve&lt;/b&gt;</h2>");
  expect(parsed.html).toContain("<p>Hi <b>Ann</b></p></td>");
  expect(parsed.html).toContain(">and 1 more</p>");

  // An item tells what became of its digest.
  const item = await mail.get(id);
  expect(item).toMatchObject({ id, state: "sent", digest: { key: "replies", id: made?.id as string } });
  expect(item?.attempts.map(({ outcome }) => outcome)).toEqual(["sent"]);
  expect((await mail.get(made?.id as string))?.digest).toEqual({ key: "replies", items: 3 });
  expect((await mail.wait(id)).state).toBe("sent");
});

test("a digest that is refused tells each item so", async () => {
  await using database = await createDatabase();
  await using server = await startScriptedServer({ on: { rcpt: () => "550 5.1.1 No such user" } });
  await using running = await openTestRelay(database, { smtpPort: server.port });
  const ids = [await enqueueItem(database), await enqueueItem(database)];
  await closeAt(database, "1 hour");
  await running.relay.runOnce();
  for (const id of ids) {
    const { state, recipients, attempts } = await viewOf(database, id);
    expect({ state, attempts: attempts.length }).toEqual({ state: "bounced", attempts: 1 });
    expect(recipients).toMatchObject([{ address: "ann@example.com", state: "bounced", reason: "No such user" }]);
  }
});

test("operators see what waits, what is in which digest, and what went out alone", async () => {
  await using database = await createDatabase();
  const ids: string[] = [];
  for (const key of ["a", "a", "b"]) ids.push(await enqueueItem(database, {}, { key }));
  await closeAt(database, "1 hour");
  ids.push(await enqueueItem(database, {}, { key: "c" }));
  const made = (await digests(database)).find(({ items }) => items === 2)?.id as string;
  const output = async (...words: readonly string[]) => {
    const { code, stdout } = await run(words, on(database));
    expect({ code, words }).toEqual({ code: 0, words });
    return stdout;
  };
  const shown = await output("show", ...ids.slice(1), made);
  expect(shown).toContain(`in digest a ${made}`);
  expect(shown).toContain("digest b, alone");
  expect(shown).toContain("waits for digest c");
  expect(shown).toContain("digest a of 2 items");
  const listed = await output("list", "--state", "digested");
  expect(ids.map((id) => listed.includes(id))).toEqual([true, true, false, false]);
});

test("a lone item arrives as it was sent", async () => {
  await using database = await createDatabase();
  await using server = await startScriptedServer();
  await using running = await openTestRelay(database, { smtpPort: server.port });
  const id = await enqueueItem(database, { subject: "Ann replied", text: "Yes!" }, {
    subject: "{{count}} new replies",
  });
  await closeAt(database, "1 hour");
  await running.relay.runOnce();
  const parsed = await PostalMime.parse(server.mails[0]?.content ?? "");
  expect(parsed).toMatchObject({ messageId: `<${id}@example.com>`, subject: "Ann replied", text: "Yes!\n" });
  expect(parsed.html).toBeUndefined();
  expect((await describeMessage(database, id)).state).toBe("sent");
});

test("a relay that sleeps wakes when a window ends, long before it would look by itself", async () => {
  await using database = await createDatabase();
  await using server = await startScriptedServer();
  await using running = await openTestRelay(database, { smtpPort: server.port, pollMs: 600_000 });
  running.relay.start();
  await until(async () => (await database.sql`select from mailchute.relay where asleep`).length === 1, "it sleeps");
  await enqueueItem(database, {}, { wait: "1s" });
  await enqueueItem(database, {}, { wait: "1s" });
  await untilSeen(database, () => server.mails.length > 0, "the digest is sent");
  expect((await digests(database)).map(({ items }) => items)).toEqual([2]);
});

test("windows are closed while other mail flows without a pause", async () => {
  await using database = await createDatabase();
  let more = true;
  // Each mail that is taken brings the next: the relay never sleeps.
  await using server = await startScriptedServer({
    on: {
      content: async () => {
        if (more) await enqueue(database);
        return undefined;
      },
    },
  });
  await using running = await openTestRelay(database, { smtpPort: server.port });
  await enqueue(database);
  running.relay.start();
  await untilSeen(database, () => server.mails.length > 2, "mail flows");
  await enqueueItem(database, { to: "digest@example.com" }, { wait: "1s" });
  const isSent = () => server.mails.some(({ recipients }) => recipients.includes("digest@example.com"));
  await untilSeen(database, isSent, "the item is sent");
  more = false;
}, 60_000);

test("an old digest is purged with its items, and neither before it has ended", async () => {
  await using database = await createDatabase();
  await using server = await startScriptedServer();
  await using running = await openTestRelay(database, { smtpPort: server.port });
  for (const subject of ["1", "2"]) await enqueueItem(database, { subject });
  await enqueueItem(database, {}, { key: "waits", wait: "31d" });
  await closeAt(database, "1 hour");
  const { purge } = await import("../../relay/database/retention.ts");
  const rules = { messagesMs: 20 * DAY_MS, contentMs: DAY_MS };
  const count = async () => {
    const [row] = await database.sql`
      select (select count(*) from mailchute.message)::int as messages, (select count(*) from mailchute.digest_item)::int as items,
        (select count(*) from mailchute.digest)::int as digests, (select count(*) from mailchute.content)::int as contents`;
    return { ...row };
  };
  const grow = () =>
    database.sql.begin(async (tx) => {
      await tx`update mailchute.message set created_at = created_at - interval '21 days'`;
      await tx`update mailchute.recipient set changed_at = changed_at - interval '21 days'`;
    });
  await grow();
  await purge(database.sql as never, rules);
  // What the items said is in the digest since.
  expect(await count()).toEqual({ messages: 4, items: 3, digests: 1, contents: 2 });
  await running.relay.runOnce();
  await grow();
  await purge(database.sql as never, rules);
  expect(await count()).toEqual({ messages: 1, items: 1, digests: 0, contents: 1 });
});

test("the longest wait of a debounced item is as long in a time zone whose clocks change meanwhile", async () => {
  await using database = await createDatabase();
  await database.sql.unsafe(
    "alter database " + new URL(database.url).pathname.slice(1) + " set timezone = 'Europe/Vienna'",
  );
  await using sql = openConnection(database);
  await enqueueItem({ ...database, sql }, {}, { wait: "7d", debounce: true, atMost: "30d" });
  // A day of March has 23 hours there.
  await sql`update mailchute.digest_item set since = '2026-03-01T12:00:00Z'`;
  const [row] = await sql`select since + at_most as ends from mailchute.digest_item`;
  expect(row?.ends).toEqual(new Date("2026-03-31T12:00:00Z"));
  const [most] =
    await sql`select mailchute.digest_latest('{"wait": "7d", "debounce": true}', '2026-03-01T12:00:00Z') as ends`;
  expect(most?.ends).toEqual(new Date("2026-04-01T12:00:00Z"));
});

test("of many windows that end at once a claim closes some, so that other mail goes out between them, and a run closes all", async () => {
  await using database = await createDatabase();
  await using server = await startScriptedServer();
  await database.sql`
    select count(mailchute.send(jsonb_build_object('from', 'shop@example.com', 'to', 'u' || i || '@example.com', 'subject', 's', 'text', 't',
      'digest', '{"key": "k", "wait": "1h"}'::jsonb))) from generate_series(1, 350) i`;
  // Of them no mail comes, by which a claim could tell that there is more.
  await database.sql`
    insert into mailchute.suppression (address, reason) select 'u' || i || '@example.com', 'manual' from generate_series(1, 350) i`;
  await age(database, "2 hours");
  await enqueue(database, { priority: "high", to: "reset@example.com" });
  const waiting = async () => (await database.sql`select from mailchute.digest_item`).length;
  const { queue } = await openQueue(database);
  const { messages, hasMore } = await queue.claim(10);
  expect(messages.map(({ recipients }) => recipients[0]?.email)).toEqual(["reset@example.com"]);
  expect({ hasMore, waiting: await waiting() }).toEqual({ hasMore: true, waiting: 250 });
  await using running = await openTestRelay(database, { smtpPort: server.port });
  await running.relay.runOnce();
  expect(await waiting()).toBe(0);
});

test("digests that cannot be closed are said, and keep no other mail waiting", async () => {
  await using database = await createDatabase();
  await using server = await startScriptedServer();
  await enqueueItem(database);
  await age(database, "2 hours");
  await database.sql.unsafe(`
    create or replace function mailchute.close_digests(most integer, moment timestamptz default statement_timestamp(), out looked integer, out next_at timestamptz)
    language plpgsql as $$
    begin
      raise exception 'one of them is too large';
    end $$`);
  await using running = await openTestRelay(database, { smtpPort: server.port });
  running.relay.start();
  await enqueue(database);
  await server.whenMails(1);
  expect(running.lines.join("\n")).toContain("they are tried again in 30 seconds: one of them is too large");
});
