import { expect, test } from "bun:test";
import { randomUUID } from "node:crypto";
import { findingOfTls } from "../../relay/doctor/connection.ts";
import { findingOfVersion } from "../../relay/doctor/server_version.ts";
import { registerRelay } from "../../relay/queue/relay_row.ts";
import { type Clock, systemClock } from "../../relay/time/clock.ts";
import { SCHEMA_VERSION } from "../../relay/version.ts";
import { startDatabaseProxy } from "../database_proxy.ts";
import { createDatabase, type TestDatabase } from "../database.ts";
import { openConnection, openQueue } from "../queue/setup.ts";
import { enqueue, enqueueMany, until } from "../relay.ts";
import { newRole } from "../schema/role.ts";
import { found, look, notWell } from "./setup.ts";
import { startTransactionPooler } from "./transaction_pooler.ts";

/** A relay that is alive, and an app with its own addresses: all that a database needs to be well. */
async function makeWell(database: TestDatabase): Promise<void> {
  await registerRelay(database.sql, { instance: randomUUID(), host: "mx1", pid: 7 });
  const role = newRole();
  await database.as(role);
  await database.sql`insert into mailchute.app (name, senders) values ('shop', '{*@shop.example}')`;
  await database.sql`insert into mailchute.app_role (role, app) values (${role}, 'shop')`;
}

test("a database that is well has every line, and all are ok", async () => {
  await using database = await createDatabase();
  await makeWell(database);
  const findings = await look(database.url);
  expect(notWell(findings)).toEqual([]);
  expect(findings.map(({ check }) => check)).toEqual([
    "connection",
    "tls",
    "postgres",
    "clock",
    "pooler",
    "listen",
    "schema",
    "rights",
    "place",
    "apps",
    "relays",
    "pauses",
    "queue",
  ]);
  expect(found(findings, "connection")[0]).toMatch(/^ok: answers the role postgres, a round trip takes [\d.]+ ms$/);
  expect(found(findings, "listen")[0]).toMatch(/^ok: a notification arrived after [\d.]+ m?s$/);
  expect(found(findings, "relays")[0]).toMatch(/^ok: alive: mx1 \(pid 7, \d/);
  expect(found(findings, "apps")).toEqual(["ok: shop (*@shop.example)"]);
  expect(found(findings, "schema")).toEqual([`ok: version ${SCHEMA_VERSION}`]);
});

test("a look changes nothing in the database and leaves no connection behind", async () => {
  await using database = await createDatabase();
  await makeWell(database);
  await enqueueMany(database, 3);
  const state = async () => {
    const [row] = await database.sql`
      select (select jsonb_agg(q order by seq) from mailchute.queue q) as queue,
        (select jsonb_agg(r order by id) from mailchute.relay r) as relays,
        (select jsonb_agg(r order by seq) from mailchute.recipient r) as recipients,
        (select count(*)::int from pg_class) as relations`;
    return JSON.stringify(row);
  };
  const before = await state();
  await look(database.url);
  expect(await state()).toBe(before);
  const ours = async () => {
    const [row] = await database.sql`
      select count(*)::int as count from pg_stat_activity
      where datname = current_database() and application_name = 'mailchute relay'`;
    return row?.count as number;
  };
  await until(async () => await ours() === 0, "gone");
});

/** URLs that lead nowhere, and the fix. */
const UNREACHED: readonly (readonly [wrong: string, change: (url: URL) => void, says: string, fix: string])[] = [
  ["nothing listens", (url) => url.port = "1", "ECONNREFUSED", "correct host and port in DATABASE_URL"],
  ["the host is unknown", (url) => url.hostname = "nowhere.invalid", "ENOTFOUND", "correct the host in DATABASE_URL"],
  [
    "the password is wrong",
    (url) => url.password = "wrong",
    "password authentication failed",
    "correct user and password",
  ],
  ["the role is unknown", (url) => url.username = "nobody_here", "nobody_here", "correct user and password"],
  ["there is no such database", (url) => url.pathname = "/nothing", "nothing", "correct the name of the database"],
  [
    "a parameter is not known to the server",
    (url) => url.searchParams.set("no_such_thing", "true"),
    "no_such_thing",
    "take the parameter that the server does not know out of DATABASE_URL",
  ],
];

test.each(UNREACHED)("%s: one line that fails, with its fix", async (_, change, says, fix) => {
  await using database = await createDatabase();
  const url = new URL(database.url);
  change(url);
  const findings = await look(url.href);
  expect(notWell(findings)).toEqual([["connection", "fail"]]);
  expect(findings).toHaveLength(1);
  expect(findings[0]?.found).toContain(says);
  expect(findings[0]?.fix).toContain(fix);
  expect(JSON.stringify(findings)).not.toContain(url.password);
});

test("a database that takes the connection and then says nothing is given up, and so is one behind a lock", async () => {
  await using database = await createDatabase();
  await makeWell(database);
  // The patience of the test is short.
  const clock: Clock = { ...systemClock, after: (_, callback) => systemClock.after(500, callback) };
  await using locker = openConnection(database);
  await locker.unsafe("begin; lock table mailchute.app in access exclusive mode").simple();
  const locked = await look(database.url, { clock });
  expect(found(locked, "apps")).toEqual([
    "fail: It cannot be looked at: no answer within 20.0 s → look at the error; DATABASE_URL names the database",
  ]);
  expect(found(locked, "queue")).toEqual(["ok: nothing is due"]);
  await locker.unsafe("rollback");

  await using proxy = await startDatabaseProxy(database.url);
  proxy.freeze();
  const frozen = await look(proxy.url, { clock });
  expect(frozen).toHaveLength(1);
  expect(found(frozen, "connection")[0]).toStartWith("fail: It cannot be looked at: no answer within 20.0 s");
});

test("an embedded database that does not run now is no failure", async () => {
  const findings = await look("postgres://postgres:x@127.0.0.1:1/postgres", { isEmbedded: true });
  expect(found(findings, "connection")).toEqual([
    "warn: the embedded Postgres does not run now → start it: mailchute run",
  ]);
});

test.each(
  [
    ["db.example.com", "disable", false, "warn: none: whoever is between here and db.example.com can read the mails"],
    ["db.example.com", "prefer", false, "warn: none: whoever is between"],
    ["db.example.com", "prefer", true, "ok: TLSv1.3, certificate not verified"],
    ["db.example.com", "require", true, "ok: TLSv1.3, certificate not verified"],
    ["db.example.com", "require", false, "ok: TLS, certificate not verified"],
    ["db.example.com", "verify-ca", true, "ok: TLSv1.3, certificate verified, but not the name of the server"],
    ["db.example.com", "verify-full", true, "ok: TLSv1.3, certificate verified"],
    ["127.0.0.1", "disable", false, "ok: none, and none is needed on this machine"],
    ["/run/postgresql", "disable", false, "ok: none, and none is needed on this machine"],
  ] as const,
)("to %s with sslmode %p, where the server says %p: %s", (host, mode, isServerTls, says) => {
  const finding = findingOfTls({ host, mode, isServerTls, version: "TLSv1.3", variable: "DATABASE_URL_SHOP" });
  expect(found([finding], "tls")[0]).toStartWith(says);
  if (finding.level === "warn") expect(finding.fix).toContain("add ?sslmode=verify-full to DATABASE_URL_SHOP");
});

test.each([[13, "fail"], [14, "ok"], [18, "ok"], [19, "warn"]] as const)("Postgres %d: %s", (major, level) => {
  expect(findingOfVersion(major, `${major}.1`)).toMatchObject({ level, found: expect.stringContaining(`${major}.1`) });
});

/** A clock that is wrong by this. */
function shifted(byMs: number): Clock {
  return { ...systemClock, now: () => systemClock.now() + byMs };
}

test.each([[0, "ok"], [-900, "ok"], [-3_000, "warn"], [3_000, "warn"], [-130_000, "fail"], [130_000, "fail"]] as const)(
  "our clock is %d ms ahead: %s",
  async (byMs, level) => {
    await using database = await createDatabase();
    const findings = await look(database.url, { clock: shifted(byMs) });
    expect(findings.find(({ check }) => check === "clock")?.level).toBe(level);
    // The database's is behind when ours is ahead.
    if (level !== "ok") expect(found(findings, "clock")[0]).toContain(byMs > 0 ? "behind ours" : "ahead of ours");
  },
);

test("a transaction pooler is noticed, and that no notification comes through it", async () => {
  await using database = await createDatabase();
  await using pooler = await startTransactionPooler(database.url);
  // The wait for a notification that never comes is short; the patience with the database stays what it is.
  const clock: Clock = {
    ...systemClock,
    after: (ms, callback) => systemClock.after(ms === 3_000 ? 200 : ms, callback),
  };
  const findings = await look(pooler.url, { clock, variable: "DATABASE_URL_SHOP" });
  expect(found(findings, "pooler")).toEqual([
    "warn: a transaction pooler stands between: LISTEN/NOTIFY does not work through it → " +
    "set DATABASE_URL_SHOP_UNPOOLED to the direct address of the database",
  ]);
  expect(found(findings, "listen")[0]).toStartWith(
    "warn: no notification arrived within 3.0 s: mail waits up to 5.0 s",
  );
  expect(found(findings, "rights")[0]).toStartWith("ok");
});

test("a pooler that is known by its name is named without a look", async () => {
  await using database = await createDatabase();
  const findings = await look(database.url, { pooled: true });
  expect(found(findings, "pooler")[0]).toStartWith("warn: the host is a pooler by its name");
});

test("a schema that is missing or old: ok to leave to the relay where its role may migrate, else a failure", async () => {
  await using empty = await createDatabase({ empty: true });
  const owner = await look(empty.url);
  expect(found(owner, "schema")[0]).toStartWith("warn: not there yet → nothing: the relay sees to it");
  expect(owner.at(-1)?.check).toBe("schema");
  const plain = await look(await empty.as(newRole()));
  expect(found(plain, "schema")[0]).toStartWith("fail: not there yet → run mailchute migrate");

  await using old = await createDatabase();
  await old.sql`update mailchute.schema_info set version = version - 1`;
  expect(found(await look(old.url), "schema")[0]).toStartWith(`warn: version ${SCHEMA_VERSION - 1}, older than`);
  const role = newRole();
  const url = await old.as(role);
  await old.sql.unsafe(`grant mailchute_relay to ${role}`);
  expect(found(await look(url), "schema")[0]).toStartWith(`fail: version ${SCHEMA_VERSION - 1}, older than`);
});

test("a schema that is newer is good as long as it says so", async () => {
  await using database = await createDatabase();
  await database.sql`update mailchute.schema_info set version = version + 1`;
  expect(found(await look(database.url), "schema")[0]).toStartWith(`ok: version ${SCHEMA_VERSION + 1}, newer than`);
  await database.sql`update mailchute.schema_info set oldest_program = '99.0.0'`;
  expect(found(await look(database.url), "schema")[0]).toContain("→ install mailchute 99.0.0 or later");
});

test("a database that may only be read cannot be served", async () => {
  await using database = await createDatabase();
  const [row] = await database.sql`select current_database() as name`;
  await database.sql.unsafe(`alter database ${row?.name} set default_transaction_read_only = on`);
  expect(found(await look(database.url), "rights")[0]).toStartWith(
    "fail: transactions are read-only here → let it write",
  );
});

test("a relay that is gone without a word is named with what it holds, one that stopped or started again is not", async () => {
  await using database = await createDatabase();
  expect(found(await look(database.url), "relays")).toEqual([
    "warn: none serves this database now → start one: mailchute run",
  ]);
  const { queue, relayId, instance } = await openQueue(database);
  await enqueueMany(database, 2);
  expect((await queue.claim(10)).messages).toHaveLength(2);
  await database
    .sql`update mailchute.relay set heartbeat_at = now() - interval '10 minutes' where id = ${relayId}::bigint`;
  const gone = found(await look(database.url), "relays");
  expect(gone[0]).toStartWith("warn: none serves");
  expect(gone[1]).toMatch(/^warn: test \(pid \d+\) has been silent for 10 min and holds 2 messages → start it again/);
  await openQueue(database, { instance });
  expect(found(await look(database.url), "relays")).toEqual([expect.stringMatching(/^ok: alive: test \(pid/)]);
  await database.sql`update mailchute.relay set stopped_at = now()`;
  expect(found(await look(database.url), "relays")).toEqual([expect.stringMatching(/^warn: none serves/)]);
});

test("mail that is due and does not go out: a warning after a minute, a failure after an hour", async () => {
  await using database = await createDatabase();
  await enqueueMany(database, 2);
  expect(found(await look(database.url), "queue")[0]).toMatch(/^ok: 2 messages are due, the oldest for [\d.]+ m?s$/);
  await database.sql`update mailchute.queue set due = now() - interval '2 minutes' where seq = 1`;
  expect(found(await look(database.url), "queue")[0]).toStartWith("warn: 2 messages are due, the oldest for 2 min → ");
  await database.sql`update mailchute.queue set due = now() - interval '3 hours' where seq = 2`;
  expect(found(await look(database.url), "queue")[0]).toStartWith("fail: 2 messages are due, the oldest for 3 h → ");
});

test("mail that is held waits for a person, and mail of the future for nobody", async () => {
  await using database = await createDatabase();
  await enqueue(database, { scheduledAt: new Date(Date.now() + 86_400_000).toISOString() });
  await enqueue(database);
  await database.sql`update mailchute.queue set due = 'infinity' where seq = 2`;
  expect(found(await look(database.url), "queue")).toEqual([
    "ok: nothing is due",
    expect.stringMatching(/^warn: 1 message is held: .* → decide: mailchute list --state held, /),
  ]);
  expect(found(await look(database.url, { name: "crm" }), "queue")[1]).toEndWith(
    "mailchute list --state held --database crm, look into the server's log, then mailchute settle --sent ID --database crm (it has it) or mailchute retry --accept-duplicate ID --database crm",
  );
});
