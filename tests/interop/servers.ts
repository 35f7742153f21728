import { EXIM, startExim } from "./exim.ts";
import type { MailServer } from "./mail_server.ts";
import { startSmtpServer } from "./nodemailer_smtp_server.ts";
import { OPENSMTPD, startOpenSmtpd } from "./opensmtpd.ts";
import { POSTFIX, startPostfix } from "./postfix.ts";

/** The servers that tests/interop talks with. */
export const SERVERS: readonly {
  readonly name: string;
  readonly needed: { readonly program: string | undefined; readonly package: string };
  start(): Promise<MailServer>;
}[] = [
  { name: "Postfix", needed: { program: POSTFIX, package: "postfix and sasl2-bin, and root" }, start: startPostfix },
  {
    name: "Exim",
    needed: { program: EXIM, package: "exim4 (scripts/fetch_mail_servers.sh), and root" },
    start: startExim,
  },
  {
    name: "OpenSMTPD",
    needed: { program: OPENSMTPD, package: "opensmtpd (scripts/fetch_mail_servers.sh), and root" },
    start: startOpenSmtpd,
  },
  { name: "smtp-server", needed: { program: "in this process", package: "" }, start: startSmtpServer },
];
