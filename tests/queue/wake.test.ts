import { expect, test } from "bun:test";
import { type Clock, systemClock } from "../../relay/time/clock.ts";
import { createDatabase, type TestDatabase } from "../database.ts";
import { describeMessage, enqueue, openTestRelay, until } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";
import { openConnection, openQueue } from "./setup.ts";

/**
 * Listens to the bell, and counts its rings once a marker of our own has come through: notices come in the order of the
 * commits.
 */
async function listen(database: TestDatabase): Promise<AsyncDisposable & { rings(): Promise<number> }> {
  let heard = 0;
  let marker = Promise.withResolvers<void>();
  const listener = openConnection(database);
  await listener.listen("mailchute", () => heard++);
  await listener.listen("marker", () => marker.resolve());
  return {
    rings: async () => {
      marker = Promise.withResolvers<void>();
      await database.sql`notify marker`;
      await marker.promise;
      const count = heard;
      heard = 0;
      return count;
    },
    [Symbol.asyncDispose]: () => listener.end({ timeout: 1 }),
  };
}

test("enqueue and reschedule ring only while a relay sleeps and lives", async () => {
  await using database = await createDatabase();
  await using bell = await listen(database);
  const { relayId } = await openQueue(database);
  const act = async () => {
    const id = await enqueue(database);
    await database.sql`select mailchute.reschedule_v1(${id}, now() + interval '1 hour')`;
  };
  await act();
  expect(await bell.rings()).toBe(0);

  await database.sql`update mailchute.relay set asleep = true where id = ${relayId}::bigint`;
  await act();
  expect(await bell.rings()).toBe(2);

  // A relay that died in its sleep costs nothing two minutes later.
  await database.sql`update mailchute.relay set heartbeat_at = now() - interval '3 minutes'`;
  await act();
  expect(await bell.rings()).toBe(0);
});

test("a transaction with many mails rings once, a replay and a suppressed mail never", async () => {
  await using database = await createDatabase();
  await using bell = await listen(database);
  const { relayId } = await openQueue(database);
  await database.sql`update mailchute.relay set asleep = true where id = ${relayId}::bigint`;
  await database.sql`
    select mailchute.send(jsonb_build_object('from', 'a@example.com', 'to', 'b@example.com', 'subject', 'Hi', 'text', 'Hi')) from generate_series(1, 50)`;
  expect(await bell.rings()).toBe(1);
  const request = { id: "018f0000-0000-7000-8000-000000000000" };
  await enqueue(database, request);
  expect(await bell.rings()).toBe(1);
  await enqueue(database, request);
  await database.sql`insert into mailchute.suppression (address, reason) values ('gone@example.com', 'bounce')`;
  await enqueue(database, { to: "gone@example.com" });
  expect(await bell.rings()).toBe(0);
});

test("an item of a digest rings when it ends the window sooner than all that wait, and not otherwise", async () => {
  await using database = await createDatabase();
  await using bell = await listen(database);
  const { relayId } = await openQueue(database);
  await database.sql`update mailchute.relay set asleep = true where id = ${relayId}::bigint`;
  for (const [wait, rings] of [["1h", 1], ["2h", 0], ["1h", 0], ["1m", 1], ["1h", 0]] as const) {
    await enqueue(database, { digest: { key: "replies", wait } });
    expect([wait, await bell.rings()]).toEqual([wait, rings]);
  }
  // Of another's digest nobody knows yet.
  await enqueue(database, { to: "bob@example.com", digest: { key: "replies", wait: "1h" } });
  expect(await bell.rings()).toBe(1);
});

test("a mail that waited for another use of its key rings a relay that has gone to sleep meanwhile", async () => {
  await using database = await createDatabase();
  await using bell = await listen(database);
  const { relayId } = await openQueue(database);
  await using left = openConnection(database);
  let second: Promise<string> | undefined;
  const rolledBack = left.begin(async (tx) => {
    await tx`select mailchute.send('{"from": "a@example.com", "to": "b@example.com", "subject": "Hi", "text": "Hi", "idempotencyKey": "order/1"}')`;
    second = enqueue(database, { idempotencyKey: "order/1" });
    await until(async () => {
      const waiting = await database.sql`
        select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
      return waiting.count > 0;
    }, "waiting for the key");
    await database.sql`update mailchute.relay set asleep = true where id = ${relayId}::bigint`;
    throw new Error("rolled back");
  });
  expect(await rolledBack.catch((error: Error) => error.message)).toBe("rolled back");
  await second;
  expect(await bell.rings()).toBe(1);
});

/** A clock whose longer timers never fire: no poll and no heartbeat, so that only the bell can wake a loop. */
const withoutPolls: Clock = {
  now: () => systemClock.now(),
  after: (delayMs, callback) => delayMs < 50 ? systemClock.after(delayMs, callback) : () => undefined,
};

/**
 * A clock that stands still when it is told to; the timers of 10 ms, by which the claim loop looks again, wait for it
 * to go on.
 */
function stoppedClock(): Clock & { stop(): void; go(): void } {
  let stoppedMs: number | undefined;
  let waiting: (() => void)[] = [];
  return {
    now: () => stoppedMs ?? systemClock.now(),
    after(delayMs, callback) {
      if (stoppedMs === undefined || delayMs !== 10) return systemClock.after(delayMs, callback);
      waiting.push(callback);
      return () => waiting = waiting.filter((other) => other !== callback);
    },
    stop: () => stoppedMs = systemClock.now(),
    go() {
      stoppedMs = undefined;
      for (const callback of waiting.splice(0)) callback();
    },
  };
}

test("an idle relay is rung awake by a commit, without any poll", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  await using running = await openTestRelay(database, { smtpPort: server.port, clock: withoutPolls });
  running.relay.start();
  await until(async () => {
    const [row] = await database.sql`select asleep from mailchute.relay`;
    return row?.asleep === true && running.relay.stations.every(({ listening }) => listening);
  }, "asleep and listening");
  const id = await enqueue(database);
  await server.whenMails(1);
  await until(async () => (await describeMessage(database, id)).state === "sent", "sent");
});

test("while mail flows the relay stays awake and looks by itself, so that no commit rings; when it ends, the relay sleeps", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  await using bell = await listen(database);
  const clock = stoppedClock();
  await using running = await openTestRelay(database, { smtpPort: server.port, clock });
  const asleep = async () => (await database.sql`select from mailchute.relay where asleep`).count === 1;
  running.relay.start();
  await until(async () => await asleep() && running.relay.stations.every(({ listening }) => listening), "asleep");
  clock.stop();
  await enqueue(database);
  expect(await bell.rings()).toBe(1);
  await server.whenMails(1);
  await until(async () => (await database.sql`select from mailchute.queue`).count === 0, "settled");
  expect(await asleep()).toBe(false);
  await enqueue(database);
  expect(await bell.rings()).toBe(0);
  clock.go();
  await server.whenMails(2);
  await until(asleep, "asleep again");
});

test("a relay whose listening connection is cut listens again, and looks for what it may have missed", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  await using running = await openTestRelay(database, { smtpPort: server.port, clock: withoutPolls });
  running.relay.start();
  const listener = async () => {
    const [row] = await database.sql`
      select pid from pg_stat_activity where datname = current_database() and query ilike 'listen "mailchute"%' and application_name = 'mailchute relay'`;
    return row?.pid as number | undefined;
  };
  await until(async () => await listener() !== undefined, "listening");
  await until(async () => (await database.sql`select from mailchute.relay where asleep`).count === 1, "asleep");
  const first = await listener() as number;
  // In one statement: the ring of this mail goes to nobody.
  await database
    .sql`select mailchute.send('{"from": "a@example.com", "to": "b@example.com", "subject": "Hi", "text": "Hi"}'), pg_terminate_backend(${first})`;
  await until(async () => ![undefined, first].includes(await listener()), "listening anew");
  await server.whenMails(1);
});

test("a mail whose transaction stays open is claimed after its commit, and not before", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  await using running = await openTestRelay(database, { smtpPort: server.port, pollMs: 50 });
  running.relay.start();
  await database.sql.begin(async (tx) => {
    await tx`select mailchute.send('{"from": "a@example.com", "to": "late@example.com", "subject": "Hi", "text": "Hi"}')`;
    // Younger, and committed earlier.
    await enqueue(database, { to: "early@example.com" });
    await server.whenMails(1);
  });
  await server.whenMails(2);
  expect(server.mails.map(({ recipients }) => recipients[0])).toEqual(["early@example.com", "late@example.com"]);
});

test("a relay says that it sleeps when nothing is due, and a stopped one is never rung", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  await using bell = await listen(database);
  await using running = await openTestRelay(database, { smtpPort: server.port });
  running.relay.start();
  await enqueue(database);
  await server.whenMails(1);
  await until(async () => (await database.sql`select from mailchute.relay where asleep`).count === 1, "asleep");
  await running.relay.stop();
  const [row] = await database.sql`select asleep, stopped_at is not null as stopped from mailchute.relay`;
  expect({ ...row }).toEqual({ asleep: false, stopped: true });
  await bell.rings();
  await enqueue(database);
  expect(await bell.rings()).toBe(0);
});
