import { neon, neonConfig, Pool as NeonPool } from "@neondatabase/serverless";
import { expect, test } from "bun:test";
import pg from "pg";
import postgres from "postgres";
import { createMailer, type Mailer } from "../../mod.ts";
import { createDatabase, type TestDatabase } from "../database.ts";
import { startNeonStandin } from "../neon_standin.ts";
import { openTestRelay } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";

// The whole way, from the public client on a real driver to a real SMTP dialogue: a transaction that rolls back sends
// nothing, one that commits sends exactly one mail.

const MAIL = { from: "shop@example.com", to: "ann@example.com", text: "Hello" };

/** Sends "committed" in a transaction that commits and "rolled back" in one that does not. */
type Way = (database: TestDatabase) => Promise<void>;

const WAYS: Readonly<Record<string, Way>> = {
  "postgres.js": async ({ url }) => {
    const sql = postgres(url);
    const mail = createMailer(sql);
    await sql.begin((tx) => mail.send({ ...MAIL, subject: "committed" }, { tx }));
    await sql.begin(async (tx) => {
      await mail.send({ ...MAIL, subject: "rolled back" }, { tx });
      throw new Error("declined");
    }).catch(() => undefined);
    await sql.end();
  },
  "node-postgres": async ({ url }) => {
    const client = new pg.Client(url);
    await client.connect();
    await inTransactions(client, createMailer(client));
    await client.end();
  },
  "Neon WebSocket": async ({ url }) => {
    await using standin = await startNeonStandin(url);
    standin.configure(neonConfig);
    const pool = new NeonPool({ connectionString: standin.url });
    const client = await pool.connect();
    await inTransactions(client, createMailer(pool));
    client.release();
    await pool.end();
  },
  "Neon HTTP with sql.transaction([...])": async ({ url }) => {
    await using standin = await startNeonStandin(url);
    standin.configure(neonConfig);
    const sql = neon(standin.url);
    const mail = createMailer(sql);
    const run = async (subject: string, last: string) => {
      const { text, values } = await mail.statement({ ...MAIL, subject });
      await sql.transaction([sql.query(text, [...values]), sql.query(last)]);
    };
    await run("committed", "select 1");
    await run("rolled back", "select 1 / 0").catch(() => undefined);
  },
};

async function inTransactions(
  client: { query(text: string): Promise<unknown> },
  mail: Mailer,
): Promise<void> {
  for (const [subject, end] of [["committed", "commit"], ["rolled back", "rollback"]] as const) {
    await client.query("begin");
    await mail.send({ ...MAIL, subject }, { tx: client as never });
    await client.query(end);
  }
}

for (const [name, way] of Object.entries(WAYS)) {
  test(`${name}: a transaction that commits sends exactly one mail, one that rolls back sends none`, async () => {
    await using server = await startScriptedServer();
    await using database = await createDatabase();
    await way(database);
    await using running = await openTestRelay(database, { smtpPort: server.port });
    expect(await running.relay.runOnce()).toEqual({ waiting: 0, leased: 0 });
    expect(server.mails.map(({ content }) => /^Subject: (.*)\r$/m.exec(content)?.[1])).toEqual(["committed"]);
  });
}
