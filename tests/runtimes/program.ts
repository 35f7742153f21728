import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

/** A program that answers each line of its stdin with one of its stdout. */
export interface Program extends AsyncDisposable {
  ask(line: string): Promise<string>;
}

/** Starts a program with nothing of this process's environment but the path and the home folder. */
export function startProgram(command: string, args: readonly string[]): Program {
  const child = spawn(command, args, {
    env: { PATH: process.env.PATH ?? "", HOME: process.env.HOME ?? "", NO_COLOR: "1" },
  });
  const ended = once(child, "close");
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => errors += text);
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    ask: async (line) => {
      child.stdin.write(`${line}\n`);
      const { value, done } = await answers.next();
      if (done) throw new Error(`${command} ended: ${(await ended).join(" ")}\n${errors}`);
      return value;
    },
    [Symbol.asyncDispose]: async () => {
      child.stdin.end();
      await ended;
    },
  };
}
