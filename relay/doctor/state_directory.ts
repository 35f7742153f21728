import { accessSync, constants, existsSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { errorCode } from "../error_code.ts";
import { checkKept } from "../journal/state_directory.ts";
import { fail, type Finding, ok, reasonOf } from "./finding.ts";

/**
 * Whether a relay of this user could keep its state there. Makes nothing and takes no lock, so that it disturbs no
 * relay that works with it.
 */
export function checkStateDirectory(directory: string): readonly Finding[] {
  const path = resolve(directory);
  const fix =
    "set RELAY_STATE_DIR to a folder of the relay's user, who may write all that is in it, on a local or block volume";
  try {
    if (!existsSync(path)) {
      accessSync(firstExisting(path), constants.W_OK | constants.X_OK);
      return [ok("state", `${path} is not there yet: the relay makes it`)];
    }
    if (!statSync(path).isDirectory()) return [fail("state", `${path} is no folder`, fix)];
    accessSync(path, constants.W_OK | constants.X_OK);
    checkKept(path);
    return [ok("state", `${path} is writable`)];
  } catch (error) {
    const inside = error instanceof Error && "path" in error && error.path !== path ? ` (${error.path})` : "";
    return [fail("state", `${path} cannot be written to: ${errorCode(error) || reasonOf(error)}${inside}`, fix)];
  }
}

function firstExisting(path: string): string {
  let parent = dirname(path);
  while (!existsSync(parent)) parent = dirname(parent);
  if (!statSync(parent).isDirectory()) throw Object.assign(new Error(`${parent} is no folder`), { code: "ENOTDIR" });
  return parent;
}
