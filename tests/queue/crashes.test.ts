import { expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FlightLog } from "../../relay/journal/flight_log.ts";
import type { ClaimedMessage } from "../../relay/queue/queue.ts";
import { markStopped } from "../../relay/queue/relay_row.ts";
import { createDatabase, type TestDatabase } from "../database.ts";
import { describeMessage, enqueue, makeDue, openTestRelay, until } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";
import { endLeases, openQueue, settlement } from "./setup.ts";

async function crashes(database: TestDatabase): Promise<number> {
  const [row] = await database.sql`select crashes from mailchute.queue`;
  return row?.crashes as number;
}

async function claimOne({ queue }: Awaited<ReturnType<typeof openQueue>>): Promise<ClaimedMessage> {
  const [message] = (await queue.claim(1)).messages;
  if (message === undefined) throw new Error("Nothing was claimed");
  return message;
}

test("each holder that dies counts one crash, an attempt that comes to its end begins at 0 again, and what is given back keeps the count", async () => {
  await using database = await createDatabase();
  await enqueue(database);
  const relays = [await openQueue(database), await openQueue(database), await openQueue(database)] as const;
  expect((await claimOne(relays[0])).crashes).toBe(0);
  await endLeases(database);
  const second = await claimOne(relays[1]);
  expect(second.crashes).toBe(1);
  await endLeases(database);
  // Its own lease, which it could not prolong in time: nobody has died.
  expect((await claimOne(relays[1])).crashes).toBe(1);
  await endLeases(database);
  const third = await claimOne(relays[2]);
  expect(third.crashes).toBe(2);
  await relays[2].queue.release([{ ...third, delayMs: 0, crashes: undefined }]);
  expect(await crashes(database)).toBe(2);
  const again = await claimOne(relays[2]);
  await relays[2].queue.settle([settlement(again, "deferred", 0)]);
  expect(await crashes(database)).toBe(0);
});

test("a holder that was asked to stop has not crashed, even if it left its lease behind", async () => {
  await using database = await createDatabase();
  await enqueue(database);
  const [stopped, next] = [await openQueue(database), await openQueue(database)];
  const held = await claimOne(stopped);
  await stopped.queue.setAlone(held, true);
  await markStopped(database.sql, stopped.relayId);
  await endLeases(database);
  expect(await claimOne(next)).toMatchObject({ takenOver: true, crashes: 0, wasAlone: false });
});

test("a mail that was alone when its relay was lost with its journal fails, with the attempt that may have sent it; retry begins anew", async () => {
  await using database = await createDatabase();
  await using server = await startScriptedServer();
  const id = await enqueue(database);
  await database.sql`update mailchute.queue set crashes = 3`;
  const lost = await openQueue(database);
  expect(await lost.queue.setAlone(await claimOne(lost), true)).toBe(true);
  await endLeases(database);

  await using running = await openTestRelay(database, { smtpPort: server.port, leaseMs: 1_000, pollMs: 100 });
  running.relay.start();
  await until(async () => (await describeMessage(database, id)).state === "failed", "it fails");
  const { recipients, attempts } = await describeMessage(database, id);
  expect(recipients[0]?.reason).toBe(
    "The relay has died 4 times in a row with this mail in flight, the last time with nothing else",
  );
  expect(attempts.map(({ outcome }) => outcome)).toEqual(["uncertain"]);
  expect(server.mails).toHaveLength(0);

  await database.sql`select mailchute.retry_message((select seq from mailchute.message), true)`;
  await until(async () => (await describeMessage(database, id)).state === "sent", "it is sent");
  expect(running.lines.some((line) => line.includes("tried alone"))).toBe(false);
});

test("one of three crashes, or of many without its being alone, fails nothing: it is uncertain, and is tried alone", async () => {
  await using database = await createDatabase();
  await using server = await startScriptedServer();
  const id = await enqueue(database);
  await database.sql`update mailchute.queue set crashes = 7`;
  await claimOne(await openQueue(database));
  await endLeases(database);
  await using running = await openTestRelay(database, { smtpPort: server.port, leaseMs: 1_000, pollMs: 100 });
  running.relay.start();
  await until(async () => (await describeMessage(database, id)).state === "deferred", "it is on record as uncertain");
  expect(await crashes(database)).toBe(8);
  await makeDue(database);
  await until(async () => (await describeMessage(database, id)).state === "sent", "it is sent");
  expect(running.lines.some((line) => line.includes("tried alone"))).toBe(true);
});

test("a retry begins at 0 crashes, of a mail that is still open too", async () => {
  await using database = await createDatabase();
  await enqueue(database);
  await database.sql`update mailchute.queue set crashes = 3`;
  await database.sql`select mailchute.retry_message((select seq from mailchute.message), false)`;
  expect(await crashes(database)).toBe(0);
});

test("the flight log knows what was in flight at each death until every database has taken it, and nothing after a stop", () => {
  const directory = mkdtempSync(join(tmpdir(), "mailchute-flights-"));
  const turns: (() => void)[] = [];
  const open = () => new FlightLog(directory, (_delayMs, callback) => (turns.push(callback), () => {}));
  const nextTurn = () => turns.splice(0).forEach((callback) => callback());
  try {
    const first = open();
    const ended = first.begin("home", "1");
    first.begin("home", "2");
    first.end(ended);
    nextTurn();
    first.begin("shop", "12");
    const replaced = first.begin("home", "13");
    first.end(replaced);
    first.begin("home", "14");
    nextTurn();
    first.begin("x".repeat(200), "3");
    // The first dies, and the second before it has told anybody.
    const second = open();
    second.begin("home", "4");
    const third = open();
    const found = ["1", "2", "4", "12", "13", "14"].filter((seq) => third.wasInFlight("home", seq));
    expect(found).toEqual(["2", "4", "14"]);
    expect(third.wasInFlight("shop", "12")).toBe(true);
    third.replayed("home");
    expect(third.wasInFlight("home", "2")).toBe(false);
    expect(readdirSync(directory)).toHaveLength(2);
    third.replayed("shop");
    expect(readdirSync(directory)).toHaveLength(1);
    const slot = third.begin("home", "5");
    third.close();
    third.end(slot);
    nextTurn();
    third.begin("home", "6");
    expect(readdirSync(directory)).toHaveLength(0);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("a crash that one database has counted is not found again because another never takes its own", () => {
  const directory = mkdtempSync(join(tmpdir(), "mailchute-flights-"));
  const open = () => new FlightLog(directory, () => () => {});
  try {
    const first = open();
    first.begin("home", "1");
    first.begin("copy", "2");
    const second = open();
    second.replayed("home");
    second.begin("home", "3");
    const third = open();
    expect(["1", "3"].filter((seq) => third.wasInFlight("home", seq))).toEqual(["3"]);
    expect(third.wasInFlight("copy", "2")).toBe(true);
    third.replayed("home");
    const fourth = open();
    expect(fourth.wasInFlight("home", "3")).toBe(false);
    expect(fourth.wasInFlight("copy", "2")).toBe(true);
    fourth.replayed("copy");
    expect(readdirSync(directory)).toHaveLength(1);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
