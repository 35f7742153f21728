import { expect, test } from "bun:test";
import { CLAIM } from "../../relay/queue/queue_statements.ts";
import type { Claim } from "../../relay/queue/queue.ts";
import { createDatabase, type TestDatabase } from "../database.ts";
import { enqueue, enqueueMany, openTestRelay } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";
import { fill, openConnection, openQueue } from "./setup.ts";

/** Makes what is in the queue due an hour ago, in its order. */
async function age(database: TestDatabase): Promise<void> {
  await database
    .sql`update mailchute.queue set due = now() - interval '1 hour' + seq * interval '1 microsecond' where leased_by is null`;
}

/**
 * Enqueues one mail that was due two hours ago, and commits it when asked to: as a transaction does that was open for
 * long.
 */
async function enqueueLate(database: TestDatabase) {
  const connection = openConnection(database);
  const { promise: committing, resolve: commit } = Promise.withResolvers<void>();
  const { promise: written, resolve: write } = Promise.withResolvers<string>();
  const committed = connection.begin(async (tx) => {
    const request = { from: "shop@example.com", to: "ann@example.com", subject: "late", text: "Hi" };
    const [row] = await tx`select mailchute.send(${JSON.stringify(request)}::text::jsonb) as id`;
    await tx`
      update mailchute.queue set due = now() - interval '2 hours' where seq = (select seq from mailchute.message where id = ${row
      ?.id as string})`;
    write(row?.id as string);
    await committing;
  });
  return {
    id: await written,
    commit: async () => (commit(), await committed, await connection.end()),
  };
}

function has({ messages }: Claim, id: string): boolean {
  return messages.some((message) => message.id === id);
}

test("a mail of a transaction that was open for long is claimed within a second, though all claims are full", async () => {
  await using database = await createDatabase();
  await fill(database, 200);
  await age(database);
  let nowMs = 0;
  const { queue } = await openQueue(database, { clock: { now: () => nowMs } });
  const late = await enqueueLate(database);
  await queue.claim(10);
  await late.commit();
  nowMs = 999;
  // Its row is below the floor.
  expect(has(await queue.claim(10), late.id)).toBe(false);
  nowMs = 1_000;
  expect(has(await queue.claim(10), late.id)).toBe(true);
});

test("it is claimed at once when the claim before was not full", async () => {
  await using database = await createDatabase();
  await fill(database, 15);
  await age(database);
  const { queue } = await openQueue(database, { clock: { now: () => 0 } });
  const late = await enqueueLate(database);
  expect((await queue.claim(10)).hasMore).toBe(true);
  await late.commit();
  expect(await queue.claim(10)).toMatchObject({ hasMore: false });
  expect(has(await queue.claim(10), late.id)).toBe(true);
});

test("it is claimed at once when it comes a moment late in a lane that has nothing else, though another lane flows", async () => {
  await using database = await createDatabase();
  await fill(database, 100);
  await age(database);
  const { queue } = await openQueue(database, { clock: { now: () => 0 } });
  await using connection = openConnection(database);
  await connection.begin(async (tx) => {
    await tx`select mailchute.send('{"from": "shop@example.com", "to": "ann@example.com", "priority": "high", "subject": "Hi", "text": "Hi"}')`;
    expect((await queue.claim(10)).messages).toHaveLength(10);
  });
  const [first] = (await queue.claim(10)).messages;
  expect(first?.lane).toBe(0);
});

test("a relay whose room is always full takes it, though there is always more", async () => {
  await using database = await createDatabase();
  await enqueueMany(database, 1_500);
  await age(database);
  const late = await enqueueLate(database);
  let hasCome = false;
  let accepted = 0;
  const server = await startScriptedServer({
    on: {
      content: async (content) => {
        accepted++;
        if (accepted === 300) await late.commit();
        if (content.includes("Subject: late")) hasCome = true;
        // One goes, one comes: there is no end to it before.
        if (!hasCome) await enqueue(database);
        return undefined;
      },
    },
  });
  await using _server = server;
  await using running = await openTestRelay(database, { smtpPort: server.port });
  await running.relay.runOnce();
  expect(hasCome).toBe(true);
}, 60_000);

test("a claim behind a floor does not walk over what was sent while somebody holds a snapshot", async () => {
  await using database = await createDatabase();
  await database.sql`
    insert into mailchute.queue (seq, lane, due) select i, 1, now() - interval '1 hour' + i * interval '1 microsecond' from generate_series(1, 20000) i`;
  await using holder = openConnection(database);
  await holder.begin("isolation level repeatable read", async (tx) => {
    await tx`select from mailchute.relay`;
    const [last] = await database.sql`select due::text from mailchute.queue where seq = 19000`;
    await database.sql`delete from mailchute.queue where seq <= 19000`;
    const pages = async (due: string, seq: number) => {
      const lanes = JSON.stringify([{ lane: 1, most: 100, due, seq }]);
      await using connection = openConnection(database);
      await connection.unsafe(`prepare claim as ${CLAIM}`);
      const [row] = await connection.unsafe(
        `explain (analyze, buffers, format json) execute claim (1, 120000, 1, true, '${lanes}')`,
      );
      const [{ Plan }] = row?.["QUERY PLAN"] as [{ Plan: Record<string, number> }];
      return (Plan["Shared Hit Blocks"] ?? 0) + (Plan["Shared Read Blocks"] ?? 0);
    };
    const [behind, whole] = [await pages(last?.due as string, 19_000), await pages("-infinity", 0)];
    expect(behind).toBeLessThan(60);
    // The guard sees what it guards against.
    expect(whole).toBeGreaterThan(behind * 4);
  });
});

test("nextDueMs() since a claim that took all sees what came after it, and so far ahead as it is asked", async () => {
  await using database = await createDatabase();
  await fill(database, 5);
  await age(database);
  let nowMs = 0;
  const { queue } = await openQueue(database, { leaseMs: 30_000, clock: { now: () => nowMs } });
  // The last claim left some.
  expect((await queue.claim(4)).hasMore).toBe(true);
  expect(await queue.nextDueMs({ sinceClaim: true })).toBeLessThan(0);
  expect((await queue.claim(4)).hasMore).toBe(false);
  expect(await queue.nextDueMs({ sinceClaim: true, withinMs: 20_000 })).toBeUndefined();
  expect(await queue.nextDueMs({ sinceClaim: true, withinMs: 40_000 })).toBeGreaterThan(20_000);
  await enqueue(database);
  nowMs = 10;
  expect(await queue.nextDueMs({ sinceClaim: true, withinMs: 50 })).toBeLessThanOrEqual(0);
  // What was due long before is a later claim's, and for whoever asks for everything.
  await age(database);
  expect(await queue.nextDueMs({ sinceClaim: true, withinMs: 50 })).toBeUndefined();
  expect(await queue.nextDueMs()).toBeLessThan(0);
  expect((await queue.claim(4)).messages).toHaveLength(1);
});
