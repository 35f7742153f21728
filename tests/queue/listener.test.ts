import { expect, test } from "bun:test";
import { type ListeningSession, openDatabase } from "../../relay/database/database.ts";
import { Listener } from "../../relay/drain/listener.ts";
import { startDatabaseProxy } from "../database_proxy.ts";
import { createDatabase, type TestDatabase } from "../database.ts";
import { startTransactionPooler } from "../doctor/transaction_pooler.ts";
import { describeMessage, enqueue, enqueueMany, openTestRelay, until } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";
import { fastClock } from "./fast_clock.ts";
import { untilSeen } from "./setup.ts";

/** Longer than any of these tests: what arrives sooner was rung. */
const LONG_POLL_MS = 10 * 60_000;

async function untilAsleep(database: TestDatabase): Promise<void> {
  await until(async () => (await database.sql`select from mailchute.relay where asleep`).count === 1, "asleep");
}

test("a listening connection that a firewall forgot is noticed and made anew, and the bell rings again", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  await using proxy = await startDatabaseProxy(database.url);
  await using running = await openTestRelay({ ...database, url: proxy.url }, {
    ...{ smtpPort: server.port, clock: fastClock, pollMs: LONG_POLL_MS, graceMs: 1_000 },
  });
  const [station] = running.relay.stations;
  running.relay.start();
  await untilSeen(database, () => station?.listening === true, "listening");
  proxy.forget();
  await untilSeen(database, () => station?.listening === false, "noticed");
  await untilSeen(database, () => station?.listening === true, "listening anew");
  await untilAsleep(database);
  const id = await enqueue(database);
  await until(async () => (await describeMessage(database, id)).state === "sent", "sent");
}, 60_000);

test("a session that no longer listens, though it lives, is noticed by asking that very session", async () => {
  await using database = await createDatabase();
  const { sql, openSession } = await openDatabase(
    { name: "home", display: "test", url: database.url, pooled: false },
    { leaseMs: 120_000, clock: fastClock },
  );
  const sessions: ListeningSession[] = [];
  let rings = 0;
  const listener = new Listener({
    connect: (hooks) => {
      const session = openSession(hooks);
      sessions.push(session);
      return session;
    },
    notify: (channel) => sql.unsafe("select pg_notify($1, '')", [channel]),
    bells: { mailchute: () => void rings++ },
    clock: fastClock,
    log: { info: () => {}, warn: () => {}, debug: () => {} },
  });
  const ended = listener.run();
  await untilSeen(database, () => listener.listening, "listening");
  // As a pooler does when it takes a connection back: DISCARD ALL.
  await sessions[0]?.unlisten();
  await untilSeen(database, () => sessions.length === 2 && listener.listening, "listening in another session");
  const before = rings;
  await database.sql`notify mailchute`;
  await untilSeen(database, () => rings > before, "rung");
  listener.stop();
  await ended;
  expect(listener.listening).toBe(false);
  await sql.end({ timeout: 1 });
});

test(
  "a listening connection that is ended again and again is made anew within seconds, with a look each time",
  async () => {
    await using server = await startScriptedServer();
    await using database = await createDatabase();
    await using running = await openTestRelay(database, { smtpPort: server.port, pollMs: LONG_POLL_MS });
    running.relay.start();
    const [station] = running.relay.stations;
    const cut: number[] = [];
    for (let round = 1; round <= 4; round++) {
      let pid = 0;
      await until(async () => {
        const [row] = await database.sql`
        select pid from pg_stat_activity
        where datname = current_database() and application_name = 'mailchute relay' and query ilike 'listen "mailchute"%'`;
        if (row === undefined) return false;
        pid = row.pid as number;
        return !cut.includes(pid) && station?.listening === true;
      }, "listening");
      await untilAsleep(database);
      cut.push(pid);
      // In one statement: the ring of this mail goes to nobody.
      await database.sql`
      select mailchute.send('{"from": "a@example.com", "to": "b@example.com", "subject": "Hi", "text": "Hi"}'), pg_terminate_backend(${pid})`;
      await server.whenMails(round);
    }
    expect(running.lines.filter((line) => line.includes("cannot listen"))).toEqual([]);
  },
  60_000,
);

test("behind a transaction pooler that nobody has named, it is said once, and mail goes out at the poll", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  await using pooler = await startTransactionPooler(database.url);
  await using running = await openTestRelay({ ...database, url: pooler.url }, {
    ...{ smtpPort: server.port, clock: fastClock, pollMs: 5_000, graceMs: 1_000 },
  });
  running.relay.start();
  const deaf = () => running.lines.filter((line) => line.includes("no notification arrives"));
  await untilSeen(database, () => deaf().length > 0, "said");
  expect(deaf()[0]).toContain("DATABASE_URL_UNPOOLED");
  await enqueueMany(database, 30);
  await server.whenMails(30);
  await until(async () => (await database.sql`select from mailchute.queue limit 1`).count === 0, "all settled");
  expect(server.mails).toHaveLength(30);
  expect(deaf()).toHaveLength(1);
  expect(running.relay.stations[0]?.listening).toBe(false);
}, 60_000);
