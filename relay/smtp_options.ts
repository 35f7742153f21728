import type { SmtpSettings } from "./config.ts";
import { DEFAULT_DEADLINES } from "./smtp/deadline.ts";
import type { SmtpOptions } from "./smtp/smtp.ts";

/** Turns the settings of a server into the options of its transport; the EHLO name is missing when none is set. */
export function smtpOptions(smtp: SmtpSettings): Omit<SmtpOptions, "ehloName"> & { readonly ehloName?: string } {
  const { host, port, tls, credentials, ehloName, trustedCertificates, allowsInsecureAuth, timeoutMs } = smtp;
  return {
    host,
    port,
    tls,
    ...(credentials === undefined ? {} : { auth: { user: credentials.user, password: credentials.password.reveal() } }),
    ...(ehloName === undefined ? {} : { ehloName }),
    ca: trustedCertificates,
    allowPlaintextAuth: allowsInsecureAuth,
    ...(timeoutMs === undefined ? {} : { timeouts: shortened(timeoutMs) }),
  };
}

/** Django's EMAIL_TIMEOUT for every wait but the one after the final dot: to give up there early sends mails twice (RFC 1047). */
function shortened(timeoutMs: number): NonNullable<SmtpOptions["timeouts"]> {
  const { finalMs: _, quitMs: __, idleMs: ___, ...waits } = DEFAULT_DEADLINES;
  return Object.fromEntries(Object.entries(waits).map(([name, defaultMs]) => [name, Math.min(defaultMs, timeoutMs)]));
}

/** A machine's name that is no host name is not one to introduce oneself with: RFC 5321 section 4.1.1.1 wants an address literal then. */
export function ehloName(hostname: string): string {
  return /^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/.test(hostname) ? hostname : "[127.0.0.1]";
}
