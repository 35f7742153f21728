import { readdirSync, readFileSync } from "node:fs";
import { join, relative, sep } from "node:path";
import type { CommandContext } from "./command.ts";

/** The files of this machine, as commands want them. @param stdin what `-` is */
export function filesHere(
  stdin: () => AsyncIterable<Uint8Array>,
): Pick<CommandContext, "readFile" | "listFiles" | "open"> {
  return {
    readFile: (path) => readFileSync(path, "utf8"),
    listFiles: (folder) =>
      readdirSync(folder, { withFileTypes: true, recursive: true }).filter((entry) => entry.isFile())
        .map((entry) => relative(folder, join(entry.parentPath, entry.name)).replaceAll(sep, "/")),
    open: (path) => path === "-" ? stdin() : Bun.file(path).stream(),
  };
}
