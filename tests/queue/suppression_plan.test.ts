import { expect, test } from "bun:test";
import { randomUUID } from "node:crypto";
import { LIST_COPIED, WRITE_COPY } from "../../relay/suppression/copy.ts";
import { LOOK_AT_HOME, MISSING_AT_HOME, READ_ALL, READ_NEW } from "../../relay/suppression/home.ts";
import { createDatabase } from "../database.ts";
import { explain, planningConnection } from "./plan.ts";

// The list may have a million addresses, and is asked every few seconds: copying enters it at a key.

const SEEN = "'90:95:90'";
const TOUCHED = ["suppression_changed", "suppression_pkey"];

const GUARDS: readonly (readonly [
  name: string,
  statement: string,
  values: readonly string[],
  indexes: readonly string[],
])[] = [
  ["LOOK_AT_HOME", LOOK_AT_HOME, [SEEN], ["suppression_changed", "suppression_removal_pkey"]],
  ["READ_ALL", READ_ALL, ["'0'", "''", "2000"], TOUCHED],
  ["READ_NEW", READ_NEW, ["'90'", "''", "2000", SEEN, SEEN], [...TOUCHED, "suppression_removal_pkey"].sort()],
  ["MISSING_AT_HOME", MISSING_AT_HOME, [`'["a@example.com"]'`], ["suppression_pkey"]],
  ["WRITE_COPY", WRITE_COPY, ["'x'", "1", "'h'", "'e'", SEEN, "null", "'[]'"], [
    "suppression_copy_pkey",
    "suppression_pkey",
  ]],
  ["LIST_COPIED", LIST_COPIED, ["'x'", "''", "2000"], ["suppression_pkey"]],
];

/** One row. */
const SMALL = ["suppression_home", "suppression_home through suppression_home_pkey"];

for (const [name, statement, values, indexes] of GUARDS) {
  test(`${name} enters the list at a key, with a generic plan, with and without statistics`, async () => {
    await using database = await createDatabase();
    await database.sql`
      insert into mailchute.suppression (address, reason, scope)
      select 'u' || i || '@example.com', 'bounce', case i % 2 when 0 then 'all' else 'app:shop' end from generate_series(1, 4000) i`;
    await database.sql`delete from mailchute.suppression where address like 'u1%'`;
    await database.sql`insert into mailchute.suppression_home default values`;
    await using sql = planningConnection(database);
    const look = async () => {
      const { wholeTables, ...rest } = await explain(sql, statement, values);
      return { ...rest, wholeTables: wholeTables.filter((table) => !SMALL.includes(table)) };
    };
    expect(await look()).toEqual({ indexes, wholeTables: [] });
    await database.sql`analyze`;
    expect(await look()).toEqual({ indexes, wholeTables: [] });
  });
}

test("a bulk send looks up its own readers, and does not read through what other apps have on the list", async () => {
  await using database = await createDatabase();
  const pages = async (batch: string) => {
    const request = {
      id: randomUUID(),
      batch,
      mail: { from: { email: "a@b.example" }, subject: "s", text: "t" },
      recipients: [["u1@example.com", null, null, {}]],
    };
    const statement = `select mailchute.enqueue_many_v1('${JSON.stringify(request)}')`;
    const [row] = await database.sql.unsafe(`explain (analyze, buffers, format json) ${statement}`);
    const [{ Plan }] = row?.["QUERY PLAN"] as readonly [{ readonly Plan: { readonly "Shared Hit Blocks": number } }];
    return Plan["Shared Hit Blocks"];
  };
  await pages("warm");
  const alone = await pages("alone");
  await database.sql`
    insert into mailchute.suppression (address, reason, scope)
    select 'u' || i || '@example.com', 'bounce', 'app:other' from generate_series(1, 20000) i`;
  expect(await pages("beside")).toBeLessThan(alone + 50);
});
