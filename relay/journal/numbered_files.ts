import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";

/** The files of one kind in a folder, each begun by one process and named by a number. */
export interface NumberedFiles {
  /** Those that are there, the oldest first. */
  readonly paths: readonly string[];
  /** The first number that is free behind them. */
  readonly nextNumber: number;
}

/**
 * Looks which files of a kind are there.
 *
 * @param directory made if it is not there; readable for this user alone
 * @param kind what their names end with, without the dot
 * @throws {Error} when it cannot be made or read
 */
export function findNumbered(directory: string, kind: string): NumberedFiles {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const names = readdirSync(directory).filter((name) => new RegExp(`^\\d{10}\\.${kind}$`).test(name)).sort();
  return {
    paths: names.map((name) => join(directory, name)),
    nextNumber: Number.parseInt(names.at(-1) ?? "0", 10) + 1,
  };
}

/** The path of the file with this number. */
export function numberedPath(directory: string, number: number, kind: string): string {
  return join(directory, `${String(number).padStart(10, "0")}.${kind}`);
}
