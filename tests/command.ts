import { hostname } from "node:os";
import { join } from "node:path";
import { runCommandLine } from "../relay/commands/command_line.ts";
import { filesHere } from "../relay/commands/files.ts";
import { commandsOf } from "../relay/commands/program.ts";
import { embeddedUrl } from "../relay/database/embedded.ts";
import { systemClock } from "../relay/time/clock.ts";
import type { TestDatabase } from "./database.ts";

/** What a command left behind: its exit code, what it printed for programs and what it told people. */
export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const commands = commandsOf({
  ...{ hostname: hostname(), pid: process.pid, clock: systemClock, random: Math.random },
  stopAsked: () => new Promise(() => {}),
});

/**
 * Runs a command to its end as the program does, in this process, with nothing of its environment but the path: a
 * process of its own costs more than most of them. `runProgram` is for what the process itself does.
 */
export async function run(
  words: readonly string[],
  env: Readonly<Record<string, string>> = {},
  stdin: string | Uint8Array<ArrayBuffer> = "",
): Promise<Ran> {
  const out: string[] = [];
  const told: string[] = [];
  const code = await runCommandLine(words, commands, {
    env: { PATH: process.env.PATH ?? "", ...env },
    ...filesHere(() => new Blob([stdin]).stream()),
    print: (text) => out.push(`${text}\n`),
    tell: (text) => told.push(`${text}\n`),
    after: systemClock.after,
    terminal: false,
    embeddedUrl,
  });
  return { code, stdout: out.join(""), stderr: told.join("") };
}

/** Runs a command to its end in a process of its own. */
export async function runProgram(
  words: readonly string[],
  env: Readonly<Record<string, string>> = {},
  stdin: string | Uint8Array<ArrayBuffer> = "",
): Promise<Ran> {
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "../relay/main.ts"), ...words], {
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
