import { expect, test } from "bun:test";
import { randomUUID } from "node:crypto";
import { Journal } from "../../relay/journal/journal.ts";
import { systemClock } from "../../relay/time/clock.ts";
import { createDatabase, type TestDatabase } from "../database.ts";
import { type DatabaseProxy, startDatabaseProxy } from "../database_proxy.ts";
import { openQueue, outcome, untilLogged } from "../queue/setup.ts";
import { describeMessage, enqueue, openTestRelay, type TestRelay, until } from "../relay.ts";
import { temporaryDirectory } from "../relay_process.ts";
import { startScriptedServer } from "../scripted_server.ts";

// What a relay's journal says of a copy is kept until that is adopted. It is the only one who knows that its mail was
// sent.

/**
 * A relay that waits in a copy, with the word of its predecessor that the one mail there was sent; `adopt` makes it no
 * copy any more.
 */
async function withWordOfPredecessor(
  adopted: (world: {
    readonly database: TestDatabase;
    readonly proxy: DatabaseProxy;
    readonly running: TestRelay;
    readonly adopt: () => Promise<unknown>;
  }) => Promise<void>,
): Promise<void> {
  await using database = await createDatabase();
  await using server = await startScriptedServer();
  using journal = temporaryDirectory();
  const instance = randomUUID();
  await using first = await openTestRelay(database, { smtpPort: server.port });
  await first.relay.runOnce();
  const id = await enqueue(database);
  const { queue } = await openQueue(database, { instance });
  const [held] = (await queue.claim(1)).messages;
  if (held === undefined) throw new Error("Nothing was claimed");
  const word = new Journal(journal.path, systemClock.after);
  const mark = { database: "home", seq: held.seq, lease: held.lease };
  word.intent(mark, "default", [0]);
  word.outcome(mark, [outcome("sent")]);
  word.close();

  const { sql } = database;
  const [place] = await sql`select database_oid from mailchute.place`;
  await sql`update mailchute.place set database_oid = 1`;
  await using proxy = await startDatabaseProxy(database.url);
  await using running = await openTestRelay({ url: proxy.url }, {
    ...{ smtpPort: server.port, instance, journal: journal.path },
  });
  running.relay.start();
  await untilLogged(database, running, "this database is a copy");
  const adopt = async () => {
    await sql`update mailchute.place set database_oid = ${place?.database_oid}`;
    running.relay.stations[0]?.drain.ring();
  };
  await adopted({ database, proxy, running, adopt });
  await until(async () => (await describeMessage(database, id)).state === "sent", "sent, by the journal");
  const { attempts } = await describeMessage(database, id);
  expect(attempts.map(({ number, outcome }) => [number, outcome])).toEqual([[1, "sent"]]);
  expect(server.mails).toEqual([]);
}

test(
  "what the journal knows of a copy is written at the second try, when the database was away at the first",
  async () => {
    await withWordOfPredecessor(async ({ proxy, running, adopt }) => {
      const lost = proxy.loseRequest('"ends"');
      await adopt();
      await lost;
      await until(() => Promise.resolve(running.relay.stations[0]?.drain.lastError !== undefined), "it has failed");
      running.relay.stations[0]?.drain.ring();
    });
  },
  30_000,
);

test("what the journal knows of a copy is written though another look finds it adopted meanwhile", async () => {
  await withWordOfPredecessor(async ({ database, proxy, running, adopt }) => {
    const answer = proxy.holdAnswer("r.instance =");
    await adopt();
    await answer.reached;
    const other = running.relay.stations[0]?.drain.discover();
    // As long as it takes one that does not wait for the first.
    for (let round = 0; round < 50; round++) await database.sql`select`;
    answer.release();
    await other;
  });
}, 30_000);
