import { expect, test } from "bun:test";
import { createDatabase } from "../database.ts";
import { enqueue } from "../relay.ts";
import { endLeases, everything, fill, openConnection, openQueue, queueRow, settlement } from "./setup.ts";

test("claims of several relays at once never overlap, and together take all", async () => {
  await using database = await createDatabase();
  const MAILS = 3_000;
  await fill(database, MAILS);
  const taken = await Promise.all(Array.from({ length: 5 }, async () => {
    await using connection = openConnection(database);
    const { queue } = await openQueue({ sql: connection });
    const seqs: string[] = [];
    for (;;) {
      const { messages } = await queue.claim(37);
      if (messages.length === 0) return seqs;
      seqs.push(...messages.map(({ seq }) => seq));
    }
  }));
  const all = taken.flat();
  expect(all).toHaveLength(MAILS);
  expect(new Set(all).size).toBe(MAILS);
  // A test of one relay alone would prove nothing.
  expect(taken.filter((seqs) => seqs.length > 0).length).toBeGreaterThan(1);
  const [row] = await database.sql`
    select count(*)::int as leased, max(lease)::int as lease, max(attempts)::int as attempts from mailchute.queue where leased_by is not null`;
  expect({ ...row }).toEqual({ leased: MAILS, lease: 1, attempts: 1 });
}, 60_000);

test("claim() takes at most its limit: one, exactly as many as there are, and one more than there are", async () => {
  await using database = await createDatabase();
  await fill(database, 6);
  const { queue } = await openQueue(database);
  expect((await queue.claim(1)).messages).toHaveLength(1);
  expect((await queue.claim(3)).messages).toHaveLength(3);
  expect((await queue.claim(3)).messages).toHaveLength(2);
  expect((await queue.claim(1)).messages).toHaveLength(0);
});

test("claim() takes high before normal before low, and within a priority the oldest", async () => {
  await using database = await createDatabase();
  const ids = new Map<string, string>();
  for (const priority of ["low", "normal", "high"]) {
    for (const number of [1, 2]) ids.set(await enqueue(database, { priority }), `${priority} ${number}`);
  }
  const { queue } = await openQueue(database);
  const order = [];
  for (let count = 0; count < 6; count++) {
    const [message] = (await queue.claim(1)).messages;
    order.push(ids.get(message?.id as string));
  }
  expect(order).toEqual(["high 1", "high 2", "normal 1", "normal 2", "low 1", "low 2"]);
});

test("one claim goes on to the lower priorities when the higher ones do not fill it", async () => {
  await using database = await createDatabase();
  for (const priority of ["low", "high", "normal", "high"]) await enqueue(database, { priority });
  const { queue } = await openQueue(database);
  expect((await queue.claim(3)).messages).toHaveLength(3);
  const [left] = await database.sql`select lane from mailchute.queue where leased_by is null`;
  expect(left?.lane).toBe(2);
});

test("claim() leaves a scheduled message until its time, and a deferred one until its next attempt", async () => {
  await using database = await createDatabase();
  await enqueue(database, { scheduledAt: new Date(Date.now() + 60_000).toISOString() });
  const deferred = await enqueue(database);
  const { queue } = await openQueue(database);
  const [message] = (await queue.claim(10)).messages;
  expect(message?.id).toBe(deferred);
  if (message === undefined) throw new Error("Nothing was claimed");
  await queue.settle([settlement(message, "deferred", 60_000)]);
  expect((await queue.claim(10)).messages).toEqual([]);
  const waitMs = await queue.nextDueMs();
  expect(waitMs).toBeGreaterThan(55_000);
  expect(waitMs).toBeLessThanOrEqual(60_000);
  await database.sql`update mailchute.queue set due = now()`;
  expect((await queue.claim(10)).messages.map(({ attempt }) => attempt).sort()).toEqual([1, 2]);
});

test("claim() leaves a message that another relay holds, and nextDueMs tells when its lease ends", async () => {
  await using database = await createDatabase();
  await enqueue(database);
  const [first, second] = [await openQueue(database, { leaseMs: 30_000 }), await openQueue(database)];
  await first.queue.claim(1);
  expect((await second.queue.claim(1)).messages).toEqual([]);
  const waitMs = await second.queue.nextDueMs() as number;
  expect(waitMs).toBeGreaterThan(25_000);
  expect(waitMs).toBeLessThanOrEqual(30_000);
});

test("claim() takes over what another relay has lost, and with ownOnly leaves it alone, as a probe too", async () => {
  await using database = await createDatabase();
  await enqueue(database);
  const [lost, other] = [await openQueue(database), await openQueue(database)];
  const [held] = (await lost.queue.claim(1)).messages;
  await endLeases(database);
  for (const probe of [false, true]) {
    expect((await other.queue.claim(1, { probe, ownOnly: true })).messages).toEqual([]);
  }
  // What is one's own is taken back all the same.
  expect((await lost.queue.claim(1, { probe: true, ownOnly: true })).messages).toMatchObject([{ seq: held?.seq }]);
  await endLeases(database);
  expect((await other.queue.claim(1, { probe: true })).messages).toMatchObject([{ seq: held?.seq, takenOver: true }]);
});

test("what waited for a limit and was claimed is nobody else's: the limit's next token and its end leave it alone", async () => {
  await using database = await createDatabase();
  const id = await enqueue(database);
  const [first, second] = [await openQueue(database), await openQueue(database)];
  const [held] = (await first.queue.claim(1)).messages;
  if (held === undefined) throw new Error("Nothing was claimed");
  await first.queue.release([{ ...held, delayMs: 60_000, throttle: "1/h" }]);
  expect(await second.queue.throttles(10)).toEqual(["1/h"]);
  expect((await first.queue.claimWaiting(new Map([["1/h", 1]]))).messages).toMatchObject([{ id, waitedFor: "1/h" }]);

  const before = await everything(database, held.seq);
  expect(await second.queue.throttles(10)).toEqual([]);
  expect((await second.queue.claimWaiting(new Map([["1/h", 1]]))).messages).toEqual([]);
  await second.queue.unthrottle(["1/h"]);
  expect(await everything(database, held.seq)).toBe(before);
});

test("claim() never takes a held message, and nextDueMs does not see it", async () => {
  await using database = await createDatabase();
  await enqueue(database);
  const { queue } = await openQueue(database);
  const [message] = (await queue.claim(1)).messages;
  if (message === undefined) throw new Error("Nothing was claimed");
  await queue.settle([settlement(message, "uncertain", "held")]);
  expect(await queue.nextDueMs()).toBeUndefined();
  expect((await queue.claim(1)).messages).toEqual([]);
  expect(await queueRow(database, message.seq)).toMatchObject({ held: true, leasedBy: null });
});

test("claim() skips a row that an open transaction has locked, and takes the next", async () => {
  await using database = await createDatabase();
  const ids = [await enqueue(database), await enqueue(database)];
  await using other = openConnection(database);
  const { queue } = await openQueue(database);
  await other.begin(async (tx) => {
    await tx`select from mailchute.queue where seq = (select seq from mailchute.message where id = ${ids[
      0
    ] as string}) for update`;
    expect((await queue.claim(10)).messages.map(({ id }) => id)).toEqual([ids[1] as string]);
  });
  expect((await queue.claim(10)).messages.map(({ id }) => id)).toEqual([ids[0] as string]);
});

test("a claim counts an attempt and numbers it, and release gives it back", async () => {
  await using database = await createDatabase();
  await enqueue(database);
  const { queue, relayId } = await openQueue(database);
  for (const lease of [1, 2, 3]) {
    const [message] = (await queue.claim(1)).messages;
    expect(message).toMatchObject({ attempt: 1, lease: String(lease) });
    if (message === undefined) throw new Error("Nothing was claimed");
    expect(await queueRow(database, message.seq)).toMatchObject({
      attempts: 1,
      lease,
      leasedBy: relayId,
      isDue: false,
    });
    expect(await queue.release([{ ...message, delayMs: 0 }])).toEqual(new Set([message.seq]));
    expect(await queueRow(database, message.seq)).toMatchObject({ attempts: 0, lease, leasedBy: null, isDue: true });
  }
});

test("release with a delay makes the message due after it", async () => {
  await using database = await createDatabase();
  await enqueue(database);
  const { queue } = await openQueue(database);
  const { messages } = await queue.claim(1);
  await queue.release(messages.map((message) => ({ ...message, delayMs: 30_000 })));
  expect((await queue.claim(1)).messages).toEqual([]);
  const waitMs = await queue.nextDueMs() as number;
  expect(waitMs).toBeGreaterThan(25_000);
  expect(waitMs).toBeLessThanOrEqual(30_000);
});

test("a claim carries what is needed to compose: addresses in order, who is open, and both times", async () => {
  await using database = await createDatabase();
  const expiresAt = new Date(Date.now() + 86_400_000).toISOString();
  await database.sql`insert into mailchute.suppression (address, reason) values ('carl@example.com', 'bounce')`;
  const id = await enqueue(database, {
    to: ["Ann <ann@example.com>", "bob@example.com"],
    cc: "carl@example.com",
    bcc: "dora@example.com",
    replyTo: "Help <help@example.com>",
    returnPath: "bounces@example.com",
    unsubscribe: "https://example.com/u/1",
    onUncertain: "hold",
    stream: "bulk",
    expiresAt,
  });
  const { queue } = await openQueue(database);
  const { messages, nowMs } = await queue.claim(1);
  const [content] = await database.sql`select id from mailchute.content`;
  expect(Math.abs(nowMs - Date.now())).toBeLessThan(10_000);
  expect(messages[0]).toMatchObject({
    id,
    contentId: content?.id as string,
    takenOver: false,
    from: { email: "shop@example.com", name: "Shop" },
    replyTo: [{ email: "help@example.com", name: "Help" }],
    returnPath: "bounces@example.com",
    unsubscribe: "https://example.com/u/1",
    onUncertain: "hold",
    stream: "bulk",
    expiresAtMs: Date.parse(expiresAt),
    retriedAtMs: null,
    recipients: [
      { position: 0, kind: "to", email: "ann@example.com", name: "Ann", open: true, held: false },
      { position: 1, kind: "to", email: "bob@example.com", name: null, open: true, held: false },
      { position: 2, kind: "cc", email: "carl@example.com", name: null, open: false, held: false },
      { position: 3, kind: "bcc", email: "dora@example.com", name: null, open: true, held: false },
    ],
  });
  expect(Math.abs((messages[0]?.firstDueMs ?? 0) - nowMs)).toBeLessThan(10_000);
});
