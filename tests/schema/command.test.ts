import { expect, test } from "bun:test";
import { MAKE_ROLES, migrationText } from "../../relay/database/migrate.ts";
import { migrations } from "../../relay/database/schema.ts";
import { SCHEMA_VERSION } from "../../relay/version.ts";
import { createDatabase, type TestDatabase } from "../database.ts";
import { on, run } from "../command.ts";

test("migrate --dry-run tells what it would do, prints the DBA's part, and does nothing", async () => {
  await using database = await createDatabase({ empty: true });
  const { code, stdout, stderr } = await run(["migrate", "--dry-run"], on(database));
  expect({ code, stdout: stdout.trim() }).toEqual({ code: 0, stdout: MAKE_ROLES });
  expect(stderr).toContain(`would apply ${migrations().map(({ name }) => name).join(", ")}`);
  const [row] = await database.sql`select to_regnamespace('mailchute') is null as absent`;
  expect(row?.absent).toBe(true);
});

test("migrate applies what is missing, tells what it did, and the second time says up to date", async () => {
  await using database = await createDatabase({ empty: true });
  const first = await run(["migrate"], on(database));
  expect({ code: first.code, stdout: first.stdout }).toEqual({ code: 0, stdout: "" });
  expect(first.stderr).toContain(`applied ${migrations().map(({ name }) => name).join(", ")}`);
  const second = await run(["migrate"], on(database));
  expect(second.code).toBe(0);
  expect(second.stderr).toContain("up to date");
  const dry = await run(["migrate", "--dry-run"], on(database));
  expect(dry.stderr).toContain("up to date");
  // What comes next is said until it is done.
  for (const { stderr } of [first, second]) expect(stderr).toContain("Next: mailchute grants ROLE");
  await database.sql`insert into mailchute.app (name, senders) values ('shop', '{*}')`;
  await database.sql`insert into mailchute.app_role (role, app) values ('postgres', 'shop')`;
  expect((await run(["migrate"], on(database))).stderr).not.toContain("Next:");
});

test("migrate brings every database of the environment up to date, or the one that is named", async () => {
  await using home = await createDatabase({ empty: true });
  await using shop = await createDatabase({ empty: true });
  const env = { DATABASE_URL: home.url, DATABASE_URL_SHOP: shop.url };
  const isThere = async ({ sql }: TestDatabase) => {
    const [row] = await sql`select to_regnamespace('mailchute') is not null as there`;
    return row?.there as boolean;
  };
  expect((await run(["migrate", "--database", "shop"], env)).code).toBe(0);
  expect([await isThere(home), await isThere(shop)]).toEqual([false, true]);
  expect((await run(["migrate"], env)).code).toBe(0);
  expect([await isThere(home), await isThere(shop)]).toEqual([true, true]);
});

test("migrate of a schema that is too new exits with 1 and names the version to install", async () => {
  await using database = await createDatabase();
  await database.sql`update mailchute.schema_info set version = 999, oldest_program = '99.0.0'`;
  const { code, stderr } = await run(["migrate"], on(database));
  expect(code).toBe(1);
  expect(stderr).toContain("99.0.0");
});

test("migrate --sql prints the text for another tool on stdout, and needs no database", async () => {
  expect(await run(["migrate", "--sql"])).toEqual({ code: 0, stdout: `${migrationText(0)}\n`, stderr: "" });
  const last = await run(["migrate", "--sql", "--from", String(SCHEMA_VERSION - 1)]);
  expect(last.stdout).toBe(`${migrationText(SCHEMA_VERSION - 1)}\n`);
  expect(last.stdout).toContain(migrations().at(-1)?.text as string);
  expect(last.stdout).not.toContain(migrations()[0]?.text as string);
});

test("grants of a role that does not exist exits with 1, tells how to create it and changes nothing", async () => {
  await using database = await createDatabase();
  const { code, stdout, stderr } = await run(["grants", "no_such_role", "--from", "*@shop.example"], on(database));
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toContain("Role no_such_role does not exist");
  expect(stderr).toContain(`create role "no_such_role" login`);
  const [row] = await database.sql`select count(*)::int as apps from mailchute.app`;
  expect(row?.apps).toBe(0);
});

test("grants tells what the role may do now", async () => {
  await using database = await createDatabase();
  await database.as("web app");
  const words = [
    "grants",
    "web app",
    "--app",
    "shop",
    "--from",
    "*@shop.example",
    "--from",
    "ceo@corp.example",
    "--to",
    "*@corp.example",
  ];
  const { code, stdout, stderr } = await run(words, on(database));
  expect({ code, stdout }).toEqual({ code: 0, stdout: "" });
  expect(stderr).toContain(
    "may now enqueue for the app shop as *@shop.example, ceo@corp.example to *@corp.example.",
  );
  const rows = await database.sql`select name, senders, recipients from mailchute.app`;
  expect(rows.map((row) => ({ ...row }))).toEqual([
    { name: "shop", senders: ["*@shop.example", "ceo@corp.example"], recipients: ["*@corp.example"] },
  ]);
  expect((await run(words, on(database))).stderr).not.toContain("Before");
  const less = await run(["grants", "web app", "--app", "shop", "--from", "new@shop.example"], on(database));
  expect(less.stderr).toContain(
    "Before, the app shop had --from '*@shop.example' --from 'ceo@corp.example' --to '*@corp.example': what is not named anew is gone.",
  );
});

test("grants without --app leaves a role with the app that it has, and one that moves is told of", async () => {
  await using database = await createDatabase();
  await database.as("web");
  const grants = async (...words: readonly string[]) => {
    const { code, stderr } = await run(["grants", "web", "--from", "*@shop.example", ...words], on(database));
    expect(code).toBe(0);
    return stderr;
  };
  expect(await grants("--app", "shop")).not.toContain("Before");
  expect(await grants()).toContain("may now enqueue for the app shop as *@shop.example.");
  expect(await grants("--app", "news")).toContain("Before, the role enqueued for the app shop");
  const rows = await database.sql`select role, app from mailchute.app_role`;
  expect(rows.map((row) => ({ ...row }))).toEqual([{ role: "web", app: "news" }]);
});
