import { expect, test } from "bun:test";
import { createDatabase } from "../database.ts";
import { newRole } from "../schema/role.ts";
import { found, look } from "./setup.ts";

test("a role without rights, or with too few, is told what the owner has to run", async () => {
  await using database = await createDatabase();
  const role = newRole();
  const url = await database.as(role);
  const blind = await look(url);
  expect(found(blind, "schema")[0]).toBe(
    `fail: the role ${role} may not look at it → let the owner of the database run: grant mailchute_relay to ${role}`,
  );
  await database.sql.unsafe(`grant mailchute_viewer to ${role}`);
  const viewer = await look(url);
  expect(found(viewer, "rights")[0]).toBe(
    `fail: the role ${role} lacks delete, insert, select, update on attachment and 12 more tables → ` +
      `let the owner of the database run: grant mailchute_relay to ${role}`,
  );
  expect(viewer.at(-1)?.check).toBe("rights");
  await database.sql.unsafe(`grant mailchute_relay to ${role}`);
  expect(found(await look(url), "rights")).toEqual([`ok: the role ${role} may claim and settle`]);
});
