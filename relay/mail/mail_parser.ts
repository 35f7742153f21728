/** What takes mails apart is not installed: nothing is wrong with the mail. */
export class MissingReader extends Error {
  override readonly name = "MissingReader";
}

/**
 * Loads what takes mails apart: a package that only some commands and pages need.
 *
 * @param doing what it is wanted for, such as `read a report`
 * @throws {MissingReader} with the command that installs it
 */
export async function mailParser(doing: string): Promise<typeof import("postal-mime")> {
  return await import("postal-mime").catch((cause: unknown) => {
    throw new MissingReader(`Cannot ${doing}: the package postal-mime is missing; run npm install postal-mime`, {
      cause,
    });
  });
}
