import { expect, test } from "bun:test";
import { type ClaimedMessage, Queue } from "../../relay/queue/queue.ts";
import { systemClock } from "../../relay/time/clock.ts";
import { createDatabase } from "../database.ts";
import { enqueue, makeDue, until } from "../relay.ts";
import { endLeases, everything, fill, openConnection, openQueue, queueRow, settlement } from "./setup.ts";

test("an expired lease is taken over: the first holder's settle, renew and release answer nothing and change nothing", async () => {
  await using database = await createDatabase();
  await enqueue(database);
  const [first, second] = [await openQueue(database), await openQueue(database)];
  const [held] = (await first.queue.claim(1)).messages;
  if (held === undefined) throw new Error("Nothing was claimed");
  expect((await second.queue.claim(1)).messages).toEqual([]);

  await endLeases(database);
  const [taken] = (await second.queue.claim(1)).messages;
  expect(taken).toMatchObject({ seq: held.seq, attempt: held.attempt + 1, takenOver: true });
  expect(taken?.lease).not.toBe(held.lease);

  const before = await everything(database, held.seq);
  expect(await first.queue.settle([settlement(held, "sent")])).toEqual(new Set());
  expect(await first.queue.settle([settlement(held, "deferred", 60_000)])).toEqual(new Set());
  expect(await first.queue.settle([settlement(held, "uncertain", "held")])).toEqual(new Set());
  expect(await first.queue.renew([held])).toEqual(new Set());
  expect(await first.queue.release([{ ...held, delayMs: 0 }])).toEqual(new Set());
  expect(await everything(database, held.seq)).toBe(before);

  if (taken === undefined) throw new Error("Nothing was taken over");
  expect(await second.queue.settle([settlement(taken, "sent")])).toEqual(new Set([held.seq]));
});

test("a lease of one's own that was claimed again is another lease: the earlier one settles nothing", async () => {
  await using database = await createDatabase();
  await enqueue(database);
  const { queue } = await openQueue(database);
  const [old] = (await queue.claim(1)).messages;
  await endLeases(database);
  const [current] = (await queue.claim(1)).messages;
  if (old === undefined || current === undefined) throw new Error("Nothing was claimed");
  expect(await queue.renew([old])).toEqual(new Set());
  expect(await queue.release([{ ...old, delayMs: 0 }])).toEqual(new Set());
  expect(await queue.settle([settlement(old, "sent")])).toEqual(new Set());
  expect([await queue.intend(old), await queue.setAlone(old, true)]).toEqual([false, false]);
  expect(await queue.settle([settlement(current, "sent")])).toEqual(new Set([current.seq]));
});

test("a relay that knows another's lease number still cannot write: the lease names its holder", async () => {
  await using database = await createDatabase();
  await enqueue(database);
  const [first, second] = [await openQueue(database), await openQueue(database)];
  const [held] = (await first.queue.claim(1)).messages;
  if (held === undefined) throw new Error("Nothing was claimed");
  const before = await everything(database, held.seq);
  expect(await second.queue.settle([settlement(held, "sent")])).toEqual(new Set());
  expect(await second.queue.renew([held])).toEqual(new Set());
  expect(await second.queue.release([{ ...held, delayMs: 0 }])).toEqual(new Set());
  expect([await second.queue.intend(held), await second.queue.setAlone(held, true)]).toEqual([false, false]);
  expect(await everything(database, held.seq)).toBe(before);
});

test("settle, renew, release and adopt that meet a takeover under way wait for it, and change nothing then", async () => {
  await using database = await createDatabase();
  await enqueue(database);
  const first = await openQueue(database);
  const successor = await openQueue(database, { instance: first.instance });
  const [held] = (await first.queue.claim(1)).messages;
  if (held === undefined) throw new Error("Nothing was claimed");
  await endLeases(database);
  const other = await openQueue(database);
  await using connection = openConnection(database);
  await connection`begin`;
  const taker = new Queue(connection, { relayId: other.relayId, leaseMs: 60_000, clock: systemClock });
  expect((await taker.claim(1)).messages).toMatchObject([{ seq: held.seq, takenOver: true }]);

  const answers = Promise.all([
    first.queue.settle([settlement(held, "sent")]),
    first.queue.renew([held]),
    first.queue.release([{ ...held, delayMs: 0 }]),
    successor.queue.adopt(first.instance).then(({ messages }) => new Set(messages)),
  ]);
  await until(async () => {
    const [row] = await database.sql`
      select count(*)::int as waiting from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
    return row?.waiting === 4;
  }, "all of them wait");
  await connection`commit`;
  expect(await answers).toEqual([new Set(), new Set(), new Set(), new Set()]);
  expect(await queueRow(database, held.seq)).toMatchObject({ leasedBy: other.relayId, attempts: 2, isDue: false });
});

test("of a batch only the stale leases are refused", async () => {
  await using database = await createDatabase();
  await fill(database, 3);
  const [first, second] = [await openQueue(database), await openQueue(database)];
  const { messages } = await first.queue.claim(3);
  const [stolen, ...kept] = messages;
  if (stolen === undefined) throw new Error("Nothing was claimed");
  await database.sql`update mailchute.queue set due = now() where seq = ${stolen.seq}::bigint`;
  await second.queue.claim(1);
  const ours = new Set(kept.map(({ seq }) => seq));
  expect(await first.queue.renew(messages)).toEqual(ours);
  expect(await first.queue.settle(messages.map((message) => settlement(message, "sent")))).toEqual(ours);
  const [sent] = await database
    .sql`select array_agg(seq::text order by seq) as seqs from mailchute.recipient where state = 'sent'`;
  expect(new Set(sent?.seqs)).toEqual(ours);
});

test("settling twice writes once: the second answer is empty", async () => {
  await using database = await createDatabase();
  await fill(database, 2);
  const { queue } = await openQueue(database);
  const { messages } = await queue.claim(2);
  const [one, two] = messages.map((message, index) =>
    settlement(message, "deferred", index === 0 ? 60_000 : undefined)
  );
  if (one === undefined || two === undefined) throw new Error("Nothing was claimed");
  expect(await queue.settle([one, two])).toEqual(new Set([one.seq, two.seq]));
  const before = [await everything(database, one.seq), await everything(database, two.seq)];
  expect(await queue.settle([one, two])).toEqual(new Set());
  expect([await everything(database, one.seq), await everything(database, two.seq)]).toEqual(before);
});

test("a renewed lease is not taken over at its first end", async () => {
  await using database = await createDatabase();
  await enqueue(database);
  const [first, second] = [await openQueue(database), await openQueue(database)];
  const [held] = (await first.queue.claim(1)).messages;
  if (held === undefined) throw new Error("Nothing was claimed");
  await endLeases(database);
  // Late, and still in time: nobody has claimed it since.
  expect(await first.queue.renew([held])).toEqual(new Set([held.seq]));
  expect((await second.queue.claim(1)).messages).toEqual([]);
  // From now on, however often: when its holder is lost, the mail waits for one lease and no longer.
  expect(await first.queue.renew([held])).toEqual(new Set([held.seq]));
  const [row] = await database.sql`select due <= now() + interval '1 minute' as is_one_lease from mailchute.queue`;
  expect(row?.is_one_lease).toBe(true);
  expect(await first.queue.settle([settlement(held, "sent")])).toEqual(new Set([held.seq]));
});

test("adopt takes only what one's own predecessors held, as it is", async () => {
  await using database = await createDatabase();
  await fill(database, 3);
  const predecessor = await openQueue(database);
  const stranger = await openQueue(database);
  const [mine] = (await predecessor.queue.claim(1)).messages;
  const [theirs] = (await stranger.queue.claim(1)).messages;
  if (mine === undefined || theirs === undefined) throw new Error("Nothing was claimed");
  const successor = await openQueue(database, { instance: predecessor.instance });
  const before = await everything(database, theirs.seq);
  const adopted = (await successor.queue.adopt(predecessor.instance)).messages;
  expect(adopted.map(({ seq, lease, attempt }) => ({ seq, lease, attempt }))).toEqual([
    { seq: mine.seq, lease: mine.lease, attempt: mine.attempt },
  ]);
  expect(await everything(database, theirs.seq)).toBe(before);
  // The predecessor, should it still live (a copied state directory), holds a lease that is over.
  expect(await predecessor.queue.settle([settlement(mine, "sent")])).toEqual(new Set());
  expect(await successor.queue.settle([settlement(mine, "sent")])).toEqual(new Set([mine.seq]));
  // What one holds oneself is not one's predecessor's.
  expect((await successor.queue.claim(10)).messages).toHaveLength(1);
  expect((await successor.queue.adopt(predecessor.instance)).messages).toEqual([]);
});

test("an attempt whose number another relay has used meanwhile is one more: it is written, and keeps back nothing", async () => {
  await using database = await createDatabase();
  await fill(database, 2);
  const [frozen, other] = [await openQueue(database), await openQueue(database)];
  const [held, neighbour] = (await frozen.queue.claim(2)).messages;
  if (held === undefined || neighbour === undefined) throw new Error("Nothing was claimed");
  await database.sql`update mailchute.queue set due = now() where seq = ${held.seq}::bigint`;
  const [taken] = (await other.queue.claim(1)).messages;
  if (taken === undefined) throw new Error("Nothing was taken over");
  // What it finds under way it notes as the attempt of the one that was lost.
  await other.queue.settle([{ ...settlement(taken, "uncertain", 0), attempt: held.attempt }]);
  await makeDue(database);
  const [again] = (await frozen.queue.claim(1)).messages;
  if (again === undefined) throw new Error("Nothing was claimed again");
  const late = { ...settlement(held, "sent"), lease: again.lease };
  expect(await frozen.queue.settle([late, settlement(neighbour, "sent")])).toEqual(new Set([held.seq, neighbour.seq]));
  const attempts = await database
    .sql`select number, outcome from mailchute.attempt where seq = ${held.seq}::bigint order by number`;
  expect(attempts.map(({ number, outcome }) => [number, outcome])).toEqual([[1, "uncertain"], [2, "sent"]]);
});

test("settle() refuses what a relay says once more of a mail that had ended, and that it has claimed again since", async () => {
  await using database = await createDatabase();
  await enqueue(database);
  const { queue } = await openQueue(database);
  const claim = async () => (await queue.claim(1)).messages[0] as ClaimedMessage;
  const held = await claim();
  expect(await queue.settle([settlement(held, "bounced")])).toEqual(new Set([held.seq]));
  await database.sql`select mailchute.retry_message(${held.seq}::bigint, false)`;
  const again = await claim();
  expect(again.seq).toBe(held.seq);
  // Its answer was lost; and by its lease a journal would know it too.
  expect(await queue.settle([settlement(held, "bounced")])).toEqual(new Set());
  expect(again.lease).not.toBe(held.lease);
  expect(await queue.settle([settlement(again, "sent")])).toEqual(new Set([held.seq]));
});
