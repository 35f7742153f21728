import { VERSION } from "../src/version.ts";

/** The version of this program; a schema may refuse programs that are older than its `oldest_program`. */
export const PROGRAM_VERSION: string = VERSION;

/** The oldest program that can work with the newest schema. Raise it only with a migration that breaks older ones. */
export const OLDEST_PROGRAM = "0.1.0";

/**
 * The version of the schema after all migrations. A number and not their count, since a Worker has no files to count.
 */
export const SCHEMA_VERSION = 16;

/** Tells whether program version `a` is older than `b` (three numbers, compared one by one). */
export function isOlder(a: string, b: string): boolean {
  const [left, right] = [a, b].map((version) => version.split(".").map(Number));
  for (const [index, number] of (left ?? []).entries()) {
    const other = right?.[index] ?? 0;
    if (number !== other) return number < other;
  }
  return false;
}
