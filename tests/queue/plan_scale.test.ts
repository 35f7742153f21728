import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Sql } from "postgres";
import { Contents } from "../../relay/delivery/contents.ts";
import { Depth } from "../../relay/limits/depth.ts";
import { ThrottleTable } from "../../relay/limits/throttle_table.ts";
import { createLog } from "../../relay/log.ts";
import { beat, setAsleep } from "../../relay/queue/relay_row.ts";
import { systemClock } from "../../relay/time/clock.ts";
import { createDatabase, type TestDatabase } from "../database.ts";
import { excessOf, explained, genericConnection, type WorkedNode } from "./plan_work.ts";
import { explainInside } from "./plan.ts";
import { openQueue, settlement } from "./setup.ts";

// What the loop asks of the database, seen at work beside a million mails that wait: before anybody has counted the
// rows of the new tables, and after.

const MAILS = 1_000_000;
/** Of the other tables so many are enough to tell a lookup from a scan. */
const KNOWN = 300_000;
const BATCH = 100;
/** The most rows that a part of a plan may handle for one batch: a few for each mail. */
const MOST = 5 * BATCH;
const THROTTLE = "domain:example.com=60/m";

/** Each statement fills one table, on a connection of its own. */
const FILL: Readonly<Record<string, string>> = {
  queue: `
    insert into mailchute.queue (seq, lane, due, throttle)
    select i, i % 3, '2026-01-01'::timestamptz + i * interval '1 microsecond', case when i % 100 = 0 then '${THROTTLE}' end from generate_series(1, ${MAILS}) i`,
  message: `
    insert into mailchute.message (id, app, content_id, from_email, lane)
    select lpad(to_hex(i), 32, '0')::uuid, 'shop', lpad(to_hex(i / 10), 32, '0')::uuid, 'shop@example.com', i % 3 from generate_series(1, ${KNOWN}) i`,
  recipient: `
    insert into mailchute.recipient (seq, position, kind, email) select i, 0, 'to', 'u' || i || '@example.com' from generate_series(1, ${KNOWN}) i`,
  content: `
    insert into mailchute.content (id, subject, text) select lpad(to_hex(i), 32, '0')::uuid, 'Hi', 'Hi' from generate_series(0, ${
    KNOWN / 10
  }) i`,
  attempt: `
    insert into mailchute.attempt (seq, number, position, outcome, phase, blame, reply, route, relay)
    select i * 10, 99, 0, 'deferred', 'final', 'route', 'later', 'default', 1 from generate_series(1, ${KNOWN / 10}) i`,
  attachment: `
    insert into mailchute.attachment (content_id, position, filename, content_type, bytes)
    select lpad(to_hex(i * 2), 32, '0')::uuid, 0, 'a.txt', 'text/plain', 'Hi' from generate_series(0, ${KNOWN / 20}) i`,
};

let database: TestDatabase;

beforeAll(async () => {
  database = await createDatabase();
  const { sql } = database;
  await Promise.all(
    Object.entries(FILL).map(async ([table, fill]) => {
      // Without a log, since nothing of it is kept; and nobody may count the rows behind our back.
      await sql.unsafe(`alter table mailchute.${table} set unlogged, set (autovacuum_enabled = off)`).simple();
      await sql.unsafe(fill);
    }),
  );
  await sql`select setval('mailchute.message_seq_seq', ${MAILS})`;
}, 120_000);

afterAll(() => database[Symbol.asyncDispose]());

/**
 * The loop of a relay: claims, contents, leases, settling, sleep and all that is asked meanwhile.
 * @returns how many statements there were
 */
async function loop(sql: Sql): Promise<readonly string[]> {
  const excess: string[] = [];
  const seen = new Set<string>();
  const statements = explained(sql, (text, plan: WorkedNode) => {
    seen.add(text);
    // Counts the queue up to its limit on purpose, and seldom (depth.ts).
    if (text.includes("limit $1::bigint + 1")) return;
    excess.push(...excessOf(plan, MOST).map((problem) => `${problem} in: ${text.trim().slice(0, 200)}`));
  });
  const { queue, relayId } = await openQueue({ sql: statements as Sql });
  const { messages } = await queue.claim(BATCH);
  expect(messages).toHaveLength(BATCH);
  // The second one begins at its floors, and gives the lower lanes what they are owed.
  const second = await queue.claim(BATCH);
  expect(second.messages).toHaveLength(BATCH);
  const waited = await queue.claimWaiting(new Map([[THROTTLE, BATCH]]));
  expect(waited.messages).toHaveLength(BATCH);
  const [probe] = (await queue.claim(1, { probe: true })).messages;
  if (probe === undefined) throw new Error("Nothing was left to probe with");
  await queue.intend(probe);
  expect(await queue.throttles(10)).toEqual([THROTTLE]);
  const contents = new Contents(statements);
  await contents.prefetch(messages.map(({ contentId }) => contentId));
  await contents.get(probe.contentId);
  await contents.attachments(probe.contentId);
  expect(await queue.renew(messages)).toEqual(new Set(messages.map(({ seq }) => seq)));
  const half = messages.slice(BATCH / 2);
  expect(await queue.settle(messages.slice(0, BATCH / 2).map((message) => settlement(message, "sent")))).toHaveProperty(
    "size",
    BATCH / 2,
  );
  expect(await queue.settle(half.map((message) => settlement(message, "deferred", 60_000)))).toHaveProperty(
    "size",
    BATCH / 2,
  );
  const unstarted = [...second.messages, ...waited.messages].map((message) => ({ ...message, delayMs: 0 }));
  expect(await queue.release(unstarted)).toHaveProperty("size", 2 * BATCH);
  expect(await queue.nextDueMs()).toBeLessThan(0);
  expect(await queue.nextDueMs({ sinceClaim: true, withinMs: 50 })).toBeLessThan(0);
  await setAsleep(statements, relayId, true);
  await beat(statements, { relayId, instance: crypto.randomUUID(), host: "test", pid: 1 });
  const limit = { key: THROTTLE, limit: { count: 60, periodMs: 60_000 }, first: 1, most: 5, owed: 0 };
  await new ThrottleTable(statements).take([limit]);
  const log = createLog({ write: () => undefined, now: () => 0, level: "error" });
  await new Depth({ sql: statements, relayId, limit: 2 * MAILS, clock: systemClock, log }).look();
  expect(excess).toEqual([]);
  return [...seen];
}

/** What enqueue does, inside of its function. */
async function enqueueInside(): Promise<readonly string[]> {
  const inside = await explainInside(
    database,
    `select mailchute.send('{"from": "a@example.com", "to": ["b@example.com", "c@example.com"], "subject": "Hi", "text": "Hi", "idempotencyKey": "one"}');
    select mailchute.send('{"from": "a@example.com", "to": ["b@example.com", "c@example.com"], "subject": "Hi", "text": "Hi", "idempotencyKey": "one"}')`,
    { isAnalyzed: true },
  );
  expect(inside.length).toBeGreaterThan(5);
  return inside.flatMap(({ text, plan }) => excessOf(plan, MOST).map((problem) => `${problem} in: ${text}`));
}

describe.each(["without statistics", "with statistics"])("beside a million mails, %s,", (state) => {
  beforeAll(async () => {
    if (state === "with statistics") await database.sql`analyze`;
    const [row] = await database
      .sql`select reltuples::int as rows from pg_class where oid = 'mailchute.queue'::regclass`;
    if (state === "with statistics") expect(row?.rows).toBeGreaterThan(MAILS / 2);
    else expect(row?.rows).toBe(-1);
  }, 60_000);

  test("no statement of the loop handles more than a few rows for each mail of its batch", async () => {
    await using sql = genericConnection(database);
    expect((await loop(sql)).length).toBeGreaterThan(17);
  }, 60_000);

  test("enqueue handles a few rows", async () => {
    expect(await enqueueInside()).toEqual([]);
  });
});

test("the guard sees what it guards against: a scan, a sort and a hash of a whole table", async () => {
  await using sql = genericConnection(database);
  const seen: string[] = [];
  const statements = explained(sql, (_text, plan) => seen.push(...excessOf(plan, MOST)));
  await statements.unsafe("select seq from mailchute.queue order by attempts limit 1");
  await statements.unsafe("select 1 from mailchute.queue q join mailchute.message m on m.seq = q.seq limit $1::int", [
    1,
  ]);
  expect(seen).toContain("reads queue from one end to the other");
  expect(seen.some((problem) => problem.startsWith("Seq Scan queue handles "))).toBe(true);
  expect(seen.length).toBeGreaterThan(1);
});
