import { expect, test } from "bun:test";
import { cpSync } from "node:fs";
import { join } from "node:path";
import postgres, { type Sql } from "postgres";
import { startEmbedded } from "../../relay/database/embedded.ts";
import { migrate } from "../../relay/database/migrate.ts";
import { type Clock } from "../../relay/time/clock.ts";
import { watch } from "../../relay/watch.ts";
import { startDatabaseProxy } from "../database_proxy.ts";
import { createDatabase, type TestDatabase, testServer } from "../database.ts";
import { found, look } from "../doctor/setup.ts";
import { startRelayProcess, temporaryDirectory } from "../relay_process.ts";
import {
  describeMessage,
  enqueue,
  enqueueMany,
  openTestRelay,
  type TestRelay,
  type TestRelayOptions,
  until,
} from "../relay.ts";
import { newRole } from "../schema/role.ts";
import { type ScriptedServer, startScriptedServer } from "../scripted_server.ts";
import { run } from "../command.ts";
import { fastClock } from "./fast_clock.ts";
import { untilLogged } from "./setup.ts";

// A database that was copied brings its queue along. What is in it is sent where it always was, and by nobody else.

const SAID = "this database is a copy: nothing is sent from it";

/** Serves a database once, which makes it the place of its queue. */
async function serve(url: string, server: ScriptedServer, options: Partial<TestRelayOptions> = {}): Promise<TestRelay> {
  await using running = await openTestRelay({ url }, { smtpPort: server.port, ...options });
  await running.relay.runOnce();
  return running;
}

/** Makes a copy of a database in the same cluster, as `create database … template`. */
async function templateOf(database: TestDatabase, name: string): Promise<TestDatabase> {
  const { admin } = await testServer();
  const original = new URL(database.url).pathname.slice(1);
  await database.sql.end({ timeout: 1 });
  await admin.unsafe(`create database ${name} template ${original}`);
  const url = new URL(database.url);
  url.pathname = `/${name}`;
  const sql = postgres(url.href, { onnotice: () => {} });
  return {
    ...{ url: url.href, sql, as: () => Promise.reject(new Error("not in a copy")) },
    [Symbol.asyncDispose]: async () => {
      await sql.end({ timeout: 1 });
      await admin.unsafe(`drop database if exists ${name} with (force)`);
    },
  };
}

/** Carries all rows over, as a dump that is restored. */
async function restore(from: Sql, into: Sql): Promise<void> {
  // As pg_dump does, without the columns that the table makes itself.
  const tables = await from`
    select c.relname as name, string_agg(quote_ident(a.attname), ', ' order by a.attnum) as columns
    from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
    where c.relnamespace = 'mailchute'::regnamespace and c.relkind = 'r' group by c.oid`;
  for (const { name, columns } of tables) {
    const [row] = await from.unsafe(`select coalesce(jsonb_agg(t), '[]')::text as rows from mailchute.${name} t`);
    await into.unsafe(`delete from mailchute.${name}`);
    await into.unsafe(
      `insert into mailchute.${name} (${columns}) overriding system value
      select ${columns} from jsonb_populate_recordset(null::mailchute.${name}, $1::text::jsonb)`,
      [row?.rows as string],
    );
  }
  for (const table of ["message", "relay"]) {
    const column = table === "relay" ? "id" : "seq";
    await into.unsafe(
      `select setval(pg_get_serial_sequence('mailchute.${table}', '${column}'), (select max(${column}) from mailchute.${table}))`,
    );
  }
}

/** Expects that a relay finds a copy, says so once, and sends nothing. */
async function expectUnsent(
  url: string,
  server: ScriptedServer,
  options: Partial<TestRelayOptions> = {},
): Promise<void> {
  const before = server.mails.length;
  const { lines } = await serve(url, server, options);
  expect(lines.filter((line) => line.includes(SAID))).toHaveLength(1);
  expect(server.mails).toHaveLength(before);
}

async function expectServed(
  url: string,
  server: ScriptedServer,
  options: Partial<TestRelayOptions> = {},
): Promise<void> {
  const { lines } = await serve(url, server, options);
  expect(lines.filter((line) => line.includes(SAID))).toEqual([]);
}

test("a template copy sends nothing, says so once, is named by /readyz and doctor, and leaves its leases alone", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  await serve(database.url, server);
  await enqueueMany(database, 3);
  const { url } = database;
  await using copy = await templateOf(database, "copy_of_ready");
  await using running = await openTestRelay({ url: copy.url }, {
    smtpPort: server.port,
    clock: fastClock,
    graceMs: 1_000,
  });
  running.relay.start();
  await untilLogged(copy, running, SAID);
  expect(running.lines.find((line) => line.includes(SAID))).toContain("mailchute adopt-copy --keep --database home, ");
  const clock: Clock = fastClock;
  const seen = watch({ relay: running.relay, routes: [], clock, version: "0", playground: false, pollMs: 5_000 });
  expect(await seen.ready()).toEqual({ ok: false, reasons: ["database home is a copy"] });
  const [state] = (await seen.status()).databases;
  expect(state?.copy).toContain(`/${new URL(url).pathname.slice(1)} (it is another database of the same cluster)`);
  const findings = await look(copy.url);
  expect(found(findings, "place")[0]).toMatch(
    /^fail: a copy: its queue is drained at localhost:\d+\/test_\w+, .* → mailchute adopt-copy --keep/,
  );
  const status = await run(["status"], { DATABASE_URL: copy.url });
  expect(status.stdout).toMatch(/\nhome is a copy, whose queue is drained at localhost:\d+\/test_\w+: nothing is sent/);
  // Nobody serves it: the relay that waits here does not count.
  expect(found(findings, "relays")[0]).toStartWith("warn: none serves");
  const [rows] = await copy
    .sql`select count(*)::int as open, count(leased_by)::int as leased, max(lease)::int as lease from mailchute.queue`;
  expect({ ...rows }).toEqual({ open: 3, leased: 0, lease: 0 });
  expect(server.mails).toHaveLength(0);
  expect(running.lines.filter((line) => line.includes(SAID))).toHaveLength(1);
  await expectServed(url, server);
  expect(server.mails).toHaveLength(3);
});

test(
  "a dump that is restored beside the original, or into another cluster, sends nothing; the original goes on",
  async () => {
    await using server = await startScriptedServer();
    await using original = await createDatabase();
    await serve(original.url, server);
    await enqueueMany(original, 3);
    await using beside = await createDatabase();
    await restore(original.sql, beside.sql);
    await expectUnsent(beside.url, server);

    using directory = temporaryDirectory();
    await using cluster = await startEmbedded({ directory: join(directory.path, "cluster"), durable: false });
    const elsewhere = postgres(cluster.url, { max: 1, onnotice: () => {} });
    await migrate(elsewhere);
    await restore(original.sql, elsewhere);
    // Even at the address of the original, as a restore in its stead would be.
    await elsewhere`update mailchute.place set database_oid = (select oid from pg_database where datname = current_database())`;
    const { hostname, port, pathname } = new URL(original.url);
    await expectUnsent(cluster.url, server, {
      address: `${hostname === "127.0.0.1" ? "localhost" : hostname}:${port}${pathname}`,
    });
    await elsewhere.end({ timeout: 1 });

    await expectServed(original.url, server);
    expect(server.mails).toHaveLength(3);
  },
  60_000,
);

test(
  "a copy of the whole cluster, as a promoted replica or a branch is one, sends nothing; the original does after a restart too",
  async () => {
    await using server = await startScriptedServer();
    using directory = temporaryDirectory();
    const home = join(directory.path, "home");
    const address = "db.example.com:5432/postgres";
    const first = await startEmbedded({ directory: home, durable: false });
    const sql = postgres(first.url, { max: 1, onnotice: () => {} });
    await migrate(sql);
    await serve(first.url, server, { address });
    await sql`select mailchute.send('{"from": "a@example.com", "to": "b@example.com", "subject": "Hi", "text": "Hi"}')`;
    await sql.end({ timeout: 1 });
    await first.stop();
    const twin = join(directory.path, "twin");
    cpSync(home, twin, { recursive: true, preserveTimestamps: true });

    await using original = await startEmbedded({ directory: home, durable: false });
    await using copy = await startEmbedded({ directory: twin, durable: false });
    await expectUnsent(copy.url, server, { address: "replica.example.com:5432/postgres" });
    await expectServed(original.url, server, { address });
    expect(server.mails).toHaveLength(1);
    // And from here on by any other name of the same server, such as a tunnel.
    await expectServed(original.url, server, { address: "localhost:15432/postgres" });
    await expectUnsent(copy.url, server, { address: "replica.example.com:5432/postgres" });
  },
  60_000,
);

test("another user, another name of the same host, a tunnel and a new name of the database lock nobody out", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  await serve(database.url, server);
  const role = newRole();
  await database.sql.unsafe(`grant mailchute_relay to ${new URL(await database.as(role)).username}`);
  await expectServed(await database.as(role), server);
  await expectServed(database.url.replace("127.0.0.1", "localhost"), server);
  await using tunnel = await startDatabaseProxy(database.url);
  await expectServed(tunnel.url, server);
  const [row] = await database.sql`select addresses from mailchute.place`;
  expect(row?.addresses).toHaveLength(2);
  const { admin } = await testServer();
  const name = new URL(database.url).pathname.slice(1);
  await database.sql.end({ timeout: 1 });
  await admin.unsafe(`alter database ${name} rename to renamed_for_place`);
  await expectServed(database.url.replace(name, "renamed_for_place"), server);
  await admin.unsafe(`alter database renamed_for_place rename to ${name}`);
});

test("a role that may not ask for the cluster finds a copy by the number of the database", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  const role = newRole();
  const url = await database.as(role);
  await database.sql.unsafe(
    `grant mailchute_relay to ${role}; revoke execute on function pg_control_system() from public`,
  ).simple();
  await serve(url, server);
  await expectServed(url, server);
  const [row] = await database.sql`select system_identifier from mailchute.place`;
  expect(row?.system_identifier).toBeNull();
  await enqueue(database);
  await using copy = await templateOf(database, "copy_without_cluster");
  await expectUnsent(url.replace(new URL(url).pathname, "/copy_without_cluster"), server);
  expect((await copy.sql`select from mailchute.queue`).count).toBe(1);
});

test("a database that is exchanged for a copy under a running relay is not drained any more", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  await using running = await openTestRelay(database, {
    smtpPort: server.port,
    clock: fastClock,
    graceMs: 1_000,
    pollMs: 1_000,
  });
  running.relay.start();
  const id = await enqueue(database);
  await until(async () => (await describeMessage(database, id)).state === "sent", "sent");
  const { admin } = await testServer();
  const name = new URL(database.url).pathname.slice(1);
  // No new connection to either until both have changed their names.
  await admin.unsafe(`alter database ${name} allow_connections false`);
  await admin`select pg_terminate_backend(pid) from pg_stat_activity where datname = ${name}`;
  await until(async () => (await admin`select from pg_stat_activity where datname = ${name}`).count === 0, "alone");
  await admin.unsafe(`create database restored template ${name}`);
  await admin.unsafe(`alter database ${name} rename to put_aside`);
  await admin.unsafe(`alter database restored rename to ${name}`);
  try {
    await enqueue(database);
    await untilLogged(database, running, SAID);
    expect(server.mails).toHaveLength(1);
  } finally {
    await admin.unsafe("alter database put_aside allow_connections true");
    await admin.unsafe("drop database put_aside with (force)");
  }
});

test("adopt-copy --keep: a relay that waits sends what is there, and takes back what its predecessor held", async () => {
  const instance = "018f0000-0000-4000-8000-000000000000";
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  await serve(database.url, server, { instance });
  await enqueueMany(database, 2);
  await database.sql`
    update mailchute.queue set leased_by = (select max(id) from mailchute.relay), lease = 1, attempts = 1, due = now() + interval '1 hour' where seq = 1`;
  await using copy = await templateOf(database, "copy_to_keep");
  await using running = await openTestRelay({ url: copy.url }, {
    smtpPort: server.port,
    clock: fastClock,
    graceMs: 1_000,
    instance,
  });
  running.relay.start();
  await untilLogged(copy, running, SAID);
  const { code, stderr } = await run(["adopt-copy", "--keep"], { DATABASE_URL: copy.url });
  expect({ code, stderr }).toMatchObject({
    code: 0,
    stderr: expect.stringContaining("is adopted: its mails are sent from here"),
  });
  await server.whenMails(2);
  await until(async () => (await copy.sql`select from mailchute.queue`).count === 0, "all settled");
  const [relay] = await copy.sql`select stopped_at from mailchute.relay order by id desc limit 1`;
  expect(relay?.stopped_at).toBeNull();
  // A second time there is nothing to decide.
  expect(await run(["adopt-copy", "--keep"], { DATABASE_URL: copy.url })).toMatchObject({ code: 0 });
});

test("adopt-copy --discard cancels every open mail, also those that are held or claimed, with the reason", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  const done = await enqueue(database);
  await serve(database.url, server);
  await enqueueMany(database, 3);
  await database
    .sql`update mailchute.queue set leased_by = 99, lease = 1, due = now() + interval '2 minutes' where seq = 2`;
  await database.sql`update mailchute.queue set due = 'infinity' where seq = 3`;
  await database.sql`update mailchute.recipient set state = 'held' where seq = 3`;
  await database.sql`update mailchute.relay set stopped_at = now()`;
  await using copy = await templateOf(database, "copy_to_discard");
  using state = temporaryDirectory();
  await using once = startRelayProcess(["run", "--once"], {
    ...{ DATABASE_URL: copy.url, SMTP_URL: `smtp://127.0.0.1:${server.port}?tls=none`, RELAY_STATE_DIR: state.path },
  });
  expect(await once.exited).toBe(75);
  expect(once.output()).toContain(SAID);
  const unsure = await run(["adopt-copy", "--discard"], { DATABASE_URL: copy.url });
  expect(unsure).toMatchObject({ code: 1, stderr: expect.stringContaining("Nothing was canceled: 3 messages of") });
  expect(await copy.sql`select from mailchute.queue`).toHaveLength(3);
  const { code, stderr } = await run(["adopt-copy", "--discard", "--yes"], { DATABASE_URL: copy.url });
  expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.stringContaining("3 mails canceled") });
  const rows = await copy
    .sql`select state, reason, count(*)::int as count from mailchute.recipient group by 1, 2 order by 1`;
  expect(rows.map((row) => ({ ...row }))).toEqual([
    {
      state: "canceled",
      reason: expect.stringMatching(/^Canceled in a copy of localhost:\d+\/test_\w+, where it is sent from$/),
      count: 3,
    },
    { state: "sent", reason: null, count: 1 },
  ]);
  expect(done).toBeString();
  // It is a database like any other now.
  await enqueue(copy);
  await expectServed(copy.url, server);
  expect(server.mails).toHaveLength(2);
});

test("adopt-copy --discard cancels nothing where the queue is drained, nor while a relay serves it", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  await serve(database.url, server);
  await enqueue(database);
  const env = { DATABASE_URL: database.url };
  expect(await run(["adopt-copy", "--discard", "--yes"], env)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("is no copy"),
  });
  // The original, seen through a tunnel after a restart: for all we know a copy, but somebody is at work in it.
  await database.sql`update mailchute.place set server_started_at = now(), addresses = '{db.example.com:5432/shop}'`;
  await database.sql`update mailchute.relay set stopped_at = null, heartbeat_at = now()`;
  expect(await run(["adopt-copy", "--discard", "--yes"], env)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("has served it"),
  });
  expect((await database.sql`select from mailchute.queue`).count).toBe(1);
});
