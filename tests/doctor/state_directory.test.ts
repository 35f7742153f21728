import { expect, test } from "bun:test";
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { checkStateDirectory } from "../../relay/doctor/state_directory.ts";
import { openStateDirectory } from "../../relay/journal/state_directory.ts";
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

test("what a run as another user has left in the folder is a failure that names it, for doctor and for the relay", () => {
  using state = temporaryDirectory();
  const journal = join(state.path, "journal");
  mkdirSync(journal);
  chmodSync(journal, 0);
  // Root may everything, so that it has to be somebody else for a moment.
  const isRoot = process.geteuid?.() === 0;
  if (isRoot) chownSync(state.path, 65_534, 65_534);
  if (isRoot) process.seteuid?.(65_534);
  try {
    const [told] = found(checkStateDirectory(state.path), "state");
    expect(told).toStartWith(`fail: ${state.path} cannot be written to: EACCES (${journal}) → set RELAY_STATE_DIR`);
    expect(() => openStateDirectory(state.path)).toThrow(
      new RegExp(`^Cannot write to the state directory ${state.path}: .*'${journal}'; set RELAY_STATE_DIR`),
    );
  } finally {
    if (isRoot) process.seteuid?.(0);
    chmodSync(journal, 0o700);
  }
});
