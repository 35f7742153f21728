import { expect, test } from "bun:test";
import { forgetRemovals } from "../../relay/suppression/home.ts";
import { createDatabase } from "../database.ts";
import { on, run } from "../command.ts";
import { connectAs, newRole } from "../schema/role.ts";
import { copied, copier, suppress } from "./copier.ts";

// Copies of home's suppressions, one look at a time, between two real databases, where more is at stake than one list.

test("of two relays the one that has read an older list writes nothing of it", async () => {
  await using home = await createDatabase();
  await using target = await createDatabase();
  const [slow, fast] = [copier(home, target), copier(home, target)];
  await suppress(home.sql, "ann@example.com");
  await slow.look();
  await fast.look();
  await suppress(home.sql, "ann@example.com", "complaint");
  const read = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  const { unsafe } = slow.target;
  slow.target.unsafe = async (...values) => {
    read.resolve();
    await goOn.promise;
    return await unsafe.apply(slow.target, values);
  };
  const looking = slow.look();
  await read.promise;
  await home.sql`delete from mailchute.suppression`;
  await fast.look();
  goOn.resolve();
  // It looks again at once, with what the other has written.
  expect(await looking).toBe(true);
  expect(await copied(target)).toEqual([]);
  expect(await slow.look()).toBe(false);
  expect(await copied(target)).toEqual([]);
  await suppress(home.sql, "bob@example.com");
  await slow.look();
  expect(await copied(target)).toEqual(["bob@example.com manual"]);
});

test("two homes of one database have a copy each, and neither removes the other's", async () => {
  await using home = await createDatabase();
  await using second = await createDatabase();
  await using target = await createDatabase();
  const [one, two, back] = [copier(home, target), copier(second, target), copier(target, home)];
  await suppress(home.sql, "ann@example.com", "complaint");
  await suppress(second.sql, "ann@example.com", "bounce");
  for (const { look } of [one, two, one, two, back]) await look();
  expect((await copied(target)).toSorted()).toEqual(["ann@example.com bounce", "ann@example.com complaint"]);
  // A copy is no more than that: it goes nowhere.
  expect(await copied(home)).toEqual([]);
  await home.sql`delete from mailchute.suppression`;
  for (const { look } of [one, two]) await look();
  expect(await copied(target)).toEqual(["ann@example.com bounce"]);
});

test("removals are on record for 30 days; a copy that has not seen one since is compared as a whole", async () => {
  await using home = await createDatabase();
  await using target = await createDatabase();
  await using other = await createDatabase();
  const [one, two] = [copier(home, target), copier(home, other)];
  await suppress(home.sql, "ann@example.com");
  await suppress(home.sql, "bob@example.com");
  for (const { look } of [one, two]) await look();
  await home.sql`delete from mailchute.suppression where address = 'ann@example.com'`;
  await two.look();
  await forgetRemovals(home.sql);
  expect(await home.sql`select from mailchute.suppression_removal`).toHaveLength(1);
  await home.sql`update mailchute.suppression_removal set at = now() - interval '31 days'`;
  await forgetRemovals(home.sql);
  expect(await home.sql`select from mailchute.suppression_removal`).toHaveLength(0);
  for (const { look } of [one, two]) await look();
  for (const database of [target, other]) expect(await copied(database)).toEqual(["bob@example.com manual"]);
  expect([one.said.length, two.said.length]).toEqual([2, 1]);
});

test("a home that was restored has other transactions: its list is compared as a whole, and stamps from before do no harm", async () => {
  await using home = await createDatabase();
  await using target = await createDatabase();
  const one = copier(home, target);
  for (const address of ["ann@example.com", "bob@example.com"]) await suppress(home.sql, address);
  await one.look();
  // As a restored dump would be: another life, rows with stamps of the future, and one gone without a record.
  await home.sql`alter table mailchute.suppression disable trigger user`;
  await home.sql`update mailchute.suppression set changed = '9000000000000000'`;
  await home.sql`delete from mailchute.suppression where address = 'ann@example.com'`;
  await home.sql`alter table mailchute.suppression enable trigger user`;
  await home.sql`update mailchute.suppression_home set epoch = gen_random_uuid()`;
  await one.look();
  expect(await copied(target)).toEqual(["bob@example.com manual"]);
  const { pages } = one.target;
  await one.look();
  expect(one.target.pages).toBe(pages);
  await suppress(home.sql, "carl@example.com");
  await suppress(home.sql, "bob@example.com", "bounce");
  await one.look();
  expect(await copied(target)).toEqual(["bob@example.com bounce", "carl@example.com manual"]);
});

test("removals that a restored dump has brought along are none of this life: what is new is copied, and not the whole list each time", async () => {
  await using home = await createDatabase();
  await using target = await createDatabase();
  const one = copier(home, target);
  await suppress(home.sql, "ann@example.com");
  await one.look();
  const forget = async (removed: string) => {
    await home
      .sql`insert into mailchute.suppression_removal (removed, address, at) values (${removed}, 'x@example.com', now() - interval '31 days')`;
    await forgetRemovals(home.sql);
  };
  // As the dump has it: one removal is forgotten already, another is soon.
  await home.sql`update mailchute.suppression_home set forgotten = '8000000000000000', epoch = gen_random_uuid()`;
  await one.look();
  await forget("9000000000000000");
  const { pages } = one.target;
  await one.look();
  expect(one.target.pages).toBe(pages);
  await suppress(home.sql, "bob@example.com");
  await one.look();
  expect(one.said).toHaveLength(2);
  // A removal of this life counts, though its number is lower.
  await home.sql`alter table mailchute.suppression disable trigger user`;
  await home.sql`delete from mailchute.suppression where address = 'ann@example.com'`;
  await home.sql`alter table mailchute.suppression enable trigger user`;
  const [now] = await home.sql`select pg_current_xact_id()::text as xact`;
  await forget(now?.xact as string);
  await one.look();
  expect(await copied(target)).toEqual(["bob@example.com manual"]);
});

test("a database with another locale makes the case of an address by its own rules", async () => {
  await using home = await createDatabase();
  await using target = await createDatabase({ locale: "C.UTF-8" });
  const { look } = copier(home, target);
  // As in a locale that knows only the case of ASCII.
  await home.sql`alter table mailchute.suppression drop constraint suppression_address_check`;
  await home.sql`insert into mailchute.suppression (address, reason) values ('ÖRT@example.com', 'bounce')`;
  await look();
  expect(await copied(target)).toEqual(["ört@example.com bounce"]);
  await home.sql`delete from mailchute.suppression`;
  await look();
  expect(await copied(target)).toEqual([]);
});

test("the roles of relays and of people may do it, and no others", async () => {
  await using home = await createDatabase();
  await using target = await createDatabase();
  const [relay, admin] = [newRole(), newRole()];
  await using relayHome = await connectAs(home, relay);
  await using relayTarget = await connectAs(target, relay);
  await using adminHome = await connectAs(home, admin);
  await home.sql.unsafe(`grant mailchute_relay to ${relay}; grant mailchute_admin to ${admin}`).simple();
  const { look, said } = copier({ sql: relayHome }, { sql: relayTarget });
  for (const address of ["ann@example.com", "bob@example.com"]) await suppress(adminHome, address);
  await look();
  await adminHome`delete from mailchute.suppression where address = 'ann@example.com'`;
  await look();
  await forgetRemovals(relayHome);
  expect(await copied(target)).toEqual(["bob@example.com manual"]);
  expect(said).toEqual(["all suppressions of the home database were copied"]);
  for (const table of ["suppression_home", "suppression_copy", "suppression_removal"]) {
    const [may] = await home.sql`
      select has_table_privilege('public', ${`mailchute.${table}`}, 'select, insert, update, delete') as public,
        has_table_privilege('mailchute_client', ${`mailchute.${table}`}, 'select, insert, update, delete') as app,
        has_table_privilege(${admin}, ${`mailchute.${table}`}, 'insert, delete') as admin`;
    expect<unknown>({ table, ...may }).toEqual({ table, public: false, app: false, admin: false });
  }
});

test("a database that was copied and adopted compares its list as a whole", async () => {
  await using home = await createDatabase();
  await using target = await createDatabase();
  const one = copier(home, target);
  await suppress(home.sql, "ann@example.com");
  await one.look();
  await home
    .sql`insert into mailchute.place (database_oid, addresses, server_started_at) values (1, '{elsewhere/home}', now())`;
  await home.sql`alter table mailchute.suppression disable trigger user`;
  await home.sql`delete from mailchute.suppression`;
  await one.look();
  expect(await copied(target)).toHaveLength(1);
  const ran = await run(["adopt-copy", "--keep"], on(home));
  expect({ code: ran.code, stderr: ran.stderr }).toEqual({ code: 0, stderr: expect.stringContaining("is adopted") });
  await one.look();
  expect(await copied(target)).toEqual([]);
});
