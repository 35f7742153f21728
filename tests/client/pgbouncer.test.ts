import { expect } from "bun:test";
import postgres from "postgres";
import { createMailer } from "../../mod.ts";
import { postgresMailer } from "../../src/drivers/postgres.ts";
import { createDatabase } from "../database.ts";
import { testWith } from "../debian.ts";
import { startNeonStandin } from "../neon_standin.ts";
import { thoroughly } from "../thoroughly.ts";
import { CASES } from "./cases.ts";
import { pgPool } from "./kinds/pg.ts";
import { postgresUnprepared } from "./kinds/postgres.ts";
import { PGBOUNCER, startPgBouncer } from "./pgbouncer.ts";
import { grantShop } from "./shop.ts";

// Behind PgBouncer in transaction mode the next statement of an app runs on another server, unless both are of one
// transaction.

const NEEDED = { program: PGBOUNCER, package: "pgbouncer" };
/** Fewer than the app has connections, so that each transaction gets whichever is free. */
const SERVERS = 2;
const MESSAGE = { from: "a@shop.example", to: "ann@example.com", subject: "s", text: "t" };

for (const kind of [postgresUnprepared, pgPool]) {
  for (const [sentence, work] of Object.entries(CASES)) {
    testWith(NEEDED, `${kind.name} behind PgBouncer in transaction mode: ${sentence}`, async () => {
      await using db = await createDatabase();
      await using pooler = await startPgBouncer(await grantShop(db), SERVERS);
      await using standin = await startNeonStandin(db.url);
      await using open = await kind.open(pooler.url, standin);
      const mail = createMailer(open.connection, { from: "Shop <shop@shop.example>" });
      await work({ kind, open, mail, admin: async (text) => await db.sql.unsafe(text), thoroughly });
    });
  }
}

testWith(NEEDED, "behind PgBouncer in transaction mode: 200 transactions of 20 connections on 2 servers", async () => {
  await using db = await createDatabase();
  await using pooler = await startPgBouncer(await grantShop(db), SERVERS);
  const sql = postgres(pooler.url, { prepare: false, max: 20 });
  const mail = createMailer(sql);
  const orders = Array.from({ length: 200 }, (_, number) =>
    sql.begin(async (tx) => {
      await tx`insert into orders (number) values (${number})`;
      await mail.send(MESSAGE, { tx });
      if (number % 4 === 0) throw new Error("out of stock");
    }));
  const settled = await Promise.allSettled(orders);
  expect(settled.filter(({ status }) => status === "rejected")).toHaveLength(50);
  expect(await db.sql`select from mailchute.queue`).toHaveLength(150);
  expect(await db.sql`select from orders`).toHaveLength(150);
  const servers = await db
    .sql`select from pg_stat_activity where usename = 'shop_app' and datname = current_database()`;
  expect(servers).toHaveLength(SERVERS);
  await sql.end();
});

testWith(NEEDED, "behind PgBouncer in transaction mode: postgresMailer needs no setting", async () => {
  await using db = await createDatabase();
  await using pooler = await startPgBouncer(await grantShop(db), SERVERS);
  await using mail = postgresMailer(pooler.url);
  const sent = await Promise.all(Array.from({ length: 40 }, () => mail.send(MESSAGE)));
  expect(sent.every(({ created }) => created)).toBe(true);
});
