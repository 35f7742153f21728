import { expect, test } from "bun:test";
import postgres from "postgres";
import type { Connection } from "../../mod.ts";
import { connectionContract } from "../../src/testing/testing.ts";
import { createDatabase, type TestDatabase } from "../database.ts";

const FROM = "Shop <shop@shop.example>";

// That the drivers which are listed keep it is a case of tests/client/cases.ts.

type Query = (text: string, values: string[]) => Promise<unknown>;

/** Names of the cases that fail on a driver with this fault. */
async function failing(
  database: TestDatabase,
  fault: (query: Query) => Query,
  transaction?: (db: Connection, work: (tx: Connection) => Promise<void>) => Promise<unknown>,
): Promise<readonly string[]> {
  await using sql = Object.assign(postgres(database.url, { onnotice: () => {} }), {
    [Symbol.asyncDispose]: () => Promise.resolve(),
  });
  const query = fault((text, values) => sql.unsafe(text, values));
  const cases = connectionContract({ from: FROM, open: () => ({ query }), ...(transaction && { transaction }) });
  const names: string[] = [];
  for (const { name, run } of cases) await run().catch(() => names.push(name));
  await sql.end();
  return names;
}

/** Faults of drivers, each with a case that finds it. */
const FAULTS: readonly (readonly [what: string, fault: (query: Query) => Query, found: string])[] = [
  ["none of its rows comes", () => () => Promise.resolve([]), "queues a mail and tells its status"],
  [
    "its errors lose their SQLSTATE",
    (query) => (text, values) =>
      query(text, values).catch(() => {
        throw new Error("Query failed");
      }),
    "hands on the SQLSTATE and the detail of what the database refuses",
  ],
  [
    "it writes backslashes twice",
    (query) => (text, values) => query(text, values.map((value) => value.replaceAll("\\\\", "\\\\\\\\"))),
    "carries Unicode, quotes, backslashes and what looks like a parameter",
  ],
  [
    "it gives one call the answer of another",
    (query) => {
      let last = Promise.resolve<unknown>(undefined);
      return (text, values) => {
        const answer = query(text, values);
        const given = /status_v1/.test(text) ? last.then((earlier) => earlier ?? answer) : answer;
        last = /status_v1/.test(text) ? answer : Promise.resolve(undefined);
        return given;
      };
    },
    "runs many calls side by side",
  ],
  [
    "it sends nothing of more than a megabyte",
    (query) => (text, values) =>
      values.join("").length > 1_000_000 ? Promise.reject(new Error("too long")) : query(text, values),
    "carries a large mail, and the same bytes each time",
  ],
];

for (const [what, fault, found] of FAULTS) {
  test(`a driver is found out when ${what}`, async () => {
    await using database = await createDatabase();
    expect(await failing(database, fault)).toContain(found);
  });
}

test("a driver is found out when its transactions are none", async () => {
  await using database = await createDatabase();
  const names = await failing(database, (query) => query, (db, work) => work(db));
  expect(names).toEqual(["forgets the mail of a transaction that is rolled back"]);
});

test("without a fault no case fails, and each connection is closed", async () => {
  await using database = await createDatabase();
  expect(await failing(database, (query) => query)).toEqual([]);
  let opened = 0;
  let closed = 0;
  const cases = connectionContract({
    from: FROM,
    open: () => {
      opened++;
      return database.sql;
    },
    close: () => closed++,
  });
  for (const { run } of cases) await run();
  expect([opened, closed]).toEqual([cases.length, cases.length]);
});
