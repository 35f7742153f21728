import { expect, test } from "bun:test";
import { type DatabaseProxy, startDatabaseProxy } from "../database_proxy.ts";
import { createDatabase, type TestDatabase } from "../database.ts";
import { describeMessage, enqueue, openTestRelay, until } from "../relay.ts";
import { type ScriptedServer, startScriptedServer } from "../scripted_server.ts";
import { fastClock } from "./fast_clock.ts";
import { fill, openConnection, untilLogged } from "./setup.ts";

// A firewall forgets a connection and tells nobody: it stays open, and nothing comes back on it. New ones work.

/** A relay behind a firewall. */
async function openBehind(
  { database, proxy, server }: { database: TestDatabase; proxy: DatabaseProxy; server: ScriptedServer },
  options: { readonly pollMs?: number; readonly connections?: number } = {},
) {
  return await openTestRelay({ ...database, url: proxy.url }, {
    ...options,
    smtpPort: server.port,
    clock: fastClock,
    graceMs: 1_000,
  });
}

test("an idle relay whose connections were forgotten goes on with new ones", async () => {
  await using database = await createDatabase();
  await using proxy = await startDatabaseProxy(database.url);
  await using server = await startScriptedServer();
  await using running = await openBehind({ database, proxy, server }, { pollMs: 1_000 });
  running.relay.start();
  const first = await enqueue(database);
  await until(async () => (await describeMessage(database, first)).state === "sent", "sent");
  proxy.forget();
  const second = await enqueue(database);
  await until(async () => (await describeMessage(database, second)).state === "sent", "sent on a new connection");
  expect(server.mails).toHaveLength(2);
  expect(running.lines.filter((line) => line.includes("database answers again"))).toHaveLength(1);
}, 60_000);

test(
  "what the server said while every connection was being forgotten is written on new ones, and nothing is sent twice",
  async () => {
    const MAILS = 60;
    let accepted = 0;
    await using database = await createDatabase();
    await using proxy = await startDatabaseProxy(database.url);
    await using server = await startScriptedServer({
      on: {
        content: () => {
          accepted++;
          if (accepted % 20 === 0) proxy.forget();
          return undefined;
        },
      },
    });
    await fill(database, MAILS);
    await using running = await openBehind({ database, proxy, server }, { pollMs: 1_000 });
    running.relay.start();
    await until(
      async () => (await database.sql`select from mailchute.queue limit 1`).count === 0,
      "all settled",
      30_000,
    );
    expect(server.mails).toHaveLength(MAILS);
    const rows = await database
      .sql`select number, outcome, count(*)::int as count from mailchute.attempt group by 1, 2`;
    expect(rows.map((row) => ({ ...row }))).toEqual([{ number: 1, outcome: "sent", count: MAILS }]);
  },
  60_000,
);

test("a settlement that was executed, and whose answer a firewall kept, is not written twice", async () => {
  await using database = await createDatabase();
  await using proxy = await startDatabaseProxy(database.url);
  await using server = await startScriptedServer();
  await using running = await openBehind({ database, proxy, server });
  running.relay.start();
  const kept = proxy.keepAnswer('"kind":"sent"');
  const id = await enqueue(database);
  await kept;
  expect((await describeMessage(database, id)).state).toBe("sent");
  await untilLogged(database, running, "database answers again");
  const { state, attempts } = await describeMessage(database, id);
  expect({ state, outcomes: attempts.map(({ outcome }) => outcome) }).toEqual({ state: "sent", outcomes: ["sent"] });
  expect(server.mails).toHaveLength(1);
}, 60_000);

test("an attachment is read on when its connection is forgotten in the middle, in the same dialogue", async () => {
  const bytes = Buffer.alloc(2_000_000, "mailchute ");
  await using database = await createDatabase();
  await using proxy = await startDatabaseProxy(database.url);
  await using server = await startScriptedServer();
  await using running = await openBehind({ database, proxy, server });
  // Some slices are through.
  const reached = proxy.keepAnswer("bWFpbGNodXRl");
  running.relay.start();
  const id = await enqueue(database, {
    attachments: [{ filename: "a.bin", contentType: "application/octet-stream", base64: bytes.toString("base64") }],
  });
  await reached;
  await until(async () => (await describeMessage(database, id)).state === "sent", "sent");
  const { attempts } = await describeMessage(database, id);
  expect(attempts.map(({ number, outcome }) => [number, outcome])).toEqual([[1, "sent"]]);
  expect(server.mails[0]?.content.replaceAll("\r\n", "")).toContain(bytes.toString("base64"));
  expect(server.transcripts).toHaveLength(1);
}, 60_000);

test(
  "a statement that waits behind a lock is canceled, so that a locked table does not gather connections",
  async () => {
    await using database = await createDatabase();
    await using proxy = await startDatabaseProxy(database.url);
    await using server = await startScriptedServer();
    await using running = await openBehind({ database, proxy, server }, { pollMs: 500 });
    running.relay.start();
    await using locker = openConnection(database);
    await locker.unsafe("begin; lock table mailchute.queue in access exclusive mode").simple();
    const backends = async () => {
      const [row] = await locker`
      select count(*)::int as all, count(*) filter (where wait_event_type = 'Lock')::int as waiting from pg_stat_activity
      where datname = current_database() and application_name = 'mailchute relay'`;
      return row as unknown as { readonly all: number; readonly waiting: number };
    };
    await until(async () => (await backends()).waiting > 0, "waits");
    await untilLogged(database, running, "database does not answer");
    await until(async () => (await backends()).waiting === 0, "canceled");
    await until(async () => (await backends()).waiting > 0, "tries again");
    expect((await backends()).all).toBeLessThanOrEqual(7);
    await locker.unsafe("rollback");
    const id = await enqueue(database);
    await until(async () => (await describeMessage(database, id)).state === "sent", "sent");
  },
  60_000,
);

test(
  "run --once ends by itself when the database goes away with an outcome unwritten, and knows that not all is settled",
  async () => {
    for (const how of ["refuse", "freeze"] as const) {
      await using database = await createDatabase();
      await using proxy = await startDatabaseProxy(database.url);
      await using server = await startScriptedServer({
        on: {
          content: () => {
            proxy[how]();
            return undefined;
          },
        },
      });
      await using running = await openBehind({ database, proxy, server });
      await enqueue(database);
      const { waiting } = await running.relay.runOnce();
      expect({ how, waiting }).toEqual({ how, waiting: Number.NaN });
      expect(running.lines.some((line) => line.includes("gave up the database"))).toBe(true);
      expect(server.mails).toHaveLength(1);
    }
  },
  120_000,
);
