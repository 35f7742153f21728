/**
 * A mailer for Neon over HTTP: a URL in, a mailer out.
 *
 * @module
 */
import { neon } from "@neondatabase/serverless";
import { createMailer } from "../client.ts";
import type { Mailer, MailerOptions } from "../mailer.ts";
import { openUrl } from "./url.ts";

/**
 * Makes a mailer that sends one HTTPS request for each call, and keeps no connection. Needs the package
 * `@neondatabase/serverless`.
 *
 * HTTP has no open transactions: to queue a mail together with the app's own changes, put `mail.statement(...)` into
 * `sql.transaction([...])`. A request has at most 9.5 MiB; for larger mails give a Pool to `createMailer`.
 *
 * @example
 * ```ts
 * const mail = neonMailer("postgres://app:secret@example.neon.tech/shop", { from: "Shop <shop@example.com>" });
 * const statement = await mail.statement({ to: "ann@example.com", subject: "Welcome", text: "Hello Ann" });
 * if (statement.values.length !== 1) throw new Error("unexpected");
 * ```
 * @throws {MailchuteError} `connection_unsupported` when the URL is none, `validation_error` when an option is wrong
 */
export function neonMailer(url: string, options: MailerOptions = {}): Mailer {
  return createMailer(openUrl(url, neon), options);
}
