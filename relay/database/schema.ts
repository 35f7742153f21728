import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { SCHEMA_VERSION } from "../version.ts";

/** One numbered migration: the text of one file of `src/schema`. */
export interface Migration {
  readonly version: number;
  /** The file's name without its ending, such as `001_tables`. */
  readonly name: string;
  readonly text: string;
}

const FOLDER = fileURLToPath(new URL("../../src/schema/", import.meta.url));

let known: readonly Migration[] | undefined;

/**
 * All migrations, in their order; the numbers have no gap. Read when they are first needed: what is wrong with them is
 * said by the command that needs them, and not by a module that cannot be loaded.
 */
export function migrations(): readonly Migration[] {
  known ??= readMigrations(FOLDER, SCHEMA_VERSION);
  return known;
}

/** The rights of the roles; safe to run at any time. */
export const ROLES: string = readFileSync(join(FOLDER, "roles.sql"), "utf8");

/**
 * Reads the migrations of a folder.
 *
 * @param count how many there must be
 * @throws {Error} with the file that is too many, misnamed or missing
 */
export function readMigrations(folder: string, count: number): readonly Migration[] {
  const refuse = (what: string) => new Error(`Cannot read the migrations in ${folder}: ${what}`);
  const files = readdirSync(folder).filter((name) => name.endsWith(".sql") && name !== "roles.sql").sort();
  const migrations = files.map((file, index) => {
    const [, digits] = /^(\d{3})_\w+\.sql$/.exec(file) ?? [];
    if (digits === undefined) {
      throw refuse(`${file} has no name like 001_tables.sql: give it the next number, or take it away`);
    }
    const version = Number(digits);
    if (version <= index) throw refuse(`${file} has a number that another file has: there is one for each`);
    if (version > index + 1) throw refuse(`number ${index + 1} is missing, before ${file}`);
    return { version, name: file.replace(".sql", ""), text: readFileSync(join(folder, file), "utf8") };
  });
  const extra = files[count];
  if (extra !== undefined) {
    throw refuse(
      `${extra} comes after number ${count}, which is SCHEMA_VERSION in relay/version.ts: raise that, or take the file away`,
    );
  }
  if (files.length < count) {
    throw refuse(`number ${files.length + 1} is missing, of ${count} (SCHEMA_VERSION in relay/version.ts)`);
  }
  return migrations;
}
