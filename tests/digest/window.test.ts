import { expect, test } from "bun:test";
import { createDatabase, type TestDatabase } from "../database.ts";
import { describeMessage } from "../relay.ts";
import { age, closeAt, digests, enqueueItem, viewOf } from "./setup.ts";

const SUBJECT = { subject: "{{count}} new replies" };

test("a fixed window ends so long after its first item, and holds all that is committed then", async () => {
  await using database = await createDatabase();
  const first = await enqueueItem(database, { subject: "One" }, SUBJECT);
  await age(database, "50 minutes");
  const second = await enqueueItem(database, { subject: "Two" }, SUBJECT);
  expect(await closeAt(database, "9 minutes")).toMatchObject({ looked: 0 });
  expect(await digests(database)).toEqual([]);
  expect((await closeAt(database, "11 minutes")).nextSeconds).toBeNull();
  const [digest, ...others] = await digests(database);
  expect(others).toEqual([]);
  expect(digest).toMatchObject({ subject: "2 new replies", items: 2, shown: ["One", "Two"] });
  for (const id of [first, second]) {
    expect((await viewOf(database, id)).digest).toEqual({ key: "replies", id: digest?.id as string });
  }
  expect((await viewOf(database, digest?.id as string)).digest).toEqual({ key: "replies", items: 2 });
});

test("a digest is per recipient, key and app, whatever the case of the address", async () => {
  await using database = await createDatabase();
  await enqueueItem(database, { to: "ann@example.com" });
  await enqueueItem(database, { to: "Ann <ANN@Example.com>" });
  await enqueueItem(database, { to: "bob@example.com" });
  await enqueueItem(database, {}, { key: "likes" });
  await database.sql`insert into mailchute.app (name, senders) values ('other', '{*}')`;
  await database.sql`insert into mailchute.app_role (role, app) values (session_user, 'other')`;
  await enqueueItem(database);
  expect((await closeAt(database, "1 hour")).looked).toBe(4);
  expect((await digests(database)).map(({ items }) => items).sort()).toEqual([1, 1, 1, 2]);
});

test("debounce counts from the newest item, and the first waits for at most atMost", async () => {
  await using database = await createDatabase();
  const window = { wait: "10m", debounce: true, atMost: "25m" };
  await enqueueItem(database, { subject: "1" }, window);
  await age(database, "8 minutes");
  await enqueueItem(database, { subject: "2" }, window);
  // The first alone would have ended now; the second has 6 minutes left.
  const { looked, nextSeconds } = await closeAt(database, "4 minutes");
  expect({ looked, next: Math.round((nextSeconds as number) / 60) }).toEqual({ looked: 1, next: 6 });
  expect(await digests(database)).toEqual([]);
  await age(database, "9 minutes");
  await enqueueItem(database, { subject: "3" }, window);
  // 17 minutes after the first: 8 minutes before its longest wait is over, though the third would go on for 10.
  expect(Math.round((await closeAt(database, "2 minutes")).nextSeconds as number / 60)).toBe(6);
  await closeAt(database, "9 minutes");
  expect((await digests(database)).map(({ shown }) => shown)).toEqual([["1", "2", "3"]]);
});

test("without atMost a debounced item waits ten times as long, and at most 31 days", async () => {
  await using database = await createDatabase();
  const [rows] = await database.sql`
    select mailchute.digest_latest('{"wait": "1h", "debounce": true}', 'epoch') as ten, mailchute.digest_latest('{"wait": "7d", "debounce": true}', 'epoch') as most`;
  expect([rows?.ten.getTime(), rows?.most.getTime()]).toEqual([36_000_000, 31 * 86_400_000]);
});

/** When a window ends that begins then, in UTC. */
async function ends(database: TestDatabase, at: string, zone: string, from: string): Promise<string> {
  const [row] = await database
    .sql`select mailchute.digest_end(null, ${at}::text::time, ${zone}, ${from}::text::timestamptz) as ends`;
  return row?.ends.toISOString();
}

test("a time of day is the one that clocks there show, also on the days that have 23 and 25 hours", async () => {
  await using database = await createDatabase();
  const vienna = (at: string, from: string) => ends(database, at, "Europe/Vienna", from);
  // Summer time begins on 29 March 2026 and ends on 25 October.
  expect(await vienna("09:00", "2026-03-28T08:00:00Z")).toBe("2026-03-29T07:00:00.000Z");
  expect(await vienna("09:00", "2026-03-28T07:59:59Z")).toBe("2026-03-28T08:00:00.000Z");
  expect(await vienna("09:00", "2026-10-24T07:00:00Z")).toBe("2026-10-25T08:00:00.000Z");
  // Skipped: 02:30 is as much later. Shown twice: the second.
  expect(await vienna("02:30", "2026-03-28T12:00:00Z")).toBe("2026-03-29T01:30:00.000Z");
  expect(await vienna("02:30", "2026-03-29T01:30:00Z")).toBe("2026-03-30T00:30:00.000Z");
  expect(await vienna("02:30", "2026-10-24T12:00:00Z")).toBe("2026-10-25T01:30:00.000Z");
  expect(await vienna("02:30", "2026-10-25T00:30:00Z")).toBe("2026-10-25T01:30:00.000Z");
  expect(await vienna("02:30", "2026-10-25T01:30:00Z")).toBe("2026-10-26T01:30:00.000Z");
  // The date there, and not here.
  expect(await ends(database, "09:00", "Pacific/Auckland", "2026-01-01T22:00:00Z")).toBe("2026-01-02T20:00:00.000Z");
  expect(await ends(database, "00:00", "America/New_York", "2026-01-02T03:00:00Z")).toBe("2026-01-02T05:00:00.000Z");
});

test("a digest of a time of day goes out then, over a change of the clocks", async () => {
  await using database = await createDatabase();
  for (const subject of ["1", "2"]) {
    await enqueueItem(database, { subject }, { at: "09:00", timeZone: "Europe/Vienna" });
  }
  await database.sql`update mailchute.digest_item set since = '2026-03-28T12:00:00Z', look_at = '2026-03-29T07:00:00Z'`;
  const close = async (at: string) =>
    (await database.sql`select * from mailchute.close_digests(100, ${at}::text::timestamptz)`)[0];
  expect((await close("2026-03-29T06:59:59Z"))?.looked).toBe(0);
  expect((await close("2026-03-29T07:00:00Z"))?.looked).toBe(1);
  const [digest] = await digests(database);
  expect(digest?.shown).toEqual(["1", "2"]);
  const [row] = await database.sql`select created_at from mailchute.message where id = ${digest?.id as string}`;
  expect(row?.created_at).toEqual(new Date("2026-03-29T07:00:00Z"));
});

test("items that differ in their windows go out with the first that ends", async () => {
  await using database = await createDatabase();
  await enqueueItem(database, { subject: "slow" }, { wait: "7d" });
  await enqueueItem(database, { subject: "quick" }, { wait: "10m" });
  await closeAt(database, "10 minutes");
  expect((await digests(database)).map(({ shown }) => shown)).toEqual([["slow", "quick"]]);
});

test("an item whose transaction commits after its window was closed goes into the next digest, and not out at once", async () => {
  await using database = await createDatabase();
  await enqueueItem(database, { subject: "in time" });
  await enqueueItem(database, { subject: "in time too" });
  const late = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const open = database.sql.begin(async (tx) => {
    const request = {
      from: "shop@example.com",
      to: "ann@example.com",
      subject: "late",
      text: "t",
      digest: { key: "replies", wait: "1h" },
    };
    await tx`select mailchute.send(${JSON.stringify(request)}::text::jsonb)`;
    begun.resolve();
    await late.promise;
  });
  await begun.promise;
  await closeAt(database, "1 hour");
  late.resolve();
  await open;
  expect((await digests(database)).map(({ shown }) => shown)).toEqual([["in time", "in time too"]]);
  // Its own hour is over, and the next digest is an hour after the last.
  const { nextSeconds } = await closeAt(database, "61 minutes");
  expect(Math.round((nextSeconds as number) / 60)).toBe(59);
  await closeAt(database, "119 minutes");
  expect(await digests(database)).toHaveLength(1);
  await closeAt(database, "121 minutes");
  expect((await digests(database)).map(({ items }) => items)).toEqual([2, 1]);
});

test("a lone item goes out as it is, with the window's close as its Date", async () => {
  await using database = await createDatabase();
  const id = await enqueueItem(database, { subject: "Ann replied" }, SUBJECT);
  const before = await viewOf(database, id);
  expect(before).toMatchObject({ state: "scheduled", digest: { key: "replies" } });
  expect(Date.parse(before.scheduledAt as string) - Date.parse(before.createdAt)).toBe(3_600_000);
  await closeAt(database, "2 hours");
  expect(await digests(database)).toMatchObject([{ id, subject: "Ann replied", items: 1 }]);
  expect((await viewOf(database, id)).digest).toEqual({ key: "replies", id });
  const [row] = await database.sql`
    select extract(epoch from m.scheduled_at - m.created_at)::int / 60 as minutes, q.due <= now() as due
    from mailchute.message m join mailchute.queue q using (seq)`;
  expect(row).toMatchObject({ minutes: 120, due: true });
});

test("a canceled item is in no digest, and cancel comes too late for one that is in a digest", async () => {
  await using database = await createDatabase();
  const ids = [];
  for (const subject of ["1", "2", "3"]) ids.push(await enqueueItem(database, { subject, tags: ["t"] }));
  const cancel = async (id: string | undefined) =>
    (await database.sql`select mailchute.cancel_v1(${id as string}) as answer`)[0]?.answer;
  expect(await cancel(ids[1])).toBe("canceled");
  await closeAt(database, "1 hour");
  const [digest] = await digests(database);
  expect(digest?.shown).toEqual(["1", "3"]);
  expect(await cancel(ids[0])).toBe("too_late");
  expect(await cancel(ids[1])).toBe("canceled");
  expect((await describeMessage(database, ids[1] as string)).state).toBe("canceled");
  // The digest has a life of its own, and its items tell of it.
  expect(await cancel(digest?.id)).toBe("canceled");
  expect((await describeMessage(database, ids[0] as string)).state).toBe("canceled");
});

test("an item that is canceled in an open transaction keeps nobody waiting; rolled back, it goes into the next digest", async () => {
  await using database = await createDatabase();
  const ids: string[] = [];
  for (const subject of ["1", "2", "3"]) ids.push(await enqueueItem(database, { subject }));
  const open = await database.sql.reserve();
  await open`begin`;
  await open`select mailchute.cancel_v1(${ids[1] as string})`;
  // And nobody looks at it all the time meanwhile.
  expect((await closeAt(database, "1 hour")).nextSeconds).toBe(5);
  expect((await digests(database)).map(({ shown }) => shown)).toEqual([["1", "3"]]);
  await open`rollback`;
  open.release();
  await closeAt(database, "61 minutes");
  expect(await digests(database)).toHaveLength(1);
  await closeAt(database, "2 hours");
  expect((await digests(database)).map(({ id }) => id)).toContain(ids[1] as string);
});

test("beyond maxItems and beyond a megabyte, items are counted and not shown", async () => {
  await using database = await createDatabase();
  for (let i = 1; i <= 5; i++) {
    await enqueueItem(database, { subject: `${i}` }, { maxItems: 2, more: "und {{ more }} weitere", ...SUBJECT });
  }
  for (let i = 1; i <= 5; i++) {
    await enqueueItem(database, { subject: `${i}`, text: "x".repeat(400_000) }, { key: "large" });
  }
  await closeAt(database, "1 hour");
  const found = await digests(database);
  const rows = await database
    .sql`select c.subject, c.digest ->> 'more' as more from mailchute.content c order by subject`;
  expect(found.map(({ items, shown }) => [items, shown])).toEqual(
    expect.arrayContaining([[5, ["1", "2"]], [5, ["1", "2"]]]),
  );
  expect(rows.map(({ subject, more }) => [subject, more])).toEqual([
    ["5 (+4)", "and 3 more"],
    ["5 new replies", "und 3 weitere"],
  ]);
});

test("a digest has the tags of all its items, the highest priority, and the rest of the newest", async () => {
  await using database = await createDatabase();
  await enqueueItem(database, { tags: ["a", "b"], priority: "high", stream: "one", replyTo: "x@example.com" });
  await enqueueItem(database, {
    tags: ["b", "c"],
    priority: "low",
    stream: "two",
    from: "Two <two@example.com>",
    to: "Ann B <ann@example.com>",
  });
  await closeAt(database, "1 hour");
  const [row] = await database.sql`
    select m.tags, m.lane, m.stream, m.from_name, m.reply_to, r.name from mailchute.digest d join mailchute.message m using (seq) join mailchute.recipient r using (seq)`;
  expect(row).toMatchObject({
    tags: ["a", "b", "c"],
    lane: 0,
    stream: "two",
    from_name: "Two",
    reply_to: [],
    name: "Ann B",
  });
});

test("a suppressed address gets no item, and no digest when it is suppressed while items wait; one whose time is over gets it", async () => {
  await using database = await createDatabase();
  const ids = [await enqueueItem(database), await enqueueItem(database)];
  const other = await enqueueItem(database, { to: "bob@example.com" });
  await database.sql`
    insert into mailchute.suppression (address, reason, until)
    values ('ann@example.com', 'unsubscribe', now() + interval '1 day'), ('bob@example.com', 'unsubscribe', now())`;
  ids.push(await enqueueItem(database));
  await closeAt(database, "1 hour");
  expect(await digests(database)).toMatchObject([{ id: other, items: 1 }]);
  for (const id of ids) {
    const { state, recipients } = await describeMessage(database, id);
    expect([state, recipients[0]?.reason]).toEqual(["suppressed", "On the suppression list: unsubscribe"]);
  }
  expect(await database.sql`select from mailchute.queue`).toHaveLength(1);
});

test("a person's retry sends an item that waits on its own, and of one that is in a digest the digest", async () => {
  await using database = await createDatabase();
  const ids: string[] = [];
  for (const subject of ["1", "2", "3"]) ids.push(await enqueueItem(database, { subject }));
  const retry = async (id: string | undefined) =>
    (await database
      .sql`select mailchute.retry_message((select seq from mailchute.message where id = ${id as string}), false) as answer`)[
        0
      ]?.answer;
  expect(await retry(ids[0])).toBe("retried");
  await closeAt(database, "1 hour");
  const [digest] = await digests(database);
  expect(digest?.shown).toEqual(["2", "3"]);
  await database.sql`select mailchute.cancel_v1(${digest?.id as string})`;
  expect(await retry(ids[1])).toBe("retried");
  const open = await database
    .sql`select m.id from mailchute.queue q join mailchute.message m using (seq) where q.due <= now() order by seq`;
  expect(open.map(({ id }) => id)).toEqual([ids[0], digest?.id]);
});

test("one digest that cannot be closed keeps back no other, and is tried again after a minute", async () => {
  await using database = await createDatabase();
  await enqueueItem(database, { to: "ann@example.com" });
  await enqueueItem(database, { to: "bob@example.com" });
  await database
    .sql`update mailchute.digest_item set wait = null, clock_time = '09:00', time_zone = 'Mars/Olympus' where address = 'bob@example.com'`;
  expect((await closeAt(database, "1 hour")).nextSeconds).toBe(60);
  expect((await digests(database)).map(({ items }) => items)).toEqual([1]);
});

test("the role of relays may close windows, and that of apps may not", async () => {
  await using database = await createDatabase();
  for (const subject of ["1", "2"]) await enqueueItem(database, { subject });
  await enqueueItem(database, { to: "bob@example.com" });
  await enqueueItem(database, { to: "eve@example.com" });
  await database.sql`select mailchute.suppress_v1('eve@example.com', 'manual')`;
  const close = (role: string) =>
    database.sql.begin(async (tx) => {
      await tx.unsafe(`set local role ${role}`);
      return (await tx`select looked from mailchute.close_digests(100, now() + interval '1 hour')`)[0]?.looked;
    });
  expect(await close("mailchute_client").catch((error: { readonly code: string }) => error.code)).toBe("42501");
  expect(await close("mailchute_relay")).toBe(3);
  expect((await digests(database)).map(({ items }) => items).sort()).toEqual([1, 2]);
});
