import { join } from "node:path";
import { ROOT } from "./bundle.ts";
import { startProgram } from "./program.ts";
import type { Runtime } from "./task.ts";

/** Starts Deno with the sources as they are, which is how it gets them from JSR. */
export function startDeno(): Promise<Runtime> {
  const deno = join(ROOT, "node_modules/.bin/deno");
  // The drivers look at PG* in the environment; nothing else is asked for but the network.
  const rights = ["--allow-net=127.0.0.1", "--allow-env"];
  const guest = join(import.meta.dir, "deno_guest.ts");
  const program = startProgram(deno, ["run", "--no-prompt", "--cached-only", ...rights, guest]);
  return Promise.resolve({
    run: async (task) => JSON.parse(await program.ask(JSON.stringify(task))),
    [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
  });
}
