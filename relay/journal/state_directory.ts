import { Database } from "bun:sqlite";
import { randomUUID } from "node:crypto";
import {
  accessSync,
  chmodSync,
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { errorCode } from "../error_code.ts";

/** The folder in which a relay remembers who it is. Held by one relay at a time. */
export interface StateDirectory {
  readonly path: string;
  /** Names the folder in every database, so that the next relay here can take back what this one held. */
  readonly instance: string;
  /** Lets another relay have it; the end of this process does the same. */
  release(): void;
}

/**
 * Takes hold of the state directory.
 *
 * The lock is SQLite's: the operating system ends it with the process, however that ends, and it holds between
 * containers that share a volume, where process ids say nothing.
 *
 * @throws {Error} when another relay has it, or it cannot be written
 */
export function openStateDirectory(directory: string): StateDirectory {
  const path = resolve(directory);
  let lock: Database;
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    makePrivate(path);
    checkKept(path);
    // Made before SQLite does, which would let others read it.
    closeSync(openSync(join(path, "lock.sqlite"), "a", 0o600));
    lock = new Database(join(path, "lock.sqlite"), { create: true });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(
      `Cannot write to the state directory ${path}: ${reason}; set RELAY_STATE_DIR to a folder of this user, who may write all that is in it`,
      { cause },
    );
  }
  try {
    lock.exec("pragma locking_mode = exclusive; begin exclusive;");
  } catch (cause) {
    lock.close();
    throw new Error(
      `Cannot use the state directory ${path}: another relay works with it; give each relay a RELAY_STATE_DIR of its own`,
      { cause },
    );
  }
  return { path, instance: readInstance(join(path, "instance")), release: () => lock.close() };
}

/**
 * Throws at the first thing in a state directory that this user may not write: a relay that was run there as root
 * leaves its files behind.
 */
export function checkKept(path: string): void {
  for (const name of ["lock.sqlite", "instance"]) mayWrite(join(path, name));
  const journal = join(path, "journal");
  if (!mayWrite(journal, constants.X_OK)) return;
  for (const name of readdirSync(journal)) mayWrite(join(journal, name));
}

/** @returns whether it is there: a relay that works in the folder deletes what it needs no longer */
function mayWrite(path: string, more = 0): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK | more);
    return true;
  } catch (error) {
    if (errorCode(error) === "ENOENT") return false;
    throw error;
  }
}

/**
 * Shuts the folder to others, if it is ours: a volume may belong to root and let us in by its group (fsGroup in
 * Kubernetes).
 */
function makePrivate(path: string): void {
  try {
    chmodSync(path, 0o700);
  } catch (error) {
    if (errorCode(error) !== "EPERM") throw error;
  }
}

function readInstance(file: string): string {
  try {
    const known = readFileSync(file, "utf8").trim();
    if (/^[0-9a-f-]{36}$/.test(known)) return known;
  } catch {
    // The first start here.
  }
  const instance = randomUUID();
  writeFileSync(file, `${instance}\n`, { mode: 0o600 });
  return instance;
}
