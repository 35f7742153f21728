#!/usr/bin/env bun
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import type { CommandContext } from "./commands/command.ts";
import { runCommandLine } from "./commands/command_line.ts";
import { filesHere } from "./commands/files.ts";
import { commandsOf } from "./commands/program.ts";
import { embeddedUrl } from "./database/embedded.ts";
import { errorCode } from "./error_code.ts";
import { systemClock } from "./time/clock.ts";

// The composition root: the only file that reads process.* or writes to the console.

const stdout = Bun.stdout.writer();
// Whoever reads has seen enough (`mailchute list | head`), or the log has lost its reader or its terminal: no reason to
// end, least of all for `run`.
process.on("unhandledRejection", (error) => {
  if (["EPIPE", "EIO"].includes(errorCode(error))) return;
  throw error;
});

let asking: Promise<string> | undefined;

const commands = commandsOf({
  hostname: hostname(),
  pid: process.pid,
  clock: systemClock,
  random: Math.random,
  stopAsked,
});

const context: CommandContext = {
  env: process.env,
  ...filesHere(() => Bun.stdin.stream()),
  print: (text) => {
    stdout.write(`${text}\n`);
    return stdout.flush();
  },
  tell: (text) => process.stderr.write(`${text}\n`),
  after: systemClock.after,
  terminal: process.stdout.isTTY === true,
  embeddedUrl,
};

const code = await runCommandLine(process.argv.slice(2), commands, context);
// A pipe takes 64 KiB at a time: the rest must be out before the end.
await Promise.resolve(stdout.end()).catch(() => undefined);
process.exit(code);

/**
 * Resolves at the first signal; a second one ends the process at once. Only who calls this drains: of the other
 * commands each signal is the end. SIGHUP says that the terminal is gone, and often does so twice: it begins the same,
 * and enforces nothing. Under nohup it is ignored, and stays so.
 */
function stopAsked(): Promise<string> {
  asking ??= new Promise((resolve) => {
    let asked = false;
    if (!ignoresHangup()) process.on("SIGHUP", () => resolve("SIGHUP"));
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      process.on(signal, () => {
        if (asked) process.exit(128 + (signal === "SIGTERM" ? 15 : 2));
        asked = true;
        resolve(signal);
      });
    }
  });
  return asking;
}

/**
 * Whether whoever started us wants it so; asked where the system tells (proc(5), SigIgn: the first bit is signal 1).
 */
function ignoresHangup(): boolean {
  try {
    const ignored = /^SigIgn:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
    return (BigInt(`0x${ignored}`) & 1n) === 1n;
  } catch {
    return false;
  }
}
