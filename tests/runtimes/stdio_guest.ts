import { stdin, stdout } from "node:process";
import { createInterface } from "node:readline";
import type { Kind } from "../client/kinds/kind.ts";
import { run } from "./guest.ts";

/**
 * Takes tasks from stdin and writes reports to stdout, a line each, until stdin ends. For runtimes that are a program.
 */
export async function serveStdio(kinds: readonly Kind[]): Promise<void> {
  for await (const line of createInterface({ input: stdin })) {
    stdout.write(`${JSON.stringify(await run(JSON.parse(line), kinds))}\n`);
  }
}
