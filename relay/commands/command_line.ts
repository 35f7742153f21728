import { parseArgs } from "node:util";
import { SettingsError, settingsHelp } from "../config.ts";
import { PROGRAM_VERSION } from "../version.ts";
import { type Command, type CommandContext, EXIT, type Options, UsageError } from "./command.ts";

/** Runs what a command line asks for. @returns the exit code */
export async function runCommandLine(
  args: readonly string[],
  commands: readonly Command[],
  context: CommandContext,
): Promise<number> {
  const [first, ...rest] = args;
  if (first === "help" || first === "--help" || first === "-h") return help(commands, context);
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
    const faults = error instanceof SettingsError ? error.each : [error];
    for (const fault of faults) context.tell(`mailchute: ${fault instanceof Error ? fault.message : fault}`);
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

function help(commands: readonly Command[], context: CommandContext): number {
  const lines = commands.map(({ name, usage, summary }) => `  ${`${name} ${usage}`.trimEnd()}\n      ${summary}`);
  context.print(
    `mailchute ${PROGRAM_VERSION}: collects mail from Postgres and delivers it over SMTP\n\nCommands:\n${
      lines.join("\n")
    }\n\n${settingsHelp()}`,
  );
  return EXIT.ok;
}
