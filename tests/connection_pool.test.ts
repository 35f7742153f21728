import { expect, test } from "bun:test";
import { systemClock } from "../relay/clock.ts";
import { ConnectionPool } from "../relay/connection_pool.ts";
import { connect } from "../relay/database.ts";
import { createDatabase } from "./database.ts";
import { until } from "./relay.ts";

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
