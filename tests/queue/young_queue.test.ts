import { expect, test } from "bun:test";
import postgres from "postgres";
import { createMailer } from "../../mod.ts";
import { createDatabase, type TestDatabase } from "../database.ts";
import { enqueueMany, openTestRelay, until } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";

const MAILS = 1_500;

test("plans that were made while the tables were empty read none of them when they have grown", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  // Known to be empty: else Postgres takes a new table for a larger one.
  await database.sql.unsafe("vacuum analyze").simple();
  {
    await using running = await openTestRelay(database, { smtpPort: server.port });
    // A prepared statement keeps its plan from the sixth time on.
    for (let round = 1; round <= 8; round++) {
      await enqueueMany(database, 1);
      await running.relay.runOnce();
    }
    await enqueueMany(database, MAILS);
    await running.relay.runOnce();
    expect(server.mails).toHaveLength(MAILS + 8);
  }
  const relays = async () =>
    (await database
      .sql`select from pg_stat_activity where application_name = 'mailchute relay' and datname = current_database()`)
      .count;
  await until(async () => await relays() === 0, "its sessions have ended");
  // enqueue and this test look too; a walk for each mail would be a million rows.
  for (const [table, rows] of Object.entries(await rowsRead(database))) {
    expect([table, rows < MAILS * 20]).toEqual([table, true]);
  }
}, 60_000);

test("an app whose session began on an empty queue finds its mails by their keys when there are many", async () => {
  await using database = await createDatabase();
  await database.sql.unsafe("vacuum analyze").simple();
  {
    const app = postgres(database.url, { max: 1, onnotice: () => {} });
    const mail = createMailer(app, { from: "shop@example.com" });
    const message = { to: "ann@example.com", subject: "Hi", text: "Hello" };
    // Eight, since a session keeps its plan from the sixth time on.
    const send = (round: number) => mail.send(message, { idempotencyKey: `key ${round % 8}` });
    for (let round = 0; round < 16; round++) await mail.get((await send(round)).id);
    await enqueueMany(database, MAILS);
    for (let round = 0; round < 100; round++) {
      const { id, created } = await send(round);
      expect(created).toBe(false);
      expect(await mail.get(id)).toBeDefined();
      await mail.cancel(id);
    }
    await app.end();
  }
  const apps = async () => (await database.sql`select from pg_stat_activity where datname = current_database()`).count;
  await until(async () => await apps() === 1, "its session has ended");
  for (const [table, rows] of Object.entries(await rowsRead(database))) {
    expect([table, rows < MAILS * 20]).toEqual([table, true]);
  }
}, 60_000);

/** How many rows were read by walks through whole tables. Numbers of a session are complete when it has ended. */
async function rowsRead({ sql }: TestDatabase): Promise<Readonly<Record<string, number>>> {
  const rows = await sql`
    select relname, seq_tup_read::int as rows from pg_stat_user_tables
    where schemaname = 'mailchute' and relname in ('message', 'content', 'recipient', 'attempt', 'queue')`;
  return Object.fromEntries(rows.map((row) => [row.relname as string, row.rows as number]));
}
