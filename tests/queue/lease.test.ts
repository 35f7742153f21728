import { expect, test } from "bun:test";
import { createDatabase } from "../database.ts";
import { describeMessage, enqueue, openTestRelay, until } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";
import { openQueue, untilSeen } from "./setup.ts";

const LEASE_MS = 2_000;

test("the lease of a dialogue that takes longer is renewed, so that nobody else claims its message", async () => {
  const reached = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  await using server = await startScriptedServer({
    on: {
      content: async () => {
        reached.resolve();
        await release.promise;
        return undefined;
      },
    },
  });
  await using database = await createDatabase();
  const id = await enqueue(database);
  await using running = await openTestRelay(database, { smtpPort: server.port, leaseMs: LEASE_MS });
  running.relay.start();
  await reached.promise;
  const [first] = await database.sql`select due::text as ends, lease::int from mailchute.queue`;
  const other = await openQueue(database, { leaseMs: LEASE_MS });

  // The first lease and one more have ended by the clock of the database.
  await until(async () => {
    expect((await other.queue.claim(1)).messages).toEqual([]);
    const [row] = await database.sql`select now() > ${first
      ?.ends as string}::timestamptz + interval '1 second' as over`;
    return row?.over === true;
  }, "over");
  const [renewed] = await database.sql`select lease::int, attempts, due > now() as valid from mailchute.queue`;
  expect({ ...renewed }).toEqual({ lease: first?.lease as number, attempts: 1, valid: true });

  release.resolve();
  await until(async () => (await describeMessage(database, id)).state === "sent", "sent");
  expect(server.mails).toHaveLength(1);
  expect(running.relay.counters.settledStale).toBe(0);
}, 20_000);

test("a relay that has lost a lease lets the dialogue end, writes nothing and counts it", async () => {
  const reached = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  await using server = await startScriptedServer({
    on: {
      content: async () => {
        reached.resolve();
        await release.promise;
        return undefined;
      },
    },
  });
  await using database = await createDatabase();
  const id = await enqueue(database);
  await using running = await openTestRelay(database, { smtpPort: server.port });
  running.relay.start();
  await reached.promise;
  // As after a relay that was frozen past its lease.
  const other = await openQueue(database);
  await database
    .sql`update mailchute.queue set leased_by = ${other.relayId}::bigint, lease = lease + 1, attempts = attempts + 1, due = now() + interval '1 minute'`;
  release.resolve();
  await untilSeen(database, () => running.relay.counters.settledStale === 1, "counted");
  expect(await describeMessage(database, id)).toMatchObject({ state: "sending", attempts: [] });
  expect(running.lines.some((line) => line.includes("another relay has taken these messages over"))).toBe(true);
});

test("a relay that claims its own message again, its lease having ended under way, does not send it again", async () => {
  const reached = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  await using server = await startScriptedServer({
    on: {
      content: async () => {
        reached.resolve();
        await release.promise;
        return undefined;
      },
    },
  });
  await using database = await createDatabase();
  const id = await enqueue(database);
  await using running = await openTestRelay(database, { smtpPort: server.port });
  running.relay.start();
  await reached.promise;
  // As after an outage of the database that was longer than the lease.
  await database.sql`update mailchute.queue set due = now()`;
  await database.sql`notify mailchute`;
  await until(
    async () => (await database.sql`select from mailchute.queue where lease = 2`).count === 1,
    "claimed again",
  );
  release.resolve();
  await until(async () => (await describeMessage(database, id)).state === "sent", "sent");
  const { attempts } = await describeMessage(database, id);
  expect(attempts.map(({ number, outcome }) => [number, outcome])).toEqual([[1, "sent"]]);
  expect(server.mails).toHaveLength(1);
  expect(running.relay.counters.settledStale).toBe(0);
});
