#!/usr/bin/env bun
import { readdirSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import { join, relative, sep } from "node:path";
import { parseArgs } from "node:util";
import { type Command, type CommandContext, EXIT, type Options, UsageError } from "./commands/command.ts";
import { commandsOf } from "./commands/program.ts";
import { SettingsError, settingsHelp } from "./config.ts";
import { embeddedUrl } from "./database/embedded.ts";
import { errorCode } from "./error_code.ts";
import { systemClock } from "./time/clock.ts";
import { PROGRAM_VERSION } from "./version.ts";

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
  readFile: (path) => readFileSync(path, "utf8"),
  listFiles: (folder) =>
    readdirSync(folder, { withFileTypes: true, recursive: true }).filter((entry) => entry.isFile())
      .map((entry) => relative(folder, join(entry.parentPath, entry.name)).replaceAll(sep, "/")),
  open: (path) => (path === "-" ? Bun.stdin : Bun.file(path)).stream(),
  print: (text) => {
    stdout.write(`${text}\n`);
    return stdout.flush();
  },
  tell: (text) => process.stderr.write(`${text}\n`),
  after: systemClock.after,
  terminal: process.stdout.isTTY === true,
  embeddedUrl,
};

const code = await main(process.argv.slice(2));
// A pipe takes 64 KiB at a time: the rest must be out before the end.
await Promise.resolve(stdout.end()).catch(() => undefined);
process.exit(code);

async function main(args: readonly string[]): Promise<number> {
  const [first, ...rest] = args;
  if (first === "help" || first === "--help" || first === "-h") return help();
  if (first === "--version") {
    context.print(PROGRAM_VERSION);
    return EXIT.ok;
  }
  const named = first !== undefined && !first.startsWith("-");
  const command = commands.find(({ name }) => name === (named ? first : "run"));
  try {
    if (command === undefined) {
      throw new UsageError(`No command is called ${first}: there are ${commands.map(({ name }) => name).join(" ")}`);
    }
    const { values, positionals } = parse(command, named ? rest : args);
    if (values.help) {
      context.print(`mailchute ${command.name} ${command.usage}\n\n${command.summary}`);
      return EXIT.ok;
    }
    return await command.run(context, positionals, values);
  } catch (error) {
    context.tell(error instanceof Error ? `mailchute: ${error.message}` : `mailchute: ${error}`);
    if (error instanceof UsageError) return command?.usageExit ?? EXIT.usage;
    if (error instanceof SettingsError) return EXIT.usage;
    return EXIT.failed;
  }
}

type Token = NonNullable<ReturnType<typeof parseArgs>["tokens"]>[number];

function parse(
  command: Command,
  args: readonly string[],
): { readonly values: Options; readonly positionals: readonly string[] } {
  const options = { ...command.options, help: { type: "boolean", short: "h" } as const };
  try {
    const { values, positionals, tokens } = parseArgs({
      args: [...args],
      options,
      allowPositionals: true,
      tokens: true,
    });
    const names = tokens.flatMap((token) =>
      token.kind === "option" && !isRepeatable(options, token.name) ? [token.name] : []
    );
    const twice = names.find((name, index) => names.indexOf(name) < index);
    // Of two streams to pause, one would go on.
    if (twice !== undefined) throw new Error(`--${twice} is given twice: keep one`);
    const empty = tokens.find((token) => isEmpty(command, token));
    if (empty !== undefined) {
      const what = empty.kind === "option" ? empty.rawName : "An argument";
      throw new Error(`${what} is empty: say which, or leave it out`);
    }
    if (positionals.length > 0 && command.usage.startsWith("[") && command.takesWords !== true) {
      throw new Error(`Unexpected argument '${positionals[0]}'`);
    }
    return { values: values as Options, positionals };
  } catch (error) {
    throw new UsageError(
      `${
        error instanceof Error ? error.message.split(". ")[0] : error
      }; usage: mailchute ${command.name} ${command.usage}`,
    );
  }
}

/** What a shell makes of a variable that is not set, such as `cancel --batch "$NAME"`. */
function isEmpty({ takesEmpty = [] }: Command, token: Token): boolean {
  if (takesEmpty === "all" || token.kind === "option-terminator" || token.value?.trim() !== "") return false;
  return token.kind === "positional" || !takesEmpty.includes(token.name);
}

function isRepeatable(options: NonNullable<Command["options"]>, name: string): boolean {
  return options[name]?.type === "boolean" || options[name]?.multiple === true;
}

function help(): number {
  const lines = commands.map(({ name, usage, summary }) => `  ${`${name} ${usage}`.trimEnd()}\n      ${summary}`);
  context.print(
    `mailchute ${PROGRAM_VERSION}: collects mail from Postgres and delivers it over SMTP\n\nCommands:\n${
      lines.join("\n")
    }\n\n${settingsHelp()}`,
  );
  return EXIT.ok;
}

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
