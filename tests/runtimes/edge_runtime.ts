import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bundle, ROOT } from "./bundle.ts";
import { nodeProgram } from "./node.ts";
import { startProgram } from "./program.ts";
import type { Runtime } from "./task.ts";

/** Starts Vercel's edge runtime, in Node, with the cases in it. */
export async function startEdgeRuntime(): Promise<Runtime> {
  const folder = mkdtempSync(join(tmpdir(), "mailchute-edge-"));
  const [host, guest] = [join(folder, "host.mjs"), join(folder, "guest.js")];
  writeFileSync(host, await bundle("tests/runtimes/edge_host.ts", { target: "node" }));
  const edge = { target: "browser", format: "iife", conditions: ["edge-light"] } as const;
  writeFileSync(guest, await bundle("tests/runtimes/edge_guest.ts", edge));
  const program = startProgram(nodeProgram(), [host, join(ROOT, "package.json"), guest]);
  return {
    run: async (task) => JSON.parse(await program.ask(`/ ${JSON.stringify(task)}`)),
    runLater: async (task) => void await program.ask(`/later ${JSON.stringify(task)}`),
    [Symbol.asyncDispose]: async () => {
      await program[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true });
    },
  };
}
