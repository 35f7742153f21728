import { expect, test } from "bun:test";
import { migrate as migrateSchema } from "../../relay/database/migrate.ts";
import { createDatabase } from "../database.ts";
import { newRole } from "../schema/role.ts";
import { found, look } from "./setup.ts";

test("a role without rights, or with too few, is told what has to be run", async () => {
  await using database = await createDatabase();
  const role = newRole();
  const url = await database.as(role);
  const blind = await look(url);
  expect(found(blind, "schema")[0]).toBe(
    `fail: the role ${role} may not look at it → a superuser, or who has made mailchute_relay, runs: grant mailchute_relay to ${role}`,
  );
  await database.sql.unsafe(`grant mailchute_viewer to ${role}`);
  const viewer = await look(url);
  expect(found(viewer, "rights")[0]).toBe(
    `fail: the role ${role} lacks delete, insert, select, update on attachment and 13 more tables → ` +
      `a superuser, or who has made mailchute_relay, runs: grant mailchute_relay to ${role}`,
  );
  expect(viewer.at(-1)?.check).toBe("rights");
  await database.sql.unsafe(`grant mailchute_relay to ${role}`);
  expect(found(await look(url), "rights")).toEqual([`ok: the role ${role} may claim and settle`]);
});

test("a role that is in the group before the owner has migrated again is told that, and then works", async () => {
  await using database = await createDatabase();
  const role = newRole();
  const url = await database.as(role);
  // As on a server where mailchute_relay is made after the schema.
  await database.sql.unsafe(`
    grant mailchute_relay to ${role};
    revoke all on schema mailchute from mailchute_relay;
    revoke all on all tables in schema mailchute from mailchute_relay`).simple();
  const migrate = "the owner of the database runs: mailchute migrate (which gives mailchute_relay its rights)";
  expect(found(await look(url), "schema")).toEqual([`fail: the role ${role} may not look at it → ${migrate}`]);
  const outsider = newRole();
  expect(found(await look(await database.as(outsider)), "schema")[0]).toEndWith(
    `runs: grant mailchute_relay to ${outsider}; and then ${migrate}`,
  );
  await migrateSchema(database.sql);
  expect(found(await look(url), "rights")).toEqual([`ok: the role ${role} may claim and settle`]);
});

test("a role on a server without the group is told to have it made", async () => {
  await using database = await createDatabase();
  const role = newRole();
  const url = await database.as(role);
  await database.sql`alter role mailchute_relay rename to away`;
  try {
    expect(found(await look(url), "schema")[0]).toEndWith(
      `→ a superuser runs: create role mailchute_relay nologin; grant mailchute_relay to ${role}; and then ` +
        "the owner of the database runs: mailchute migrate (which gives mailchute_relay its rights)",
    );
  } finally {
    await database.sql`alter role away rename to mailchute_relay`;
  }
});
