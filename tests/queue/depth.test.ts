import { expect, test } from "bun:test";
import { createMailer } from "../../mod.ts";
import type { Statements } from "../../relay/database/statements.ts";
import { Depth } from "../../relay/limits/depth.ts";
import { createLog } from "../../relay/log.ts";
import { rejects } from "../client/cases.ts";
import { createDatabase, type TestDatabase } from "../database.ts";
import { openTestRelay } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";
import { fill, openQueue, untilSeen } from "./setup.ts";

const MESSAGE = { from: "a@shop.example", to: "c@d.example", subject: "s", text: "t" };

/** What counts for one relay, by a clock that the test turns. @param countMs how long each count takes by it */
async function openDepth(database: TestDatabase, limit: number, countMs = 0) {
  const { relayId } = await openQueue(database);
  const time = { nowMs: 1_000_000 };
  const lines: string[] = [];
  const clock = { now: () => time.nowMs, after: () => () => {} };
  const log = createLog({ write: (line) => lines.push(line), now: () => time.nowMs, level: "debug" });
  const sql: Statements = {
    unsafe: (text, values, options) => {
      if (text.includes("count(*)")) time.nowMs += countMs;
      return database.sql.unsafe(text, values, options);
    },
  };
  const depth = new Depth({ sql, relayId, limit, clock, log });
  const look = async (laterMs = 1_000) => {
    time.nowMs += laterMs;
    await depth.look();
    return { messages: depth.messages, isFull: depth.isFull };
  };
  return { depth, look, lines, relayId };
}

/** Ends messages as a relay does, and has the statistics know of it as they would a moment later. */
async function end(database: TestDatabase, count: number): Promise<void> {
  await database.sql.begin(async (tx) => {
    await tx`delete from mailchute.queue where seq in (select seq from mailchute.queue order by seq limit ${count})`;
  });
  // Each connection of the pool tells what it has done when it is asked to.
  const [version] = await database.sql`select current_setting('server_version_num')::int >= 150000 as flushes`;
  if (version?.flushes) {
    await Promise.all(Array.from({ length: 10 }, () => database.sql`select pg_stat_force_next_flush()`));
  }
}

test("a queue that has as many messages as its limit takes no further one, and all that an app's transaction did is undone", async () => {
  await using database = await createDatabase();
  const { look, lines } = await openDepth(database, 5);
  const mail = createMailer(database.sql);
  // The word of one relay counts, and not that of another which has opened the queue long ago, or has no limit.
  for (const until of ["now() - interval '1 hour'", "null"]) {
    const { relayId } = await openQueue(database);
    await database.sql.unsafe(`update mailchute.relay set full_until = ${until} where id = ${relayId}`);
  }
  await fill(database, 4);
  expect(await look()).toEqual({ messages: 4, isFull: false });
  const { id } = await mail.send(MESSAGE, { idempotencyKey: "receipt/1" });
  expect(await look()).toEqual({ messages: 5, isFull: true });

  await database.sql`create table orders (number integer)`;
  const order = database.sql.begin(async (tx) => {
    await tx`insert into orders values (1)`;
    await mail.send(MESSAGE, { tx });
  });
  const error = await rejects(order, "queue_full");
  expect(error.message).toBe("Cannot send the mail: the queue is full: try again later");
  expect(await database.sql`select * from orders`).toHaveLength(0);
  expect(await database.sql`select from mailchute.message`).toHaveLength(5);
  // A retried request is no further mail.
  expect(await mail.send(MESSAGE, { idempotencyKey: "receipt/1" })).toEqual({ id, created: false });
  const again = { id, from: { email: MESSAGE.from }, to: [{ email: MESSAGE.to }], subject: "s", text: "t" };
  const [row] = await database.sql`select * from mailchute.enqueue_v1(${JSON.stringify(again)}::text::jsonb)`;
  expect({ ...row }).toEqual({ id, created: false });
  expect(lines.filter((line) => line.includes("queue is full"))).toHaveLength(1);
});

test("what an app has not committed closes the queue to nobody, also while it is too early for another count", async () => {
  await using database = await createDatabase();
  const { look } = await openDepth(database, 5, 100);
  await fill(database, 4);
  expect(await look()).toEqual({ messages: 4, isFull: false });
  const mail = createMailer(database.sql);
  await database.sql.begin(async (tx) => {
    for (let count = 0; count < 10; count++) await mail.send(MESSAGE, { tx });
    expect(await look()).toEqual({ messages: 14, isFull: false });
    expect(await look(20_000)).toEqual({ messages: 4, isFull: false });
  });
  expect((await look(100_000)).isFull).toBe(true);
});

test("it opens at 90 % and not before, after another count", async () => {
  await using database = await createDatabase();
  const { look, lines } = await openDepth(database, 20);
  await fill(database, 25);
  // More than the limit is not counted.
  expect(await look()).toEqual({ messages: 21, isFull: true });
  await end(database, 6);
  expect((await look()).isFull).toBe(true);
  await end(database, 1);
  // By now the statistics may have told of the deleted ones twice: it is counted before it opens.
  expect(await look(60_000)).toEqual({ messages: 18, isFull: false });
  expect(lines.filter((line) => line.includes("queue takes mail again"))).toHaveLength(1);
  await fill(database, 1);
  const [row] = await database.sql`select count(*)::int as messages from mailchute.queue`;
  expect(row?.messages).toBe(19);
});

test("what was rolled back does not fill it: before it closes, it is counted", async () => {
  await using database = await createDatabase();
  const { look } = await openDepth(database, 50);
  expect(await look()).toEqual({ messages: 0, isFull: false });
  await database.sql.begin(async (tx) => {
    await fill({ ...database, sql: tx as never }, 100);
    throw new Error("undone");
  }).catch(() => undefined);
  expect(await look()).toEqual({ messages: 0, isFull: false });
  await fill(database, 50);
  expect(await look()).toEqual({ messages: 50, isFull: true });
});

test("the word that it is full holds for ten seconds: without a relay that counts, apps can mail again", async () => {
  await using database = await createDatabase();
  const { look, relayId } = await openDepth(database, 5);
  await fill(database, 5);
  await look();
  const untilMs = async () => {
    const [row] = await database.sql`
      select extract(epoch from full_until - now())::float8 * 1000 as ms from mailchute.relay where id = ${relayId}::bigint`;
    return row?.ms as number;
  };
  expect(await untilMs()).toBeWithin(5_000, 10_001);
  await expect(fill(database, 1)).rejects.toThrow("the queue is full");
  // As ten seconds would.
  await database.sql`update mailchute.relay set full_until = full_until - interval '10 seconds'`;
  await fill(database, 1);
  // A relay that lives says it again in time.
  await look(9_000);
  expect(await untilMs()).toBeWithin(5_000, 10_001);
  await expect(fill(database, 1)).rejects.toThrow("the queue is full");
});

test("a relay closes the queue at its start, opens it when it has sent enough, and tells the status page", async () => {
  const gate = Promise.withResolvers<void>();
  await using server = await startScriptedServer({
    on: { content: async () => (await gate.promise, undefined) },
  });
  await using database = await createDatabase();
  await fill(database, 10);
  const role = "counts_the_queue";
  const url = await database.as(role);
  await database.sql.unsafe(`grant mailchute_relay to ${role}`);
  await using running = await openTestRelay({ ...database, url }, { smtpPort: server.port, maxQueue: 10 });
  await expect(fill(database, 1)).rejects.toThrow("the queue is full");
  const [station] = running.relay.stations;
  expect([station?.depth?.messages, station?.depth?.isFull]).toEqual([10, true]);
  running.relay.start();
  gate.resolve();
  await server.whenMails(10);
  await untilSeen(database, () => station?.depth?.isFull === false, "the queue is open");
  await fill(database, 1);
  await server.whenMails(11);
});

test("run --once leaves the queue open that it has sent empty", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  await fill(database, 10);
  await using running = await openTestRelay(database, { smtpPort: server.port, maxQueue: 10 });
  await expect(fill(database, 1)).rejects.toThrow("the queue is full");
  expect(await running.relay.runOnce()).toEqual({ waiting: 0, leased: 0 });
  await running.relay.stop();
  await fill(database, 1);
});
