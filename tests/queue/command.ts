import { join } from "node:path";
import type { TestDatabase } from "../database.ts";

/** What a command left behind: its exit code, what it printed for programs and what it told people. */
export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command to its end, with nothing of this process's environment but the path. */
export async function run(
  words: readonly string[],
  env: Readonly<Record<string, string>> = {},
  stdin: string | Uint8Array<ArrayBuffer> = "",
): Promise<Ran> {
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "../../relay/main.ts"), ...words], {
    env: { PATH: process.env.PATH ?? "", ...env },
    stdin: new Blob([stdin]),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [code, stdout, stderr] = await Promise.all([
    child.exited,
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { code, stdout, stderr };
}

/** The environment for one database. */
export function on(database: TestDatabase): Readonly<Record<string, string>> {
  return { DATABASE_URL: database.url };
}

/** An id that no test enqueues. */
export const UNKNOWN_ID = "018f0000-0000-7000-8000-00000000dead";
