import { expect, test } from "bun:test";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { checkStateDirectory } from "../../relay/doctor/state_directory.ts";
import { openStateDirectory } from "../../relay/state_directory.ts";
import { temporaryDirectory } from "../relay_process.ts";
import { found } from "./setup.ts";

test("a folder that is there, also while a relay holds it, and one that can be made are ok, and nothing is made", () => {
  using state = temporaryDirectory();
  expect(found(checkStateDirectory(state.path), "state")).toEqual([`ok: ${state.path} is writable`]);
  expect(readdirSync(state.path)).toEqual([]);
  const held = openStateDirectory(state.path);
  expect(found(checkStateDirectory(state.path), "state")).toEqual([`ok: ${state.path} is writable`]);
  held.release();
  const deeper = join(state.path, "a", "b");
  expect(found(checkStateDirectory(deeper), "state")).toEqual([`ok: ${deeper} is not there yet: the relay makes it`]);
  expect(existsSync(join(state.path, "a"))).toBe(false);
});

test("a file in the place of the folder, or above it, is a failure with the setting to change", () => {
  using state = temporaryDirectory();
  const file = join(state.path, "file");
  writeFileSync(file, "");
  for (const path of [file, join(file, "state")]) {
    const [finding] = checkStateDirectory(path);
    expect(finding).toMatchObject({ level: "fail", fix: expect.stringContaining("RELAY_STATE_DIR") });
    expect(finding?.found).toContain(path);
  }
});
