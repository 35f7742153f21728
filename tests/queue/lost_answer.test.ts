import { expect, test } from "bun:test";
import { startDatabaseProxy } from "../database_proxy.ts";
import { createDatabase } from "../database.ts";
import { startHeldServer } from "../held_server.ts";
import { describeMessage, enqueue, makeDue, openTestRelay, until } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";
import { endLeases, queueRow, untilSeen } from "./setup.ts";

// A statement whose answer is lost was executed, and the relay cannot know.

const REFUSAL = "450 4.2.0 come back later";

test("a settlement whose answer was lost and whose mail was claimed again is written once, and the mail is tried again", async () => {
  await using database = await createDatabase();
  await using proxy = await startDatabaseProxy(database.url);
  let refused = 0;
  await using server = await startScriptedServer({ on: { rcpt: () => refused++ === 0 ? REFUSAL : undefined } });
  await using running = await openTestRelay({ ...database, url: proxy.url }, { smtpPort: server.port });
  running.relay.start();
  // The settlement says what the server said.
  const lost = proxy.loseAnswer("come back later");
  const id = await enqueue(database);
  await lost;
  expect((await describeMessage(database, id)).state).toBe("deferred");
  // Claimed again by its holder, before that has tried to write a second time.
  await makeDue(database);
  await until(async () => (await describeMessage(database, id)).state === "sending", "claimed again");
  await until(async () => (await describeMessage(database, id)).state === "sent", "sent");
  const { attempts } = await describeMessage(database, id);
  expect(attempts.map(({ number, outcome }) => [number, outcome])).toEqual([[1, "deferred"], [2, "sent"]]);
});

test(
  "a mail that a person has tried again while the answer to its last settlement was lost is not taken out of the queue by saying that once more",
  async () => {
    await using database = await createDatabase();
    await using proxy = await startDatabaseProxy(database.url);
    const answers: Record<string, (string | undefined)[]> = {
      "gone@example.com": ["550 5.1.1 gone"],
      "later@example.com": [REFUSAL],
    };
    await using server = await startScriptedServer({
      on: { rcpt: (address) => answers[address]?.shift(), content: () => "250 2.0.0 taken over" },
    });
    await using running = await openTestRelay({ ...database, url: proxy.url }, { smtpPort: server.port });
    running.relay.start();
    const id = await enqueue(database, { to: ["gone@example.com", "later@example.com"] });
    await until(async () => (await describeMessage(database, id)).state === "deferred", "one is gone, one comes later");
    const lost = proxy.loseAnswer("taken over");
    await makeDue(database);
    await database.sql`notify mailchute`;
    await lost;
    expect((await describeMessage(database, id)).state).toBe("bounced");
    await database.sql`select mailchute.retry_message(seq, false) from mailchute.message`;
    await until(async () => (await describeMessage(database, id)).state === "sent", "sent to both");
    expect(server.mails.map(({ recipients }) => recipients)).toEqual([["later@example.com"], ["gone@example.com"]]);
  },
  20_000,
);

test("a mail that was claimed again between its settlement and the answer to that is tried again, and not left to the end of its lease", async () => {
  await using database = await createDatabase();
  await using proxy = await startDatabaseProxy(database.url);
  let refused = 0;
  await using server = await startScriptedServer({ on: { rcpt: () => refused++ === 0 ? REFUSAL : undefined } });
  await using running = await openTestRelay({ ...database, url: proxy.url }, { smtpPort: server.port });
  running.relay.start();
  const answer = proxy.holdAnswer("come back later");
  const id = await enqueue(database);
  await answer.reached;
  expect((await describeMessage(database, id)).state).toBe("deferred");
  // As `retry` does.
  await makeDue(database);
  await database.sql`notify mailchute`;
  await until(async () => (await describeMessage(database, id)).state === "sending", "claimed again");
  answer.release();
  await until(async () => (await describeMessage(database, id)).state === "sent", "sent");
  const { attempts } = await describeMessage(database, id);
  expect(attempts.map(({ number, outcome }) => [number, outcome])).toEqual([[1, "deferred"], [2, "sent"]]);
});

test("a claim whose answer was lost costs its mail no attempt", async () => {
  await using database = await createDatabase();
  await using proxy = await startDatabaseProxy(database.url);
  await using server = await startScriptedServer({ on: { rcpt: () => REFUSAL } });
  const id = await enqueue(database);
  await using running = await openTestRelay({ ...database, url: proxy.url }, {
    smtpPort: server.port,
    pollMs: 50,
    maxAttempts: 2,
  });
  // Of all answers only that of the claim names the mail.
  const lost = proxy.loseAnswer(id);
  running.relay.start();
  await lost;
  await endLeases(database);
  await database.sql`notify mailchute`;
  await until(async () => (await describeMessage(database, id)).attempts.length > 0, "tried");
  const { state, attempts } = await describeMessage(database, id);
  expect({ state, numbers: attempts.map(({ number }) => number) }).toEqual({ state: "deferred", numbers: [1] });
  const [message] = await database.sql`select seq::text from mailchute.message`;
  expect(await queueRow(database, message?.seq as string)).toMatchObject({ attempts: 1, leasedBy: null });
});

test("a mail that was sent while the answer of its relay's own new claim was lost is settled at the next claim, and not sent again", async () => {
  await using server = await startHeldServer();
  await using database = await createDatabase();
  await using proxy = await startDatabaseProxy(database.url);
  const id = await enqueue(database);
  await using running = await openTestRelay({ ...database, url: proxy.url }, { smtpPort: server.port });
  running.relay.start();
  await server.reached;
  const lost = proxy.loseAnswer(id);
  await endLeases(database);
  await database.sql`notify mailchute`;
  await lost;
  server.release();
  // Refused twice: the relay knows nothing of its second lease.
  await untilSeen(database, () => running.relay.counters.settledStale === 1, "refused for good");
  expect((await describeMessage(database, id)).state).toBe("sending");
  await endLeases(database);
  await database.sql`notify mailchute`;
  await until(async () => (await describeMessage(database, id)).state === "sent", "settled");
  const { attempts } = await describeMessage(database, id);
  expect(attempts.map(({ number, outcome }) => [number, outcome])).toEqual([[1, "sent"]]);
  expect(server.mails).toHaveLength(1);
});
