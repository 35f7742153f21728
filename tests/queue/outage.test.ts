import { expect, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beginPause, endPause } from "../../relay/limits/pause_table.ts";
import { type Clock, systemClock } from "../../relay/time/clock.ts";
import { createDatabase, type TestDatabase, testServer } from "../database.ts";
import { startRelayProcess, temporaryDirectory } from "../relay_process.ts";
import { describeMessage, enqueue, openTestRelay, until } from "../relay.ts";
import { type AcceptedMail, startScriptedServer } from "../scripted_server.ts";
import { endLeases, fill, openConnection, openQueue, queueRow, untilLogged, untilSeen, waitForLocks } from "./setup.ts";

/** Ends every connection of relays to this database. @returns how many there were */
async function cut(database: TestDatabase): Promise<number> {
  const rows = await database.sql`
    select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'mailchute relay'`;
  return rows.length;
}

/** Takes a database away, or gives it back; connections that are open stay. */
async function allowConnections(database: TestDatabase, allowed: boolean): Promise<void> {
  const { admin } = await testServer();
  await admin.unsafe(`alter database ${new URL(database.url).pathname.slice(1)} allow_connections ${allowed}`);
}

function messageIds(mails: readonly AcceptedMail[]): readonly string[] {
  return mails.map(({ content }) => /^Message-ID: <(.*)>\r$/m.exec(content)?.[1] as string);
}

test(
  "a relay whose connections are all cut, again and again, goes on by itself, loses nothing and sends nothing twice",
  async () => {
    const MAILS = 800;
    await using database = await createDatabase();
    await fill(database, MAILS);
    let accepted = 0;
    let cuts = 0;
    await using server = await startScriptedServer({
      on: {
        content: async () => {
          accepted++;
          if (accepted % 200 === 100) cuts += await cut(database) > 0 ? 1 : 0;
          return undefined;
        },
      },
    });
    await using running = await openTestRelay(database, { smtpPort: server.port, pollMs: 200, leaseMs: 6_000 });
    running.relay.start();
    await until(
      async () => (await database.sql`select from mailchute.queue limit 1`).count === 0,
      "all settled",
      40_000,
    );
    expect(cuts).toBeGreaterThanOrEqual(3);
    expect(server.mails).toHaveLength(MAILS);
    expect(new Set(messageIds(server.mails)).size).toBe(MAILS);
    const states = await database.sql`select state, count(*)::int as count from mailchute.recipient group by 1`;
    expect(states.map((row) => ({ ...row }))).toEqual([{ state: "sent", count: MAILS }]);
    expect(running.lines.some((line) => line.includes("database does not answer"))).toBe(true);
    expect(running.lines.some((line) => line.includes("database answers again"))).toBe(true);
  },
  120_000,
);

test("what the server said while the database was away is written when it is back", async () => {
  await using database = await createDatabase();
  const id = await enqueue(database);
  await using server = await startScriptedServer({
    on: {
      content: async () => {
        await allowConnections(database, false);
        await cut(database);
        return undefined;
      },
    },
  });
  await using running = await openTestRelay(database, { smtpPort: server.port, pollMs: 100 });
  running.relay.start();
  await server.whenMails(1);
  await untilLogged(database, running, "database does not answer");
  expect((await describeMessage(database, id)).state).toBe("sending");
  await allowConnections(database, true);
  await until(async () => (await describeMessage(database, id)).state === "sent", "sent");
  expect(server.mails).toHaveLength(1);
}, 60_000);

test(
  "after an outage a relay leaves alone, for the time of a lease, what others could not renew meanwhile",
  async () => {
    await using database = await createDatabase();
    await using server = await startScriptedServer();
    const other = await openQueue(database);
    await enqueue(database);
    const [held] = (await other.queue.claim(1)).messages;
    let aheadMs = 0;
    // Before it tries again it waits for a second.
    const waits = Promise.withResolvers<void>();
    const clock: Clock = {
      now: () => Date.now() + aheadMs,
      after: (delayMs, callback) => {
        if (aheadMs > 0 && delayMs === 1_000) waits.resolve();
        return systemClock.after(delayMs, callback);
      },
    };
    await using running = await openTestRelay(database, { smtpPort: server.port, pollMs: 100, clock });
    running.relay.start();
    await enqueue(database, { to: "bob@example.com" });
    await server.whenMails(1);
    // The time is over in which it leaves them alone since it has just begun.
    aheadMs = 150_000;
    await allowConnections(database, false);
    await cut(database);
    await waits.promise;
    await endLeases(database);
    await allowConnections(database, true);
    await untilLogged(database, running, "database answers again");
    await enqueue(database, { to: "cleo@example.com" });
    await server.whenMails(2);
    expect(server.mails.flatMap(({ recipients }) => recipients)).toEqual(["bob@example.com", "cleo@example.com"]);
    expect(await queueRow(database, held?.seq as string)).toMatchObject({ leasedBy: other.relayId, attempts: 1 });
  },
  60_000,
);

test("a relay whose journal cannot be written claims nothing until it can", async () => {
  await using database = await createDatabase();
  await using server = await startScriptedServer();
  using folder = temporaryDirectory();
  const journal = join(folder.path, "journal");
  await using running = await openTestRelay(database, { smtpPort: server.port, pollMs: 100, journal });
  running.relay.start();
  await enqueue(database);
  await server.whenMails(1);
  // As good as a full disk (tests/journal/journal.test.ts); it shows when the next ones are about to be sent.
  rmSync(journal, { recursive: true });
  writeFileSync(journal, "");
  const drain = running.relay.stations[0]?.drain;
  await until(async () => {
    await enqueue(database);
    return drain?.journalTrouble !== undefined;
  }, "the journal is in trouble");

  const id = await enqueue(database, { to: "late@example.com" });
  const turnMs = drain?.lastTurnMs as number;
  await untilSeen(database, () => (drain?.lastTurnMs as number) > turnMs, "it has looked again");
  const [row] = await database.sql`
    select q.lease::int from mailchute.queue q join mailchute.message m on m.seq = q.seq where m.id = ${id}`;
  expect(row?.lease).toBe(0);
  rmSync(journal);
  await until(async () => (await describeMessage(database, id)).state === "sent", "it goes on");
}, 60_000);

test("mails that could not be given back while the database was away have lost no attempt", async () => {
  const reached = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  let isOut = true;
  await using database = await createDatabase();
  await fill(database, 20);
  await using server = await startScriptedServer({
    on: {
      connect: async () => {
        if (!isOut) return undefined;
        reached.resolve();
        await release.promise;
        return { close: "421 4.3.2 down" };
      },
    },
  });
  await using running = await openTestRelay(database, { smtpPort: server.port, pollMs: 100, leaseMs: 8_000 });
  running.relay.start();
  await reached.promise;
  await allowConnections(database, false);
  await cut(database);
  release.resolve();
  await untilLogged(database, running, "cannot give back yet");
  isOut = false;
  await allowConnections(database, true);
  await server.whenMails(20);
  await until(async () => (await database.sql`select from mailchute.queue limit 1`).count === 0, "all settled");
  const rows = await database.sql`select number, outcome, count(*)::int as count from mailchute.attempt group by 1, 2`;
  expect(rows.map((row) => ({ ...row }))).toEqual([{ number: 1, outcome: "sent", count: 20 }]);
}, 60_000);

test("one database's outage is unseen by the other database of the same relay, and ends by itself", async () => {
  await using server = await startScriptedServer();
  await using home = await createDatabase();
  await using shop = await createDatabase();
  using state = temporaryDirectory();
  await using relay = startRelayProcess(["run"], {
    DATABASE_URL: home.url,
    DATABASE_URL_SHOP: shop.url,
    SMTP_URL: `smtp://127.0.0.1:${server.port}?tls=none`,
    RELAY_STATE_DIR: state.path,
    RELAY_POLL: "1s",
    PORT: "0",
  });
  await relay.printed("serving");
  await enqueue(home, { to: "home1@example.com" });
  await enqueue(shop, { to: "shop1@example.com" });
  await server.whenMails(2);

  await allowConnections(shop, false);
  expect(await cut(shop)).toBeGreaterThan(0);
  await enqueue(shop, { to: "shop2@example.com" });
  await relay.printed("database does not answer");
  for (const number of [2, 3, 4]) {
    await enqueue(home, { to: `home${number}@example.com` });
    await server.whenMails(number + 1);
  }
  await allowConnections(shop, true);
  await server.whenMails(6);
  await relay.printed("database answers again");
  relay.kill("SIGTERM");
  expect(await relay.exited).toBe(0);

  const recipients = server.mails.map((mail) => mail.recipients[0] as string);
  expect([...recipients].sort()).toEqual(
    ["home1", "home2", "home3", "home4", "shop1", "shop2"].map((name) => `${name}@example.com`),
  );
  expect(recipients.at(-1)).toBe("shop2@example.com");
  const troubles = relay.output().split("\n").filter((line) => /"level":(40|50)/.test(line));
  expect(troubles.length).toBeGreaterThan(0);
  expect(troubles.filter((line) => line.includes('"database":"home"'))).toEqual([]);
}, 60_000);

test("a relay that stops while it looks what a pause has kept back does not take the end of its connections for an outage", async () => {
  await using database = await createDatabase();
  await using server = await startScriptedServer();
  const pause = { key: "stream=news", reason: undefined };
  await beginPause(database.sql, pause);
  await enqueue(database, { stream: "news" });
  await using running = await openTestRelay(database, { smtpPort: server.port });
  running.relay.start();
  const waiting = () => database.sql`select from mailchute.queue where throttle = 'paused:stream=news'`;
  await until(async () => (await waiting()).length === 1, "it is kept back");
  await using holder = openConnection(database);
  await holder`select pg_advisory_lock(1)`;
  await database.sql.unsafe(`
    create function hold() returns trigger language plpgsql as 'begin perform pg_advisory_xact_lock(1); return new; end';
    create trigger hold before update on mailchute.queue for each row when (old.throttle is not null) execute function hold()`);
  await endPause(database.sql, pause.key);
  await waitForLocks(database, 1);
  await running.relay.stop();
  await holder`select pg_advisory_unlock(1)`;
  // Until then its statement has no end.
  const sessions = () =>
    database
      .sql`select from pg_stat_activity where datname = current_database() and application_name = 'mailchute relay'`;
  await until(async () => (await sessions()).length === 0, "its connections have ended");
  expect(running.lines.filter((line) => line.includes("does not answer"))).toEqual([]);
});
