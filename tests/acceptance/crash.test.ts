import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { createDatabase, type TestDatabase } from "../database.ts";
import { startRelayProcess, temporaryDirectory } from "../relay_process.ts";
import { enqueueMany, makeDue } from "../relay.ts";
import { type ScriptedServer, startScriptedServer } from "../scripted_server.ts";

const MAILS = 2_000;

/** The environment of a relay between a database and a server. */
function environment(
  database: TestDatabase,
  others: { readonly server: ScriptedServer; readonly state: { readonly path: string } },
): Readonly<Record<string, string>> {
  const { server, state } = others;
  return {
    DATABASE_URL: database.url,
    SMTP_URL: `smtp://127.0.0.1:${server.port}?tls=none`,
    RELAY_STATE_DIR: state.path,
    PORT: "0",
  };
}

const CONNECTIONS = 4;

test("kill -9 in the middle of 2,000 mails loses none and sends none twice, but one a connection that is on record as uncertain", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  using state = temporaryDirectory();
  await enqueueMany(database, MAILS);
  const env = environment(database, { server, state });

  await using first = startRelayProcess(["run"], env);
  await server.whenMails(MAILS / 4);
  first.kill("SIGKILL");
  expect(await first.exited).toBe(-1);
  expect(server.mails.length).toBeLessThan(MAILS);

  await using second = startRelayProcess(["run", "--once"], env);
  expect(await second.exited).toBe(0);
  expect(second.output()).toContain("took back what a relay that died here held");
  // Whose final dot was out and whose reply was not noted: these wait for five minutes, and nothing else does.
  const [counts] = await database.sql`
    select (select count(*)::int from mailchute.recipient where state = 'sent') as sent, (select count(*)::int from mailchute.queue) as open,
      (select count(*)::int from mailchute.attempt where outcome = 'uncertain') as uncertain`;
  const uncertain = counts?.uncertain as number;
  console.log(`  uncertain after kill -9: ${uncertain} of ${MAILS} (at most one a connection)`);
  expect(uncertain).toBeLessThanOrEqual(CONNECTIONS);
  expect({ ...counts }).toEqual({ sent: MAILS - uncertain, open: uncertain, uncertain });
  expect(repeated(server)).toBe(0);
  // The database has all that the first one had noted.
  expect(readdirSync(join(state.path, "journal"))).toEqual([]);

  await makeDue(database);
  expect(await startRelayProcess(["run", "--once"], env).exited).toBe(0);
  expect(repeated(server)).toBeLessThanOrEqual(uncertain);
  expect(messageIds(server).size).toBe(MAILS);
});

test(
  "kill -9 again and again, in one state directory: nothing is lost, and all that is sent twice is on record",
  async () => {
    await using server = await startScriptedServer();
    await using database = await createDatabase();
    using state = temporaryDirectory();
    await enqueueMany(database, MAILS);
    const env = environment(database, { server, state });
    for (let kill = 1; kill <= 5; kill++) {
      await using relay = startRelayProcess(["run"], env);
      await server.whenMails(Math.max(server.mails.length, (MAILS * kill) / 6));
      relay.kill("SIGKILL");
      await relay.exited;
    }
    for (let round = 0; round < 2; round++) {
      await makeDue(database);
      expect(await startRelayProcess(["run", "--once"], env).exited).toBe(0);
    }
    const [counts] = await database.sql`
    select (select count(*)::int from mailchute.recipient where state = 'sent') as sent,
      (select count(*)::int from mailchute.attempt where outcome = 'uncertain') as uncertain`;
    expect(counts?.sent).toBe(MAILS);
    expect(messageIds(server).size).toBe(MAILS);
    expect(repeated(server)).toBeLessThanOrEqual(counts?.uncertain as number);
    expect(counts?.uncertain as number).toBeLessThanOrEqual(5 * CONNECTIONS);
  },
  60_000,
);

function messageIds(server: ScriptedServer): ReadonlySet<string> {
  return new Set(server.mails.map(({ content }) => /^Message-ID: <(.*)>\r$/m.exec(content)?.[1] as string));
}

/** Copies beyond the first of each mail. */
function repeated(server: ScriptedServer): number {
  return server.mails.length - messageIds(server).size;
}

test("SIGTERM in the middle of a campaign ends the relay with 0, gives back what was not started, and duplicates nothing", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  using state = temporaryDirectory();
  await enqueueMany(database, MAILS);
  const env = environment(database, { server, state });
  await using first = startRelayProcess(["run"], env);
  await server.whenMails(MAILS / 4);
  first.kill("SIGTERM");
  expect(await first.exited).toBe(0);
  const [left] = await database
    .sql`select count(*)::int as open, count(leased_by)::int as leased, max(attempts)::int as attempts from mailchute.queue`;
  expect(left?.leased).toBe(0);
  expect(left?.attempts).toBe(0);
  expect(server.mails.length + (left?.open as number)).toBe(MAILS);

  await using second = startRelayProcess(["run", "--once"], env);
  expect(await second.exited).toBe(0);
  expect(server.mails).toHaveLength(MAILS);
});

test("a second relay in the same state directory does not start", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  using state = temporaryDirectory();
  const env = environment(database, { server, state });
  await using first = startRelayProcess(["run"], env);
  await first.printed("serving");
  await using second = startRelayProcess(["run", "--once"], env);
  expect(await second.exited).toBe(1);
  expect(second.output()).toContain("another relay works with it");
  first.kill("SIGTERM");
  expect(await first.exited).toBe(0);
});

test("run --once exits 75 with the counts when the SMTP server is out", async () => {
  await using server = await startScriptedServer({ on: { connect: () => ({ close: "421 4.3.2 down" }) } });
  await using database = await createDatabase();
  using state = temporaryDirectory();
  await database
    .sql`select mailchute.send('{"from": "a@example.com", "to": "b@example.com", "subject": "Hi", "text": "Hi"}')
    from generate_series(1, 5)`;
  await using once = startRelayProcess(["run", "--once"], {
    DATABASE_URL: database.url,
    SMTP_URL: `smtp://127.0.0.1:${server.port}?tls=none`,
    RELAY_STATE_DIR: state.path,
  });
  expect(await once.exited).toBe(75);
  expect(once.output()).toContain('"waiting":5');
});
