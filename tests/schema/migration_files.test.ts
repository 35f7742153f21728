import { expect, test } from "bun:test";
import { cpSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readMigrations } from "../../relay/database/schema.ts";
import { temporaryDirectory } from "../relay_process.ts";

/** A folder of three migrations, changed by `change`. @returns what reading it says */
function problemOf(change: (folder: string) => void): string | undefined {
  using directory = temporaryDirectory();
  for (const name of ["001_one", "002_two", "003_three", "roles"]) {
    writeFileSync(join(directory.path, `${name}.sql`), "select 1;");
  }
  change(directory.path);
  try {
    readMigrations(directory.path, 3);
    return undefined;
  } catch (error) {
    return (error as Error).message.replace(directory.path, "FOLDER");
  }
}

test("a migration that is too many, misnamed, missing or there twice is named in one sentence, and so is what to do", () => {
  const add = (name: string) => (folder: string) => writeFileSync(join(folder, name), "select 1;");
  expect(problemOf(() => undefined)).toBeUndefined();
  // An editor's copy is none.
  expect(problemOf(add("002_two.sql~"))).toBeUndefined();
  expect(problemOf(add("004_more.sql"))).toBe(
    "Cannot read the migrations in FOLDER: 004_more.sql comes after number 3, which is SCHEMA_VERSION in relay/version.ts: raise that, or take the file away",
  );
  expect(problemOf(add("4-more.sql"))).toBe(
    "Cannot read the migrations in FOLDER: 4-more.sql has no name like 001_tables.sql: give it the next number, or take it away",
  );
  expect(problemOf(add("002_copy.sql"))).toBe(
    "Cannot read the migrations in FOLDER: 002_two.sql has a number that another file has: there is one for each",
  );
  expect(problemOf((folder) => renameSync(join(folder, "002_two.sql"), join(folder, "004_two.sql")))).toBe(
    "Cannot read the migrations in FOLDER: number 2 is missing, before 003_three.sql",
  );
  expect(problemOf((folder) => rmSync(join(folder, "003_three.sql")))).toBe(
    "Cannot read the migrations in FOLDER: number 3 is missing, of 3 (SCHEMA_VERSION in relay/version.ts)",
  );
});

test("a program with a migration too many says so, and shows no stack; what needs none works", async () => {
  using directory = temporaryDirectory();
  const root = join(import.meta.dir, "../..");
  for (const part of ["relay", "src", "package.json"]) {
    cpSync(join(root, part), join(directory.path, part), { recursive: true });
  }
  symlinkSync(join(root, "node_modules"), join(directory.path, "node_modules"));
  writeFileSync(join(directory.path, "src/schema/999_mine.sql"), "select 1;");
  const run = async (...words: readonly string[]) => {
    const child = Bun.spawn([process.execPath, join(directory.path, "relay/main.ts"), ...words], {
      ...{ env: { PATH: process.env.PATH ?? "" }, stdin: "ignore", stdout: "pipe", stderr: "pipe" },
    });
    return { code: await child.exited, stderr: await new Response(child.stderr).text() };
  };
  const { code, stderr } = await run("migrate", "--sql");
  expect(code).toBe(1);
  expect(stderr).toMatch(
    /^mailchute: Cannot read the migrations in \S+: number \d+ is missing, before 999_mine.sql\n$/,
  );
  expect(await run("--version")).toEqual({ code: 0, stderr: "" });
});
