import { readdirSync, readFileSync } from "node:fs";

/** One numbered migration: the text of one file of `src/schema`. */
export interface Migration {
  readonly version: number;
  /** The file's name without its ending, such as `001_tables`. */
  readonly name: string;
  readonly text: string;
}

const FOLDER = new URL("../src/schema/", import.meta.url);

/** The version of this program; a schema may refuse programs that are older than its `oldest_program`. */
export const PROGRAM_VERSION = "0.1.0";

/** The oldest program that can work with the newest schema. Raise it only with a migration that breaks older ones. */
export const OLDEST_PROGRAM = "0.1.0";

/** All migrations, in their order; the numbers have no gap. */
export const MIGRATIONS: readonly Migration[] = readMigrations();

/** The version of the schema after all migrations. */
export const SCHEMA_VERSION: number = MIGRATIONS.at(-1)?.version ?? 0;

/** The rights of the roles; safe to run at any time. */
export const ROLES: string = readFileSync(new URL("roles.sql", FOLDER), "utf8");

/** Tells whether program version `a` is older than `b` (three numbers, compared one by one). */
export function isOlder(a: string, b: string): boolean {
  const [left, right] = [a, b].map((version) => version.split(".").map(Number));
  for (const [index, number] of (left ?? []).entries()) {
    const other = right?.[index] ?? 0;
    if (number !== other) return number < other;
  }
  return false;
}

function readMigrations(): readonly Migration[] {
  const files = readdirSync(FOLDER).filter((name) => /^\d{3}_\w+\.sql$/.test(name)).sort();
  return files.map((file, index) => {
    const version = Number(file.slice(0, 3));
    if (version !== index + 1) throw new Error(`Cannot read the migrations: ${file} does not follow number ${index}`);
    return { version, name: file.replace(".sql", ""), text: readFileSync(new URL(file, FOLDER), "utf8") };
  });
}
