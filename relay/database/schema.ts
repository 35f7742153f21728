import { readdirSync, readFileSync } from "node:fs";
import { SCHEMA_VERSION } from "../version.ts";

/** One numbered migration: the text of one file of `src/schema`. */
export interface Migration {
  readonly version: number;
  /** The file's name without its ending, such as `001_tables`. */
  readonly name: string;
  readonly text: string;
}

const FOLDER = new URL("../../src/schema/", import.meta.url);

/** All migrations, in their order; the numbers have no gap. */
export const MIGRATIONS: readonly Migration[] = readMigrations();

/** The rights of the roles; safe to run at any time. */
export const ROLES: string = readFileSync(new URL("roles.sql", FOLDER), "utf8");

function readMigrations(): readonly Migration[] {
  const files = readdirSync(FOLDER).filter((name) => /^\d{3}_\w+\.sql$/.test(name)).sort();
  if (files.length !== SCHEMA_VERSION) {
    throw new Error(
      `Cannot read the migrations: there are ${files.length}, and SCHEMA_VERSION in version.ts is ${SCHEMA_VERSION}`,
    );
  }
  return files.map((file, index) => {
    const version = Number(file.slice(0, 3));
    if (version !== index + 1) throw new Error(`Cannot read the migrations: ${file} does not follow number ${index}`);
    return { version, name: file.replace(".sql", ""), text: readFileSync(new URL(file, FOLDER), "utf8") };
  });
}
