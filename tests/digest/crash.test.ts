import { expect, test } from "bun:test";
import postgres, { type Sql } from "postgres";
import { createDatabase, type TestDatabase } from "../database.ts";
import { prng } from "../mime/prng.ts";
import { openConnection, waitForLocks } from "../queue/setup.ts";
import { type RelayProcess, startRelayProcess, temporaryDirectory } from "../relay_process.ts";
import { makeDue, until } from "../relay.ts";
import { type AcceptedMail, startScriptedServer } from "../scripted_server.ts";
import { thoroughly } from "../thoroughly.ts";
import { age, closeAt, digests, enqueueItem, viewOf } from "./setup.ts";

const SENDERS = 20;
const ITEMS = thoroughly ? 10_000 : 2_000;
const KEYS = 100;
const KILLS = 8;

/** Puts one item into the queue, with a word of its own in its text. */
async function send(sql: Sql, number: number): Promise<void> {
  const key = `k${number % KEYS}`;
  const request = {
    ...{ from: "shop@example.com", to: `u${number % 7}@example.com`, subject: "s", text: `[[${number}]]` },
    digest: { key, wait: "1s", maxItems: 500 },
  };
  await sql`select mailchute.send(${JSON.stringify(request)}::text::jsonb)`;
}

/** The items in the mails that the server has taken, by the Message-ID of their mail. */
function itemsByMail(mails: readonly AcceptedMail[]): ReadonlyMap<string, readonly string[]> {
  return new Map(mails.map(({ content }) => [
    /^Message-ID: <(.+)>/im.exec(content)?.[1] ?? "",
    Array.from(content.matchAll(/\[\[(\d+)\]\]/g), ([, number]) => number as string),
  ]));
}

test(
  `20 senders, 100 keys, and relays that are killed again and again: each of ${ITEMS} items is in exactly one digest, and a window is closed once`,
  async () => {
    await using database = await createDatabase();
    await using server = await startScriptedServer();
    using left = temporaryDirectory();
    using right = temporaryDirectory();
    const random = prng(20261122);
    const start = (state: { readonly path: string }) =>
      startRelayProcess(["run"], {
        ...{ DATABASE_URL: database.url, SMTP_URL: `smtp://127.0.0.1:${server.port}?tls=none` },
        ...{ RELAY_STATE_DIR: state.path, PORT: "0", RELAY_POLL: "100ms", LOG_LEVEL: "warn" },
      });
    const relays: [RelayProcess, RelayProcess] = [start(left), start(right)];
    await using _killed = {
      [Symbol.asyncDispose]: async () => {
        for (const relay of relays) relay.kill("SIGKILL");
        await Promise.all(relays.map(({ exited }) => exited));
      },
    };
    const pool = postgres(database.url, { max: SENDERS, onnotice: () => {} });
    let next = 0;
    let sent = 0;
    const senders = Array.from({ length: SENDERS }, async () => {
      for (let number = next++; number < ITEMS; number = next++) {
        await send(pool, number);
        sent++;
      }
    });
    // A kill after each so many items, whichever relay it hits.
    for (let kill = 1; kill <= KILLS; kill++) {
      await until(
        async () => {
          await database.sql`select`;
          return sent >= ITEMS * kill / (KILLS + 1);
        },
        "items have come",
        60_000,
      );
      const which = random.int(2) as 0 | 1;
      relays[which].kill("SIGKILL");
      await relays[which].exited;
      relays[which] = start(which === 0 ? left : right);
    }
    await Promise.all(senders);
    await pool.end();
    await until(
      async () => {
        // What was at its final dot at a kill waits for minutes.
        await makeDue(database);
        return (await database.sql`select from mailchute.queue limit 1`).length === 0;
      },
      "all is sent",
      60_000,
    );
    for (const relay of relays) relay.kill("SIGTERM");
    expect(await Promise.all(relays.map(({ exited }) => exited))).toEqual([0, 0]);

    const [counts] = await database.sql`
      select count(*)::int as items, count(distinct seq)::int as distinct, count(*) filter (where digest is null)::int as waiting,
        (select sum(items)::int from mailchute.digest) as told, (select count(*)::int from mailchute.digest) as digests
      from mailchute.digest_item`;
    expect(counts).toMatchObject({ items: ITEMS, distinct: ITEMS, waiting: 0, told: ITEMS });
    const byMail = itemsByMail(server.mails);
    expect(byMail.size).toBe(counts?.digests);
    const received = [...byMail.values()].flat().map(Number).sort((one, other) => one - other);
    expect(received).toEqual(Array.from({ length: ITEMS }, (_, number) => number));
    // A window is a second: no digest of a key comes sooner after another.
    const early = await database.sql`
      select * from (
        select closed_at - lag(closed_at) over (partition by app, address, key order by closed_at) as apart from mailchute.digest
      ) d where apart < interval '1 second'`;
    expect(early).toHaveLength(0);
  },
  180_000,
);

test("closers that come at once close each digest once, and none waits for another", async () => {
  await using database = await createDatabase();
  const keys = Array.from({ length: 40 }, (_, index) => `k${index}`);
  for (const key of [...keys, ...keys, ...keys]) await enqueueItem(database, {}, { key });
  const looked = await Promise.all(Array.from({ length: 10 }, () => closeAt(database, "1 hour")));
  expect(looked.reduce((sum, each) => sum + each.looked, 0)).toBe(40);
  expect((await digests(database)).map(({ items }) => items)).toEqual(keys.map(() => 3));

  // While one is at it, another has nothing to do.
  await enqueueItem(database);
  await using other = openConnection(database);
  await other.begin(async (tx) => {
    await tx`select mailchute.close_digests(100, now() + interval '1 hour')`;
    await enqueueItem(database);
    const { looked, nextSeconds } = await closeAt(database, "1 hour");
    expect([looked, nextSeconds]).toEqual([0, 1]);
  });
  expect((await digests(database)).slice(40)).toHaveLength(1);
});

test("what is taken back by its tag while its window is closed goes out in no digest", async () => {
  await using database = await createDatabase();
  for (const tags of [["old", "lunch"], ["lunch"], []]) await enqueueItem(database, { tags });
  await using relay = openConnection(database);
  await using app = openConnection(database);
  const { answer } = await relay.begin(async (tx) => {
    await tx`select mailchute.close_digests(100, now() + interval '1 hour')`;
    const answer = app`select mailchute.cancel_many_v1('{"tag": "lunch"}') as canceled`.execute();
    await waitForLocks(database, 1);
    return { answer };
  });
  // The digest with what else it has, as a moment later.
  expect(await answer).toMatchObject([{ canceled: 1 }]);
  const [digest] = await digests(database);
  expect((await viewOf(database, digest?.id as string)).state).toBe("canceled");
  expect(await database.sql`select from mailchute.queue`).toHaveLength(0);
});

test("an advisory lock, which any app may take, keeps no digest from being closed", async () => {
  await using database = await createDatabase();
  await enqueueItem(database);
  await using app = openConnection(database);
  await app`select pg_advisory_lock(hashtext('mailchute.digest'))`;
  expect((await closeAt(database, "1 hour")).looked).toBe(1);
});

/** Adds so many items like this one, as if they had been enqueued after it. */
async function multiply(database: TestDatabase, id: string, count: number): Promise<void> {
  await database.sql`
    with first as materialized (select * from mailchute.message where id = ${id}::uuid), more as (
      insert into mailchute.message (id, app, content_id, from_email, lane)
      select mailchute.new_id(), f.app, mailchute.new_id(), f.from_email, f.lane from first f, generate_series(1, ${count}::int)
      returning seq, content_id
    ), contents as (
      insert into mailchute.content (id, subject, text) select m.content_id, 's', 't' from more m
    ), recipients as (
      insert into mailchute.recipient (seq, position, kind, email)
      select m.seq, 0, 'to', r.email from more m, mailchute.recipient r where r.seq = (select seq from first)
    ), queued as (
      insert into mailchute.queue (seq, lane, due) select m.seq, 1, 'infinity' from more m
    )
    insert into mailchute.digest_item (seq, app, address, key, wait, max_items, since, look_at)
    select m.seq, i.app, i.address, i.key, i.wait, i.max_items, i.since, i.look_at
    from more m, mailchute.digest_item i where i.seq = (select seq from first)`;
}

test("of more items than a digest takes, the rest has a window of its own: each is in one digest, and no other digest waits for long", async () => {
  await using database = await createDatabase();
  await multiply(database, await enqueueItem(database), 20_004);
  await enqueueItem(database, { to: "bob@example.com" }, { wait: "61m" });
  for (let turn = 0; turn < 4; turn++) await closeAt(database, "61 minutes");
  expect((await digests(database)).map(({ items }) => items)).toEqual([20_000, 1]);
  for (let turn = 0; turn < 3; turn++) await closeAt(database, "3 hours");
  expect((await digests(database)).map(({ items }) => items)).toEqual([20_000, 1, 5]);
  expect(await database.sql`select from mailchute.digest_item where digest is null`).toHaveLength(0);
});

/** Runs work while a transaction is open that has done something to a digest. */
async function whileOpen(database: TestDatabase, change: (tx: Sql) => Promise<unknown>, work: () => Promise<unknown>) {
  await using other = openConnection(database);
  await other`begin`;
  await change(other);
  await work();
  await other`rollback`;
}

test("an open transaction that has enqueued, closed or canceled items delays no other's enqueue of the same digest", async () => {
  await using database = await createDatabase();
  const ids = [await enqueueItem(database), await enqueueItem(database), await enqueueItem(database)];
  const enqueueNow = () =>
    database.sql.begin(async (tx) => {
      await tx`set local lock_timeout = '1ms'`;
      await send(tx as unknown as Sql, 1);
      const request = {
        from: "a@example.com",
        to: "ann@example.com",
        subject: "s",
        text: "t",
        digest: { key: "replies", wait: "1h" },
      };
      await tx`select mailchute.send(${JSON.stringify(request)}::text::jsonb)`;
    });
  const changes = [
    (tx: Sql) => send(tx, 1),
    (tx: Sql) => tx`select mailchute.close_digests(100, now() + interval '1 hour')`,
    (tx: Sql) => tx`select mailchute.cancel_v1(${ids[0] as string})`,
  ];
  for (const change of changes) await whileOpen(database, change, enqueueNow);
  // Nor does it keep windows from being closed.
  await whileOpen(database, (tx) => send(tx, 2), () => closeAt(database, "1 hour"));
  expect((await digests(database)).reduce((sum, { items }) => sum + items, 0)).toBe(3 + 2 * changes.length);
});

test("a retry that waits while the window is closed sends nothing a second time", async () => {
  await using database = await createDatabase();
  const ids = [await enqueueItem(database, { subject: "1" }), await enqueueItem(database, { subject: "2" })];
  await age(database, "2 hours");
  await using closer = openConnection(database);
  await using person = openConnection(database);
  const retrying = await closer.begin(async (tx) => {
    await tx`select mailchute.close_digests(100)`;
    const answer = person`
      select mailchute.retry_message((select seq from mailchute.message where id = ${ids[
      0
    ] as string}), false) as answer`
      .execute();
    await until(async () => (await database.sql`select from pg_locks where not granted`).length > 0, "it waits");
    return { answer };
  });
  expect([...await retrying.answer]).toEqual([{ answer: "too_late" }]);
  const [digest] = await digests(database);
  const open = await database.sql`select m.id from mailchute.queue q join mailchute.message m using (seq)`;
  expect(open.map(({ id }) => id)).toEqual([digest?.id]);
});
