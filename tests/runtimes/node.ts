import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bundle, ROOT } from "./bundle.ts";
import { startProgram } from "./program.ts";
import type { Runtime } from "./task.ts";

/** The machine's own Node: Bun would answer to its name in its own scripts. */
export function nodeProgram(): string {
  const path = Bun.which("node");
  if (path === null) throw new Error("Cannot find Node: install version 20 or newer and put it into PATH");
  return path;
}

/** Starts Node with the cases in one file, without the drivers. */
export async function startNode(): Promise<Runtime> {
  // Below the repository, where Node finds the packages by itself.
  const folder = mkdtempSync(join(ROOT, "node_modules/.mailchute-node-"));
  const file = join(folder, "guest.mjs");
  writeFileSync(file, await bundle("tests/runtimes/node_guest.ts", { target: "node", packages: "external" }));
  const program = startProgram(nodeProgram(), [file]);
  return {
    run: async (task) => JSON.parse(await program.ask(JSON.stringify(task))),
    [Symbol.asyncDispose]: async () => {
      await program[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true });
    },
  };
}
