import { expect, test } from "bun:test";
import type { Sql } from "postgres";
import { startDatabaseProxy } from "../database_proxy.ts";
import { createDatabase, type TestDatabase } from "../database.ts";
import { startHeldServer } from "../held_server.ts";
import { describeMessage, enqueue, makeDue, openTestRelay, until } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";
import { endLeases, holdIntents, openQueue, queueRow, settlement } from "./setup.ts";

const LEASE_MS = 1_000;
/** The identity of a state directory. */
const INSTANCE = "017f22e2-79b0-7000-8000-000000000001";

/** A relay claims the mail, says that it may have been sent, and is gone. */
async function loseOneThatMayBeSent(database: TestDatabase): Promise<void> {
  const { queue } = await openQueue(database);
  const [message] = (await queue.claim(1)).messages;
  if (message === undefined) throw new Error("Nothing was claimed");
  expect(await queue.intend(message)).toBe(true);
}

test("a mail whose relay was lost in its first attempt is uncertain by that attempt, and sent by the next", async () => {
  await using database = await createDatabase();
  await using server = await startScriptedServer();
  const id = await enqueue(database);
  const { queue: lost } = await openQueue(database);
  expect((await lost.claim(1)).messages).toHaveLength(1);
  await endLeases(database);

  await using running = await openTestRelay(database, { smtpPort: server.port, leaseMs: LEASE_MS, pollMs: 100 });
  running.relay.start();
  await until(async () => (await describeMessage(database, id)).state === "deferred", "it is on record as uncertain");
  expect(server.mails).toHaveLength(0);
  await makeDue(database);
  await until(async () => (await describeMessage(database, id)).state === "sent", "it is sent");
  const { attempts } = await describeMessage(database, id);
  expect(attempts.map(({ number, outcome }) => [number, outcome])).toEqual([[1, "uncertain"], [2, "sent"]]);
});

test("a relay that starts leaves alone what others hold for the time of a lease: they may have been kept from renewing it", async () => {
  await using database = await createDatabase();
  await using server = await startScriptedServer();
  await enqueue(database);
  const other = await openQueue(database);
  const [held] = (await other.queue.claim(1)).messages;
  await endLeases(database);
  await enqueue(database, { to: "bob@example.com" });
  await using running = await openTestRelay(database, { smtpPort: server.port });
  running.relay.start();
  await server.whenMails(1);
  expect(server.mails.map(({ recipients }) => recipients)).toEqual([["bob@example.com"]]);
  expect(await queueRow(database, held?.seq as string)).toMatchObject({ leasedBy: other.relayId, attempts: 1 });
  expect(await other.queue.renew(held === undefined ? [] : [held])).toEqual(new Set([held?.seq as string]));
});

test("a mail that must not be sent twice and whose relay was lost before it could be is sent by the first attempt", async () => {
  await using database = await createDatabase();
  await using server = await startScriptedServer();
  const id = await enqueue(database, { onUncertain: "hold" });
  const { queue: lost } = await openQueue(database);
  expect((await lost.claim(1)).messages).toHaveLength(1);
  await endLeases(database);

  await using running = await openTestRelay(database, { smtpPort: server.port, leaseMs: LEASE_MS, pollMs: 100 });
  running.relay.start();
  await until(async () => (await describeMessage(database, id)).state === "sent", "it is sent");
  const { attempts } = await describeMessage(database, id);
  expect(attempts.map(({ number, outcome }) => [number, outcome])).toEqual([[1, "sent"]]);
});

test("a mail that must not be sent twice and may have been when its relay was lost is held, with the attempt that says so", async () => {
  await using database = await createDatabase();
  await using server = await startScriptedServer();
  const id = await enqueue(database, { onUncertain: "hold" });
  await loseOneThatMayBeSent(database);
  await endLeases(database);

  await using running = await openTestRelay(database, { smtpPort: server.port, leaseMs: LEASE_MS, pollMs: 100 });
  running.relay.start();
  await until(async () => (await describeMessage(database, id)).state === "held", "it is held");
  const { attempts } = await describeMessage(database, id);
  expect(attempts.map(({ number, outcome }) => [number, outcome])).toEqual([[1, "uncertain"]]);
  expect(server.mails).toHaveLength(0);
});

test("a mail that must not be sent twice and may have been is held also when the relay that took it over was lost before it could say so", async () => {
  await using database = await createDatabase();
  await using server = await startScriptedServer();
  const id = await enqueue(database, { onUncertain: "hold" });
  await loseOneThatMayBeSent(database);
  // Each that takes over dies too, with nothing written.
  for (let relay = 0; relay < 2; relay++) {
    await endLeases(database);
    const { queue } = await openQueue(database);
    expect((await queue.claim(1)).messages).toMatchObject([{ takenOver: true, intended: true }]);
  }
  await endLeases(database);

  await using running = await openTestRelay(database, { smtpPort: server.port, leaseMs: LEASE_MS, pollMs: 100 });
  running.relay.start();
  await until(async () => (await describeMessage(database, id)).state === "held", "it is held");
  expect(server.mails).toHaveLength(0);
});

test("a mail that must not be sent twice is not begun before the database has the word that it may be sent", async () => {
  await using database = await createDatabase();
  await using server = await startScriptedServer();
  await using intents = await holdIntents(database);
  await enqueue(database, { onUncertain: "hold" });
  await using running = await openTestRelay(database, { smtpPort: server.port, connections: 1 });
  running.relay.start();
  await intents.reached();
  // Over the same connection, on which it would have been before this one.
  await enqueue(database, { to: "bob@example.com" });
  await server.whenMails(1);
  await intents.release();
  await server.whenMails(2);
  expect(server.mails.map(({ recipients }) => recipients)).toEqual([["bob@example.com"], ["ann@example.com"]]);
});

test("with RELAY_ON_UNCERTAIN=hold a mail that says nothing of itself is held as one that does: its final dot is said, and without that word it is sent", async () => {
  await using database = await createDatabase();
  await using server = await startHeldServer();
  const id = await enqueue(database);
  const { queue: lost } = await openQueue(database);
  expect((await lost.claim(1)).messages).toHaveLength(1);
  await endLeases(database);

  const options = { smtpPort: server.port, leaseMs: LEASE_MS, pollMs: 100, onUncertain: "hold" } as const;
  await using running = await openTestRelay(database, options);
  running.relay.start();
  await server.reached;
  expect([...await database.sql`select intent from mailchute.queue`]).toEqual([{ intent: true }]);
  server.release();
  await until(async () => (await describeMessage(database, id)).state === "sent", "it is sent");
  const { attempts } = await describeMessage(database, id);
  expect(attempts.map(({ number, outcome }) => [number, outcome])).toEqual([[1, "sent"]]);
});

test("that a mail may have been sent is said of one claim: deferred or given back, it may be begun again when its next relay is lost", async () => {
  await using database = await createDatabase();
  await enqueue(database, { onUncertain: "hold" });
  for (const end of ["deferred", "given back"]) {
    const { queue } = await openQueue(database);
    const { queue: lost } = await openQueue(database);
    const { queue: other } = await openQueue(database);
    const [message] = (await queue.claim(1)).messages;
    if (message === undefined) throw new Error("Nothing was claimed");
    expect(await queue.intend(message)).toBe(true);
    if (end === "deferred") await queue.settle([settlement(message, "deferred", 0)]);
    else await queue.release([{ ...message, delayMs: 0 }]);

    expect((await lost.claim(1)).messages).toMatchObject([{ takenOver: false, intended: false }]);
    await endLeases(database);
    const [taken] = (await other.claim(1)).messages;
    expect(taken).toMatchObject({ takenOver: true, intended: false });
    if (taken !== undefined) await other.settle([settlement(taken, "deferred", 0)]);
  }
});

test("a mail of a lost relay is uncertain also when the claim that took it over was not answered", async () => {
  await using database = await createDatabase();
  await using proxy = await startDatabaseProxy(database.url);
  await using server = await startScriptedServer();
  const id = await enqueue(database);
  const { queue: lost } = await openQueue(database);
  expect((await lost.claim(1)).messages).toHaveLength(1);
  await endLeases(database);

  const options = { smtpPort: server.port, leaseMs: LEASE_MS, pollMs: 100 };
  await using running = await openTestRelay({ ...database, url: proxy.url }, options);
  const unanswered = proxy.loseAnswer(id);
  running.relay.start();
  await unanswered;
  // Its own lease now, of which it knows nothing.
  await until(async () => (await describeMessage(database, id)).attempts.length > 0, "it is on record");
  const { state, attempts } = await describeMessage(database, id);
  expect({ state, outcomes: attempts.map(({ outcome }) => outcome) }).toEqual({
    state: "deferred",
    outcomes: ["uncertain"],
  });
  expect(server.mails).toHaveLength(0);
});

test("a mail of a lost relay is uncertain also when the one that took it over was told to stop, or died and began again, before it could say so", async () => {
  await using database = await createDatabase();
  await using server = await startScriptedServer();
  const ids = [await enqueue(database), await enqueue(database)];
  const { queue: lost } = await openQueue(database);
  expect((await lost.claim(2)).messages).toHaveLength(2);
  await endLeases(database);
  const second = await openQueue(database, { instance: INSTANCE });
  const [first] = (await second.queue.claim(2)).messages;
  if (first === undefined) throw new Error("Nothing was taken over");
  // One is given back, the other adopted.
  await second.queue.release([{ ...first, delayMs: 0, crashes: undefined }]);

  const options = { smtpPort: server.port, leaseMs: LEASE_MS, pollMs: 100, instance: INSTANCE };
  await using running = await openTestRelay(database, options);
  running.relay.start();
  for (const id of ids) {
    await until(async () => (await describeMessage(database, id)).attempts.length > 0, "it is on record");
    expect((await describeMessage(database, id)).attempts.map(({ outcome }) => outcome)).toEqual(["uncertain"]);
  }
  expect(server.mails).toHaveLength(0);
});

test(
  "a mail that waited for a connection while another relay had it is begun anew, for whom that one has left",
  async () => {
    await using server = await startHeldServer();
    await using database = await createDatabase();
    await using running = await openTestRelay(database, { smtpPort: server.port, connections: 1, pollMs: 60_000 });
    running.relay.start();
    await enqueue(database);
    await server.reached;
    const id = await enqueue(database, { to: ["ann@example.com", "bob@example.com"], onUncertain: "hold" });
    await database.sql`notify mailchute`;
    await until(async () => (await describeMessage(database, id)).state === "sending", "it waits for the connection");
    // As when this relay did not reach the database for longer than its lease.
    await database.sql.begin(async (tx) => {
      await tx`update mailchute.queue set due = now() - interval '1 millisecond'`;
      const { queue } = await openQueue({ sql: tx as unknown as Sql });
      const taken = (await queue.claim(10)).messages.find((message) => message.id === id);
      if (taken === undefined) throw new Error("Nothing was taken over");
      const [sent, deferred] = [settlement(taken, "sent"), settlement(taken, "deferred", 0)];
      await queue.settle([{
        ...deferred,
        outcomes: [...sent.outcomes.slice(0, 1), ...deferred.outcomes.slice(1)],
        recipients: [...sent.recipients.slice(0, 1), ...deferred.recipients.slice(1)],
      }]);
    });
    await database.sql`notify mailchute`;
    await until(async () => (await describeMessage(database, id)).state === "sending", "claimed again");
    server.release();
    await until(async () => (await describeMessage(database, id)).state === "sent", "sent");
    expect(server.mails.map(({ recipients }) => recipients)).toEqual([["ann@example.com"], ["bob@example.com"]]);
  },
  20_000,
);
