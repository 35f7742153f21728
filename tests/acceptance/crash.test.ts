import { expect, test } from "bun:test";
import { createDatabase, type TestDatabase } from "../database.ts";
import { enqueueMany } from "../relay.ts";
import { startRelayProcess, temporaryDirectory } from "../relay_process.ts";
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

test("kill -9 in the middle of 2,000 mails loses none: run --once after it sends the rest", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  using state = temporaryDirectory();
  await enqueueMany(database, MAILS);
  const env = environment(database, { server, state });

  const first = startRelayProcess(["run"], env);
  await server.whenMails(MAILS / 4);
  first.kill("SIGKILL");
  expect(await first.exited).toBe(-1);
  expect(server.mails.length).toBeLessThan(MAILS);

  const second = startRelayProcess(["run", "--once"], env);
  expect(await second.exited).toBe(0);
  expect(second.output()).toContain("took back what a relay that died here held");

  const copies = new Map<string, number>();
  for (const { content } of server.mails) {
    const id = /^Message-ID: <(.*)>\r$/m.exec(content)?.[1] as string;
    copies.set(id, (copies.get(id) ?? 0) + 1);
  }
  const twice = [...copies.values()].filter((count) => count > 1).length;
  console.log(`  sent twice after kill -9: ${twice} of ${MAILS} (at most what the first relay held unsettled)`);
  expect(copies.size).toBe(MAILS);
  expect(twice).toBeLessThanOrEqual(400);
  const [rows] = await database.sql`
    select (select count(*)::int from mailchute.recipient where state = 'sent') as sent, (select count(*)::int from mailchute.queue) as open`;
  expect({ ...rows }).toEqual({ sent: MAILS, open: 0 });
});

test("SIGTERM in the middle of a campaign ends the relay with 0, gives back what was not started, and duplicates nothing", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  using state = temporaryDirectory();
  await enqueueMany(database, MAILS);
  const env = environment(database, { server, state });
  const first = startRelayProcess(["run"], env);
  await server.whenMails(MAILS / 4);
  first.kill("SIGTERM");
  expect(await first.exited).toBe(0);
  const [left] = await database
    .sql`select count(*)::int as open, count(leased_by)::int as leased, max(attempts)::int as attempts from mailchute.queue`;
  expect(left?.leased).toBe(0);
  expect(left?.attempts).toBe(0);
  expect(server.mails.length + (left?.open as number)).toBe(MAILS);

  const second = startRelayProcess(["run", "--once"], env);
  expect(await second.exited).toBe(0);
  expect(server.mails).toHaveLength(MAILS);
});

test("a second relay in the same state directory does not start", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  using state = temporaryDirectory();
  const env = environment(database, { server, state });
  const first = startRelayProcess(["run"], env);
  await first.printed("serving");
  const second = startRelayProcess(["run", "--once"], env);
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
  const once = startRelayProcess(["run", "--once"], {
    DATABASE_URL: database.url,
    SMTP_URL: `smtp://127.0.0.1:${server.port}?tls=none`,
    RELAY_STATE_DIR: state.path,
  });
  expect(await once.exited).toBe(75);
  expect(once.output()).toContain('"waiting":5');
});
