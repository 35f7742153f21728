import { expect, test } from "bun:test";
import type { Sql } from "postgres";
import { type Asked, TAKE, ThrottleTable } from "../../relay/limits/throttle_table.ts";
import { capacityOf, freeAt, type Limit, take, tokenMs } from "../../relay/limits/throttle.ts";
import { createDatabase } from "../database.ts";
import { prng } from "../mime/prng.ts";
import { accessOf, explain, planningConnection } from "./plan.ts";
import { openConnection, openQueue } from "./setup.ts";

const MINUTE: Limit = { count: 60, periodMs: 60_000 };

function asked(key: string, limit: Limit, changes: Partial<Asked> = {}): Asked {
  return { key, limit, first: 1, most: 1, owed: 0, ...changes };
}

test("the table gives what the pure bucket gives, through pauses, debts and what is given back", async () => {
  await using database = await createDatabase();
  const { int } = prng(4);
  // In one transaction now() stands still, and the test lets time pass by moving the buckets.
  await database.sql.begin(async (tx) => {
    const table = new ThrottleTable(tx as unknown as Sql);
    for (const limit of [MINUTE, { count: 2_000, periodMs: 3_600_000 }, { count: 3, periodMs: 1_000 }]) {
      const key = `all=${limit.count}`;
      let nowMs = 1_000_000;
      let fullAtMs = nowMs;
      for (let step = 0; step < 150; step++) {
        const passesMs = int(Math.ceil(tokenMs(limit) * 3));
        nowMs += passesMs;
        await tx`update mailchute.throttle set full_at = full_at - make_interval(secs => ${
          passesMs / 1_000
        }) where key = ${key}`;
        const owed = int(4) === 0 ? int(7) - 3 : 0;
        const first = 1 + int(3);
        const most = first + int(4);
        const missing = Math.max(0, Math.max(0, fullAtMs - nowMs) + owed * tokenMs(limit));
        const expected = take(limit, nowMs + missing, { first, most, nowMs });
        fullAtMs = expected.fullAtMs;
        const { granted: [answer] } = await table.take([asked(key, limit, { first, most, owed })]);
        expect({ step, granted: answer?.granted }).toEqual({ step, granted: expected.granted });
        expect(answer?.fullMs).toBeCloseTo(Math.max(0, fullAtMs - nowMs), 0);
      }
      expect(freeAt(limit, fullAtMs, nowMs)).toBeLessThan(capacityOf(limit));
    }
  });
});

test("many relays that take at once take no more than there is, and wait for each other without a deadlock", async () => {
  await using database = await createDatabase();
  const keys = Array.from({ length: 8 }, (_, index) => `domain:d${index}.example=60/m`);
  const connections = Array.from({ length: 6 }, () => openConnection(database));
  const sums = new Map<string, number>();
  await Promise.all(connections.map(async (sql, index) => {
    const table = new ThrottleTable(sql);
    for (let round = 0; round < 20; round++) {
      // In an order of his own.
      const turned = [...keys.slice(index), ...keys.slice(0, index)];
      const { granted } = await table.take(turned.map((key) => asked(key, MINUTE, { most: 2 })));
      for (const each of granted) sums.set(each.key, (sums.get(each.key) ?? 0) + each.granted);
    }
  }));
  const startMs = performance.now();
  for (const key of keys) {
    // All that the bucket held, and what came back while they took: the test may have been slow.
    expect(sums.get(key)).toBeGreaterThanOrEqual(capacityOf(MINUTE));
    expect(sums.get(key)).toBeLessThanOrEqual(capacityOf(MINUTE) + Math.ceil(startMs / tokenMs(MINUTE)));
  }
  for (const sql of connections) await sql.end();
});

test("the answer counts the relays that live, and a bucket that has long been full is forgotten", async () => {
  await using database = await createDatabase();
  await openQueue(database);
  await openQueue(database);
  const { relayId } = await openQueue(database);
  await database.sql`update mailchute.relay set stopped_at = now() where id = ${relayId}::bigint`;
  const table = new ThrottleTable(database.sql);
  expect((await table.take([asked("a", MINUTE), asked("b", MINUTE)])).relays).toBe(2);
  await database.sql`update mailchute.throttle set full_at = now() - interval '25 hours' where key = 'a'`;
  await table.forget();
  expect([...await database.sql`select key from mailchute.throttle`]).toEqual([{ key: "b" }]);
});

test("taking looks the throttles up by their key", async () => {
  await using database = await createDatabase();
  await using sql = planningConnection(database);
  const input = JSON.stringify([{ key: "a", first: 1, most: 1, owed: 0, capacity: 1, token_ms: 1 }]);
  const { wholeTables } = await explain(sql, TAKE, [`'${input}'`]);
  expect(wholeTables).toEqual(["relay"]);
  expect(accessOf({ "Node Type": "Seq Scan", "Relation Name": "throttle" }).wholeTables).toEqual(["throttle"]);
});
