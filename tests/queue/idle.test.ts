import { expect, test } from "bun:test";
import { startDatabaseProxy } from "../database_proxy.ts";
import { createDatabase, type TestDatabase } from "../database.ts";
import { describeMessage, enqueue, openTestRelay, type TestRelay, until } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";
import { fastClock } from "./fast_clock.ts";
import { untilSeen } from "./setup.ts";

// A relay with RELAY_IDLE, on a database that sleeps when nobody asks it. The clock is ten times as fast: a rest begins
// after 6 seconds.

const HOUR_MS = 3_600_000;

/** How many statements relays have begun in this database, and what they are connected by. */
async function traffic(database: TestDatabase): Promise<{ readonly last: string; readonly connections: number }> {
  const [row] = await database.sql`
    select max(greatest(query_start, state_change))::text as last, count(*)::int as connections from pg_stat_activity
    where datname = current_database() and application_name = 'mailchute relay'`;
  return { last: row?.last as string, connections: row?.connections as number };
}

async function untilResting(database: TestDatabase, running: TestRelay): Promise<void> {
  await untilSeen(database, () => running.relay.stations.every(({ drain }) => drain.isResting), "resting");
}

test.concurrent(
  "an idle relay leaves the database alone, says until when, and is still rung awake while its connection lives",
  async () => {
    await using server = await startScriptedServer();
    await using database = await createDatabase();
    await using running = await openTestRelay(database, {
      ...{ smtpPort: server.port, clock: fastClock, graceMs: 1_000, idleMs: HOUR_MS },
    });
    running.relay.start();
    await untilResting(database, running);
    const [row] = await database.sql`
    select asleep, round(extract(epoch from heartbeat_at - now()) / 60)::int as minutes from mailchute.relay`;
    expect({ ...row }).toEqual({ asleep: true, minutes: 60 });
    // Longer than the pauses between heartbeats of all kinds: 1.5 s by this clock.
    const before = await traffic(database);
    const end = Date.now() + 4_000;
    await until(async () => (await traffic(database)).last !== before.last || Date.now() > end, "4 s later", 5_000);
    expect(await traffic(database)).toEqual(before);
    expect(await running.relay.stations[0]?.oldestDueMs()).toBeUndefined();
    expect((await traffic(database)).last).toBe(before.last);

    const id = await enqueue(database);
    await until(async () => (await describeMessage(database, id)).state === "sent", "sent");
    await untilSeen(database, () => running.relay.stations[0]?.drain.isResting === false, "awake");
  },
  60_000,
);

test.concurrent(
  "a database that went to sleep, and so has closed the connections, is connected to again only when the rest is over",
  async () => {
    await using server = await startScriptedServer();
    await using database = await createDatabase();
    await using proxy = await startDatabaseProxy(database.url);
    await using running = await openTestRelay({ url: proxy.url }, {
      // A rest of 6 seconds.
      ...{ smtpPort: server.port, clock: fastClock, graceMs: 1_000, idleMs: 60_000 },
    });
    const [station] = running.relay.stations;
    running.relay.start();
    await untilResting(database, running);
    proxy.refuse();
    proxy.pass();
    await untilSeen(database, () => station?.listening === false, "noticed");
    const id = await enqueue(database);
    let restedMs = 0;
    const start = Date.now();
    await until(async () => {
      const { connections } = await traffic(database);
      if (connections === 0) restedMs = Date.now() - start;
      return (await describeMessage(database, id)).state === "sent";
    }, "sent after the rest");
    expect(restedMs).toBeGreaterThan(2_000);
    await untilSeen(database, () => station?.listening === true, "listening again");
  },
  60_000,
);

test.concurrent(
  "a rest that could not be said to the database is none: a connection that is lost then is made anew",
  async () => {
    await using server = await startScriptedServer();
    await using database = await createDatabase();
    await using proxy = await startDatabaseProxy(database.url);
    await using running = await openTestRelay({ url: proxy.url }, {
      ...{ smtpPort: server.port, clock: fastClock, graceMs: 1_000, idleMs: HOUR_MS },
    });
    const [station] = running.relay.stations;
    running.relay.start();
    const isAsleep = async () => (await database.sql`select from mailchute.relay where asleep`).length > 0;
    await until(isAsleep, "asleep");
    await untilSeen(database, () => station?.listening === true, "listening");
    await proxy.loseRequest("set asleep = ");
    // The next rest is a minute of quiet away.
    const id = await enqueue(database);
    await until(async () => (await describeMessage(database, id)).state === "sent", "sent");
    proxy.refuse();
    proxy.pass();
    await untilSeen(database, () => station?.listening === false, "noticed");
    await untilSeen(database, () => station?.listening === true, "listening again");
    expect(station?.drain.isResting).toBe(false);
  },
  60_000,
);

test.concurrent("without RELAY_IDLE a relay with nothing to do goes on asking", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  await using running = await openTestRelay(database, { smtpPort: server.port, clock: fastClock, graceMs: 1_000 });
  running.relay.start();
  await untilSeen(database, () => running.relay.stations[0]?.listening === true, "listening");
  const started = fastClock.now();
  await untilSeen(database, () => fastClock.now() - started > 70_000, "more than a minute of quiet");
  const before = await traffic(database);
  await until(async () => (await traffic(database)).last !== before.last, "asked");
  expect(running.relay.stations[0]?.drain.isResting).toBe(false);
}, 60_000);
