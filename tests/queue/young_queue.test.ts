import { expect, test } from "bun:test";
import { createDatabase } from "../database.ts";
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
  // Numbers of a session are complete when it has ended.
  const read = async () => {
    const rows = await database.sql`
      select relname, seq_tup_read::int as rows from pg_stat_user_tables
      where schemaname = 'mailchute' and relname in ('message', 'content', 'recipient', 'attempt')`;
    return Object.fromEntries(rows.map((row) => [row.relname as string, row.rows as number]));
  };
  const relays = async () =>
    (await database
      .sql`select from pg_stat_activity where application_name = 'mailchute relay' and datname = current_database()`)
      .count;
  await until(async () => await relays() === 0, "its sessions have ended");
  // enqueue and this test look too; a walk for each mail would be a million rows.
  for (const [table, rows] of Object.entries(await read())) expect([table, rows < MAILS * 20]).toEqual([table, true]);
}, 30_000);
