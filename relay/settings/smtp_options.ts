import type { SmtpSettings } from "../config.ts";
import { DEFAULT_DEADLINES } from "../smtp/deadline.ts";
import type { SmtpOptions } from "../smtp/smtp.ts";

/** Turns the settings of a server into the options of its transport; the EHLO name is missing when none is set. */
export function smtpOptions(smtp: SmtpSettings): Omit<SmtpOptions, "ehloName"> & { readonly ehloName?: string } {
  const { host, port, tls, ehloName, credentials, clientCertificate, timeoutMs } = smtp;
  return {
    ...{ host, port, tls },
    ...(ehloName === undefined ? {} : { ehloName }),
    auth: credentials === undefined || "accessToken" in credentials
      ? credentials
      : { user: credentials.user, password: credentials.password.reveal() },
    authMechanism: smtp.authMechanism,
    allowPlaintextAuth: smtp.allowsInsecureAuth,
    ca: smtp.trustedCertificates,
    clientCertificate: clientCertificate === undefined
      ? undefined
      : { cert: clientCertificate.cert, key: clientCertificate.key.reveal() },
    minTls: smtp.minTls,
    connections: smtp.connections,
    connectionsPerDomain: smtp.connectionsPerDomain,
    maxMailsPerConnection: smtp.mailsPerConnection,
    maxConnectionAgeMs: smtp.connectionAgeMs,
    chunking: smtp.chunking,
    dsn: smtp.dsn,
    timeouts: timeoutMs === undefined ? undefined : shortened(timeoutMs),
  };
}

/**
 * Django's EMAIL_TIMEOUT for every wait but the one after the final dot: to give up there early sends mails twice (RFC
 * 1047).
 */
function shortened(timeoutMs: number): NonNullable<SmtpOptions["timeouts"]> {
  const { finalMs: _, quitMs: __, idleMs: ___, ...waits } = DEFAULT_DEADLINES;
  return Object.fromEntries(Object.entries(waits).map(([name, defaultMs]) => [name, Math.min(defaultMs, timeoutMs)]));
}

/**
 * A machine's name that is no host name is not one to introduce oneself with: RFC 5321 section 4.1.1.1 wants an address
 * literal then.
 */
export function ehloName(hostname: string): string {
  return /^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/.test(hostname) ? hostname : "[127.0.0.1]";
}
