import { withoutForeignParameters } from "../client_parameters.ts";
import { MailchuteError } from "../error.ts";

/**
 * Opens a driver with a URL that looks like one of Postgres.
 *
 * @throws {MailchuteError} `connection_unsupported`; the drivers' own errors are left out, since they may show the
 * password
 */
export function openUrl<T>(url: string, open: (url: string) => T): T {
  try {
    // Without a host the drivers would take it from the environment, or from localhost.
    if (/^postgres(?:ql)?:\/\/[^/]/.test(url)) return open(withoutForeignParameters(url));
  } catch {
    // Said below.
  }
  // What an environment gives that has no such variable.
  const because = url === undefined || url === ""
    ? "it is not set: give a string"
    : typeof url === "string"
    ? "it is not"
    : "it is no string; a connection goes to createMailer, a URL is";
  throw new MailchuteError(
    "connection_unsupported",
    `Cannot use the URL: ${because} like postgres://user:password@host/database`,
  );
}
