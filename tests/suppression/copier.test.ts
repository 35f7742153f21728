import { expect, test } from "bun:test";
import { createDatabase, type TestDatabase } from "../database.ts";
import { copied, copier, suppress } from "./copier.ts";

// Copies of home's suppressions, one look at a time, between two real databases.

test("what is added, changed and removed at home is so in the copy, with its end, its time and its author", async () => {
  await using home = await createDatabase();
  await using target = await createDatabase();
  const { look } = copier(home, target);
  await home.sql`
    insert into mailchute.suppression (address, reason, until, created_at, created_by)
    values ('ann@example.com', 'complaint', '2030-01-02 03:04:05.678901Z', '2020-01-01', 'bo'), ('bob@example.com', 'bounce', 'infinity', now(), 'bo')`;
  await look();
  const rows = ({ sql }: TestDatabase) =>
    sql`select address, scope, reason, until::text, created_at::text, created_by from mailchute.suppression order by address`;
  expect([...await rows(target)]).toEqual([...await rows(home)]);
  await home.sql`update mailchute.suppression set reason = 'manual', until = null where address = 'ann@example.com'`;
  await home.sql`delete from mailchute.suppression where address = 'bob@example.com'`;
  await suppress(home.sql, "carl@example.com");
  await look();
  expect([...await rows(target)]).toEqual([...await rows(home)]);
  // One that is for one app from now on is for all no more; one that has another address neither.
  await home.sql`update mailchute.suppression set scope = 'app:shop' where address = 'ann@example.com'`;
  await home.sql`update mailchute.suppression set address = 'dan@example.com' where address = 'carl@example.com'`;
  await look();
  expect(await copied(target)).toEqual(["dan@example.com manual"]);
  // Taken off and put back, before anybody has looked.
  await home.sql`delete from mailchute.suppression where address = 'dan@example.com'`;
  await suppress(home.sql, "dan@example.com", "bounce");
  await look();
  expect(await copied(target)).toEqual(["dan@example.com bounce"]);
  await home.sql`truncate mailchute.suppression`;
  await look();
  expect(await copied(target)).toEqual([]);
});

test("a transaction that commits long after others is copied then, and so is what it has removed", async () => {
  await using home = await createDatabase();
  await using target = await createDatabase();
  const { look } = copier(home, target);
  await suppress(home.sql, "old@example.com");
  await look();
  const [late, later] = await Promise.all([home.sql.reserve(), home.sql.reserve()]);
  await late`begin`;
  await suppress(late as never, "late@example.com");
  await later`begin`;
  await later`delete from mailchute.suppression where address = 'old@example.com'`;
  for (const address of ["a@example.com", "b@example.com"]) {
    await suppress(home.sql, address);
    await look();
  }
  expect(await copied(target)).toEqual(["a@example.com manual", "b@example.com manual", "old@example.com manual"]);
  await late`commit`;
  await look();
  expect(await copied(target)).toContain("late@example.com manual");
  await later`commit`;
  await look();
  expect(await copied(target)).toEqual(["a@example.com manual", "b@example.com manual", "late@example.com manual"]);
  late.release();
  later.release();
});

test("what the database has by itself stays beside the copy, whatever becomes of that, and the other way round", async () => {
  await using home = await createDatabase();
  await using target = await createDatabase();
  const { look } = copier(home, target);
  await suppress(target.sql, "ann@example.com", "bounce");
  await target
    .sql`insert into mailchute.suppression (address, scope, reason) values ('ann@example.com', 'app:shop', 'unsubscribe')`;
  const own = () =>
    target.sql`select scope, reason, changed::text from mailchute.suppression where origin = 'here' order by scope`;
  const before = [...await own()];
  await suppress(home.sql, "ann@example.com", "complaint");
  await look();
  expect(await copied(target)).toEqual(["ann@example.com complaint"]);
  expect([...await own()]).toEqual(before);
  await home.sql`delete from mailchute.suppression`;
  await look();
  expect(await copied(target)).toEqual([]);
  expect([...await own()]).toEqual(before);
  await suppress(home.sql, "ann@example.com", "complaint");
  await look();
  await target.sql`delete from mailchute.suppression where scope = 'all' and origin = 'here'`;
  expect(await copied(target)).toEqual(["ann@example.com complaint"]);
  // Nothing of it comes to home.
  expect([...await home.sql`select address, origin, reason from mailchute.suppression`]).toEqual([
    { address: "ann@example.com", origin: "here", reason: "complaint" },
  ]);
});

test("while nothing changes, a look is one small question to home, and none to the other database", async () => {
  await using home = await createDatabase();
  await using target = await createDatabase();
  const one = copier(home, target);
  await suppress(home.sql, "ann@example.com");
  await one.look();
  const asked = { home: one.home.asked.length, target: one.target.asked.length };
  // Other mail goes on, and other scopes.
  await home
    .sql`insert into mailchute.suppression (address, scope, reason) values ('ann@example.com', 'app:shop', 'unsubscribe')`;
  await suppress(home.sql, "ann@example.com");
  await one.look();
  await one.look();
  expect({ home: one.home.asked.length - asked.home, target: one.target.asked.length - asked.target }).toEqual({
    ...{ home: 2, target: 0 },
  });
  // A relay that starts reads where the copy is.
  const two = copier(home, target);
  await two.look();
  expect({ pages: two.target.pages, home: two.home.asked.length, target: two.target.asked.length }).toEqual({
    ...{ pages: 0, home: 2, target: 1 },
  });
});

test(
  "100,000 addresses come in pages, a restart goes on with the page where it was, and then only what is new is read",
  async () => {
    await using home = await createDatabase();
    await using target = await createDatabase();
    await home.sql`
    insert into mailchute.suppression (address, reason) select 'u' || i || '@example.com', 'bounce' from generate_series(1, 100000) i`;
    const first = copier(home, target);
    first.target.before = (text) => {
      if (text.includes("update mailchute.suppression_copy") && first.target.pages === 21) {
        throw new Error(
          "it is killed",
        );
      }
    };
    await first.look();
    // One page found that there is nothing to be swept.
    const count = async () =>
      (await target.sql`select count(*)::int as n from mailchute.suppression where origin <> 'here'`)[0]?.n as number;
    expect(await count()).toBe(40_000);
    const second = copier(home, target);
    await second.look();
    expect(await count()).toBe(100_000);
    expect(second.target.pages).toBe(31);
    expect(second.said).toEqual(["all suppressions of the home database were copied"]);
    await home.sql`delete from mailchute.suppression where address like 'u99%'`;
    await second.look();
    expect(await count()).toBe(98_889);
    expect(second.target.pages).toBe(32);
  },
  60_000,
);

test("what changes while a long pass is under way is in the copy after the next", async () => {
  await using home = await createDatabase();
  await using target = await createDatabase();
  await home.sql`
    insert into mailchute.suppression (address, reason) select 'u' || i || '@example.com', 'bounce' from generate_series(1, 6000) i`;
  const { target: wire, look } = copier(home, target);
  let changing: Promise<unknown> | undefined;
  wire.before = () => {
    if (wire.pages !== 2) return;
    changing ??= home.sql`
      with gone as (delete from mailchute.suppression where address in ('u1@example.com', 'u5999@example.com'))
      update mailchute.suppression set reason = 'complaint' where address in ('u2@example.com', 'u5998@example.com')`
      .execute();
  };
  await look();
  await changing;
  await look();
  const rows = ({ sql }: TestDatabase) =>
    sql`select address, reason from mailchute.suppression order by address collate "C"`;
  expect([...await rows(target)]).toEqual([...await rows(home)]);
});

test.each(["home", "target"] as const)("while %s is away nothing is said or lost", async (side) => {
  await using home = await createDatabase();
  await using target = await createDatabase();
  const one = copier(home, target);
  await suppress(home.sql, "ann@example.com");
  await one.look();
  one[side].before = () => {
    throw new Error("connection refused");
  };
  await suppress(home.sql, "bob@example.com");
  await home.sql`delete from mailchute.suppression where address = 'ann@example.com'`;
  await one.look();
  expect(await copied(target)).toEqual(["ann@example.com manual"]);
  one[side].before = () => {};
  await one.look();
  expect(await copied(target)).toEqual(["bob@example.com manual"]);
  expect(one.said).toEqual(["all suppressions of the home database were copied"]);
});

test("what a database refuses is told once, and that it goes on again", async () => {
  await using home = await createDatabase();
  await using target = await createDatabase();
  const one = copier(home, target);
  await target.sql`alter table mailchute.suppression add constraint no_ann check (address <> 'ann@example.com')`;
  await suppress(home.sql, "ann@example.com");
  await one.look();
  await one.look();
  expect(one.said).toEqual([expect.stringMatching(/^suppressions of the home database are not copied: .*no_ann/)]);
  await target.sql`alter table mailchute.suppression drop constraint no_ann`;
  await one.look();
  expect(one.said.slice(1)).toEqual([
    "all suppressions of the home database were copied",
    "suppressions of the home database are copied again",
  ]);
});
