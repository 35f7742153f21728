import { installCommand, OPTIONAL_PACKAGES } from "../optional_packages.ts";

/** What takes mails apart is not installed: nothing is wrong with the mail. */
export class MissingReader extends Error {
  override readonly name = "MissingReader";
}

/**
 * Loads what takes mails apart: a package that only some commands and pages need, and of which an app may have another
 * version.
 *
 * @param doing what it is wanted for, such as `read a report`
 * @throws {MissingReader} with the command that installs it
 */
export async function mailParser(doing: string): Promise<typeof import("postal-mime")> {
  const fix = `run ${installCommand("postal-mime")}`;
  const version = await installedVersion();
  if (version !== undefined && major(version) !== major(OPTIONAL_PACKAGES["postal-mime"])) {
    throw new MissingReader(
      `Cannot ${doing}: the package postal-mime is there in version ${version}; ${fix}, or install mailchute in a folder of its own`,
    );
  }
  return await import("postal-mime").catch((cause: unknown) => {
    throw new MissingReader(`Cannot ${doing}: the package postal-mime is missing; ${fix}`, { cause });
  });
}

/**
 * Undefined: it is not there, or does not lie in a folder of its name. Its own answer would be that of the module,
 * which has none.
 */
async function installedVersion(): Promise<string | undefined> {
  try {
    const [folder] = /^.*\/node_modules\/postal-mime\//.exec(import.meta.resolve("postal-mime")) ?? [];
    const about: unknown = await import(`${folder}package.json`, { with: { type: "json" } });
    return (about as { readonly default: { readonly version: string } }).default.version;
  } catch {
    return undefined;
  }
}

function major(version: string): string | undefined {
  return version.split(".")[0];
}
