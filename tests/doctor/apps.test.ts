import { expect, test } from "bun:test";
import { createDatabase } from "../database.ts";
import { newRole } from "../schema/role.ts";
import { found, look } from "./setup.ts";

test("no app, an app that may use any address, and an app without a role are worth a word", async () => {
  await using database = await createDatabase();
  expect(found(await look(database.url), "apps")[0]).toStartWith("warn: none: no role may send but the owner → ");
  const role = newRole();
  await database.as(role);
  await database.sql`insert into mailchute.app (name, senders) values ('any', '{*}'), ('lonely', '{*@lonely.example}')`;
  await database.sql`insert into mailchute.app_role (role, app) values (${role}, 'any')`;
  expect(found(await look(database.url), "apps")).toEqual([
    `warn: any may send under any address → name its addresses: mailchute grants ${role} --app any --from '*@example.com'`,
    "warn: lonely has no role, so nobody sends for it → mailchute grants ROLE --app lonely --from '*@lonely.example'",
  ]);
});

test("what to run for an app of another database names that, and keeps what the app was granted before", async () => {
  await using database = await createDatabase();
  const named = async () => found(await look(database.url, { name: "crm" }), "apps");
  expect((await named())[0]).toEndWith("--from '*@example.com' --database crm");
  await database.sql`
    insert into mailchute.app (name, senders, recipients, may_override_suppression) values ('any', '{*,a@any.example}', '{*@corp.example}', true)`;
  expect(await named()).toEqual([
    "warn: any may send under any address → name its addresses: mailchute grants ROLE --app any --from '*@example.com' " +
    "--to '*@corp.example' --may-override-suppression --database crm",
    "warn: any has no role, so nobody sends for it → mailchute grants ROLE --app any --from '*' --from 'a@any.example' " +
    "--to '*@corp.example' --may-override-suppression --database crm",
  ]);
});
