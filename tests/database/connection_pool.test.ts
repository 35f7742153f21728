import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ConnectionPool, NoAnswer } from "../../relay/database/connection_pool.ts";
import { connect } from "../../relay/database/database.ts";
import { systemClock } from "../../relay/time/clock.ts";
import { startDatabaseProxy } from "../database_proxy.ts";
import { createDatabase } from "../database.ts";
import { ManualClock } from "../manual_clock.ts";
import { waitForLocks } from "../queue/setup.ts";
import { until } from "../relay.ts";

test("a statement that is given up while it waits behind another takes no answer from the next one", async () => {
  await using database = await createDatabase();
  const limits: (() => void)[] = [];
  const pool = new ConnectionPool({
    open: ({ prepare, onClose }) => connect({ url: database.url, pooled: !prepare, keepsPlans: prepare, onClose }),
    prepare: true,
    statementMs: 1_000,
    clock: { now: () => 0, after: (_delayMs, callback) => (limits.push(callback), () => {}) },
  });
  const ask = (text: string) => pool.unsafe(text).then((rows) => rows[0]?.word, () => "no answer");
  // All connections stand.
  await Promise.all(Array.from({ length: 12 }, () => ask("select pg_sleep(0.05)")));
  // A lock that all of them wait for.
  const holder = await database.sql.reserve();
  await holder`select pg_advisory_lock(1)`;
  const busy = Array.from({ length: 12 }, () => ask("select 'late' as word, pg_advisory_lock_shared(1)"));
  const waiting = async () =>
    (await holder`select from pg_stat_activity where application_name = 'mailchute relay' and wait_event_type = 'Lock'
      and datname = current_database()`).count;
  await until(async () => await waiting() >= 6, "all connections are busy");
  const from = limits.length;
  const givenUp = Array.from({ length: 12 }, () => ask("select 'given up' as word"));
  await until(async () => await waiting() >= 6 && limits.length === from + 12, "they wait");
  for (const passed of limits.slice(from)) passed();
  const next = Array.from({ length: 12 }, (_, index) => ask(`select 'next ${index}' as word`));
  await holder`select pg_advisory_unlock(1)`;
  holder.release();
  expect(await Promise.all(next)).toEqual(next.map((_, index) => `next ${index}`));
  expect(await Promise.all(busy)).toEqual(busy.map(() => "late"));
  expect(await Promise.all(givenUp)).toEqual(givenUp.map(() => "no answer"));
  await pool.end({ timeout: 1 });
});

test("transactions run on the same connections, beside single statements", async () => {
  await using database = await createDatabase();
  const pool = new ConnectionPool({
    open: ({ prepare, onClose }) => connect({ url: database.url, pooled: !prepare, keepsPlans: prepare, onClose }),
    prepare: true,
    statementMs: 10_000,
    clock: systemClock,
  });
  const single = () => pool.unsafe("select 'single' as word").then((rows) => rows[0]?.word);
  const transaction = () =>
    pool.begin("isolation level read committed", async (tx) => {
      const before = await tx.unsafe("select txid_current()::text as id, pg_sleep(0.01)");
      const [after] = await tx.unsafe("select txid_current()::text as id");
      return { isOne: before[0]?.id === after?.id };
    });
  const all = await Promise.all(Array.from({ length: 30 }, (_, index) => index % 3 === 0 ? transaction() : single()));
  expect(all).toEqual(all.map((_, index) => index % 3 === 0 ? { isOne: true } : "single"));
  await pool.end({ timeout: 1 });
});

test("a statement that the server undoes in a deadlock is asked again, and is no outage", async () => {
  await using database = await createDatabase();
  await database.sql.unsafe(`
    create table pair (id integer primary key, count integer not null default 0);
    insert into pair values (1), (2);
    create function second_then_first() returns void language plpgsql as $$
    begin
      update pair set count = count + 1 where id = 2;
      update pair set count = count + 1 where id = 1;
    end $$`).simple();
  const pool = new ConnectionPool({
    open: ({ prepare, onClose }) => connect({ url: database.url, pooled: !prepare, keepsPlans: prepare, onClose }),
    prepare: true,
    statementMs: 60_000,
    clock: systemClock,
  });
  const other = await database.sql.reserve();
  // Whoever looks for a deadlock first is undone: this one never does.
  await other.unsafe("set deadlock_timeout = '10min'");
  await other`begin`;
  await other`update pair set count = count + 10 where id = 1`;
  const asked = pool.unsafe("select second_then_first()");
  await waitForLocks(database, 1);
  await other`update pair set count = count + 10 where id = 2`;
  await other`commit`;
  other.release();
  expect(await asked).toHaveLength(1);
  expect((await database.sql`select count from pair order by id`).map(({ count }) => count)).toEqual([11, 11]);
  await pool.end({ timeout: 1 });
});

test("connections that were cut just as they stood are replaced, since the driver never writes to them again", async () => {
  await using database = await createDatabase();
  await using door = await startDoor();
  const url = new URL(database.url);
  const behind = url.port;
  url.port = String(door.port);
  let opened = 0;
  const clock = new ManualClock();
  const pool = new ConnectionPool({
    open: ({ prepare, onClose }) => (opened++, connect({ url: url.href, pooled: !prepare, onClose })),
    prepare: true,
    statementMs: 2_000,
    clock,
  });
  /**
   * That it stands and that it is cut are told in one turn of the event loop, which stands still until both have
   * happened.
   */
  const askOfShut = async () => {
    const answer = pool.unsafe("select").catch((error: unknown) => error);
    await nextTurn();
    await nextTurn();
    const [before, untilMs] = [door.shut(), performance.now() + 50];
    while (door.shut() === before && performance.now() < untilMs);
    return await Promise.race([answer, nextTurn(50).then(() => "silence")]);
  };
  const connections = 6;
  let silent = 0;
  for (let tries = 0; silent < connections && tries < 100; tries++) if (await askOfShut() === "silence") silent++;
  expect({ silent, opened }).toEqual({ silent: connections, opened: 1 });

  await door.leadTo(behind);
  const ask = async (passMs: number) => {
    const answer = pool.unsafe("select 'here' as word").then(([row]) => row?.word, (error: unknown) => error);
    await nextTurn();
    clock.pass(passMs);
    return await answer;
  };
  // One limit is no reason yet: a server that wakes up takes its time.
  expect(await ask(2_000)).toBeInstanceOf(NoAnswer);
  expect(opened).toBe(1);
  expect(await ask(12_000)).toBeInstanceOf(NoAnswer);
  expect(opened).toBe(2);
  expect(await ask(0)).toBe("here");
  await pool.end({ timeout: 1 });
});

test("a statement that cannot be canceled, since the database is away by then, is no answer, and nothing that ends the process", async () => {
  await using database = await createDatabase();
  await using proxy = await startDatabaseProxy(database.url);
  const clock = new ManualClock();
  const pool = new ConnectionPool({
    open: ({ prepare, onClose }) => connect({ url: proxy.url, pooled: !prepare, onClose }),
    prepare: true,
    statementMs: 2_000,
    clock,
  });
  const unhandled: unknown[] = [];
  const note = (error: unknown) => void unhandled.push(error);
  process.on("unhandledRejection", note);
  await pool.unsafe("select 1");
  proxy.forget();
  const answer = pool.unsafe("select 2").catch((error: unknown) => error);
  const refused = proxy.refuseNew();
  await nextTurn();
  clock.pass(2_000);
  await refused;
  await nextTurn(50);
  clock.pass(60_000);
  expect(await answer).toBeInstanceOf(NoAnswer);
  process.off("unhandledRejection", note);
  expect(unhandled).toEqual([]);
  await pool.end({ timeout: 1 });
});

function nextTurn(delayMs = 0): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, delayMs));
}

/**
 * A TCP server in a process of its own, which shuts every connection as it comes until it is told where to lead them.
 */
async function startDoor() {
  const directory = mkdtempSync(join(tmpdir(), "mailchute-door-"));
  const log = join(directory, "shut");
  writeFileSync(log, "");
  const child = Bun.spawn([process.execPath, "-e", DOOR, log], { stdin: "pipe", stdout: "pipe" });
  const words = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const port = Number((await words.read()).value);
  return {
    port,
    /** How many connections it has shut. */
    shut: () => statSync(log).size,
    async leadTo(behind: string): Promise<void> {
      child.stdin.write(behind);
      await child.stdin.flush();
      await words.read();
    },
    async [Symbol.asyncDispose]() {
      child.kill();
      await child.exited;
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

const DOOR = `
const { connect, createServer } = require("node:net");
const { appendFileSync } = require("node:fs");
let port;
const door = createServer((client) => {
  client.on("error", () => undefined);
  if (port === undefined) return client.on("close", () => appendFileSync(process.argv[1], ".")).destroy();
  const server = connect(port, "127.0.0.1").on("error", () => client.destroy());
  client.pipe(server).pipe(client);
});
door.listen(0, "127.0.0.1", () => console.log(door.address().port));
process.stdin.on("data", (text) => { port = Number(text); console.log("open"); });
`;
