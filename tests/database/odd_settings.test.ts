import { expect, test } from "bun:test";
import postgres from "postgres";
import { CLAIM } from "../../relay/queue/queue_statements.ts";
import { createDatabase, type TestDatabase, testServer } from "../database.ts";
import { found, look } from "../doctor/setup.ts";
import { startTransactionPooler } from "../doctor/transaction_pooler.ts";
import { run } from "../command.ts";
import { startRelayProcess, temporaryDirectory } from "../relay_process.ts";
import { enqueue, openTestRelay } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";

// What a database says for all its sessions, for an old application's sake, and what of it must not reach us.

async function set(database: TestDatabase, settings: Readonly<Record<string, string>>): Promise<void> {
  const name = new URL(database.url).pathname.slice(1);
  for (const [setting, value] of Object.entries(settings)) {
    await database.sql.unsafe(`alter database ${name} set ${setting} = ${value}`);
  }
}

/** Days before months: read as the driver reads a time, the third of February is the second of March. */
const OLD_TIMES = { datestyle: "'SQL, DMY'", timezone: "'Asia/Kolkata'", intervalstyle: "sql_standard" };

test("where DateStyle is an old one, commands and pages tell times as elsewhere, through a pooler too", async () => {
  await using database = await createDatabase();
  await set(database, OLD_TIMES);
  await using pooler = await startTransactionPooler(database.url);
  const id = await enqueue(database, { scheduledAt: "2040-02-03T04:05:06Z" });
  await database.sql`update mailchute.message set created_at = '2026-02-03T04:05:06Z'`;
  await database.sql`insert into mailchute.pause (key, since, by) values ('stream=x', '2026-02-03T04:05:06Z', 'ann')`;
  for (const url of [database.url, pooler.url]) {
    const told = async (...words: readonly string[]) => await run(words, { DATABASE_URL: url });
    expect(await told("list")).toMatchObject({ code: 0, stdout: expect.stringContaining("2026-02-03T04:05:06Z") });
    const [listed] = JSON.parse((await told("list", "--json")).stdout);
    expect(listed.createdAt).toBe("2026-02-03T04:05:06.000Z");
    expect((await told("pause")).stdout).toContain("2026-02-03T04:05:06Z");
    expect((await told("explain", id)).stdout).toContain("2040-02-03T04:05:06Z");
    for (const words of [["status"], ["batch"], ["stream"], ["suppress", "--list"], ["show", id]]) {
      expect(await told(...words)).toMatchObject({ code: 0 });
    }
  }
  using directory = temporaryDirectory();
  const env = {
    DATABASE_URL: database.url,
    SMTP_URL: "smtp://127.0.0.1:1",
    RELAY_STATE_DIR: directory.path,
    PORT: "0",
  };
  await using relay = startRelayProcess(["run"], env);
  await relay.printed('"msg":"serving"');
  const page = /http:\/\/127\.0\.0\.1:\d+/.exec(relay.output())?.[0] as string;
  expect(await (await fetch(page)).text()).toContain("2026-02-03T04:05:06Z");
}, 60_000);

test("where a claim went on from the last one is said in a form that any session reads the same", async () => {
  await using database = await createDatabase();
  await enqueue(database);
  const connection = { datestyle: "SQL, DMY", timezone: "Asia/Kolkata" };
  const sql = postgres(database.url, { max: 1, fetch_types: false, connection });
  await using _ended = { [Symbol.asyncDispose]: () => sql.end({ timeout: 1 }) };
  const lanes = JSON.stringify([{ lane: 1, most: 10, due: "-infinity", seq: "0" }]);
  // No such relay has to be there for a claim.
  const [row] = await sql.unsafe(CLAIM, ["1", 120_000, 10, true, lanes]);
  expect(row?.floor).toMatch(/^20\d\d-\d\d-\d\dT[\d:.]+\+05:30$/);
});

test("where transactions are serializable by default, a relay makes no app's enqueue fail, and fails for none", async () => {
  await using database = await createDatabase();
  await set(database, { default_transaction_isolation: "serializable" });
  await using server = await startScriptedServer();
  await using running = await openTestRelay(database, { smtpPort: server.port });
  running.relay.start();
  const app = postgres(database.url, { max: 1, fetch_types: false });
  await using _ended = { [Symbol.asyncDispose]: () => app.end({ timeout: 1 }) };
  expect(await app`show transaction_isolation`).toMatchObject([{ transaction_isolation: "serializable" }]);
  const mail = JSON.stringify({ from: "shop@example.com", to: "ann@example.com", subject: "Hi", text: "Hi" });
  for (let count = 0; count < 200; count++) await app`select mailchute.send(${mail}::text::jsonb)`;
  await server.whenMails(200);
  expect(running.lines.filter((line) => /serialize|"level":[45]0/.test(line))).toEqual([]);
});

test("a relay does not start on a database that may only be read, and says which and how to let it write", async () => {
  await using database = await createDatabase();
  await set(database, { default_transaction_read_only: "on" });
  using directory = temporaryDirectory();
  const env = { DATABASE_URL: database.url, SMTP_URL: "smtp://127.0.0.1:1", RELAY_STATE_DIR: directory.path };
  const { code, stderr } = await run(["run", "--once"], env);
  expect(code).toBe(1);
  expect(stderr).toMatch(
    /^mailchute: Cannot serve the database \S+: transactions are read-only there; name the primary in DATABASE_URL, or let it write: alter role postgres set/m,
  );
});

test(
  "behind a pooler, where the relay cannot say it for itself, doctor tells how transactions are to be isolated",
  async () => {
    await using database = await createDatabase();
    expect(found(await look(database.url), "isolation")).toEqual([]);
    await set(database, { default_transaction_isolation: "'repeatable read'" });
    expect(found(await look(database.url), "isolation")).toEqual([]);
    await using pooler = await startTransactionPooler(database.url);
    expect(found(await look(pooler.url), "isolation")).toEqual([
      "warn: transactions are repeatable read here: the relay's and those of apps make each other fail → " +
      "let the relay's role say otherwise: alter role postgres set default_transaction_isolation = 'read committed'",
    ]);
  },
  30_000,
);

test("where numbers are told with few digits, the database's clock is told with all of them", async () => {
  await using database = await createDatabase();
  await set(database, { extra_float_digits: "-10" });
  expect(found(await look(database.url), "clock")).toEqual([expect.stringMatching(/^ok/)]);
}, 30_000);

test("a database whose encoding lacks characters gets no schema, whoever migrates, and doctor says why", async () => {
  const { admin, url } = await testServer();
  for (const encoding of ["LATIN1", "SQL_ASCII"]) {
    const name = `test_${process.pid}_${encoding.toLowerCase()}`;
    await admin.unsafe(`create database ${name} encoding '${encoding}' locale 'C' template template0`);
    const DATABASE_URL = Object.assign(new URL(url), { pathname: `/${name}` }).href;
    const refused = `in a database whose encoding is ${encoding}: use one with the encoding UTF8`;
    expect(await run(["migrate"], { DATABASE_URL })).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(refused),
    });
    const { stdout: text } = await run(["migrate", "--sql"], { DATABASE_URL });
    const sql = postgres(DATABASE_URL, { max: 1, onnotice: () => {} });
    // As psql does, one statement after the other.
    const check = text.slice(text.indexOf("do $$"), text.indexOf("end $$;") + "end $$;".length);
    await expect(sql.unsafe(check).simple().then(() => "made")).rejects.toThrow(refused);
    await sql.end();
    expect(found(await look(DATABASE_URL), "postgres")[1]).toStartWith(`fail: the encoding ${encoding}`);
    await admin.unsafe(`drop database ${name} with (force)`);
  }
}, 30_000);
