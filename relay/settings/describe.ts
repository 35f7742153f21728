import type { Settings } from "../config.ts";
import { formatRateLimit } from "../limits/rate_limit.ts";
import { formatBounceRules } from "./bounces.ts";
import { formatRoutes } from "./routes.ts";
import { describeSafety } from "./safety_settings.ts";
import type { SmtpSettings } from "./smtp_url.ts";

/**
 * Returns one line for people that says what was resolved: databases as host/name, the SMTP mode, never a secret.
 *
 * @example The first line of the log
 * ```ts
 * import { describeSettings, readSettings } from "../config.ts";
 * console.log(describeSettings(readSettings({}, () => "")).startsWith("playground")); // true
 * ```
 */
export function describeSettings(settings: Settings): string {
  const parts: string[] = [];
  if (settings.playground) {
    parts.push("playground: embedded Postgres and a local inbox");
  } else {
    const shown = settings.databases.map(({ name, display }) => `${name} ${display}`);
    parts.push(`${shown.length === 1 ? "database" : "databases"} ${shown.join(", ")}`);
    const isOnly = settings.routes.length === 1;
    for (const { name, smtp } of settings.routes) {
      const connections = smtp.connections ?? settings.connections;
      parts.push(
        `smtp ${isOnly && name === "default" ? "" : `${name} `}${describeSmtp(smtp, connections)}`,
      );
    }
    if (!isOnly) parts.push(`routes ${formatRoutes(settings.routing)}`);
  }
  parts.push(...describeSafety(settings.safety));
  if (settings.onBounce !== undefined) parts.push(`bounces: ${formatBounceRules(settings.onBounce)}`);
  if (settings.limits.length > 0) parts.push(`at most ${settings.limits.map(formatRateLimit).join(", ")}`);
  if (settings.maxQueue !== undefined) parts.push(`queue of at most ${settings.maxQueue}`);
  if (settings.batchFailures !== undefined) {
    parts.push(`a batch is paused at ${Math.round(settings.batchFailures * 10_000) / 100} % refused`);
  }
  parts.push(`state in ${settings.stateDirectory}`);
  parts.push(settings.healthcheck === undefined ? "no health check" : `health check by ${settings.healthcheck.method}`);
  return parts.join(" · ");
}

const TLS_WORDS = {
  implicit: "TLS from the first byte",
  required: "STARTTLS required",
  opportunistic: "STARTTLS if offered",
  none: "no TLS",
} as const;

function describeSmtp(smtp: SmtpSettings, connections: number): string {
  const host = smtp.host.includes(":") ? `[${smtp.host}]` : smtp.host;
  const { credentials, clientCertificate, minTls, connectionsPerDomain } = smtp;
  return [
    `${host}:${smtp.port} ${TLS_WORDS[smtp.tls]}`,
    ...(minTls === "TLSv1.3" ? ["TLS 1.3 only"] : []),
    credentials === undefined ? "no login" : "accessToken" in credentials ? "login with a token" : "with login",
    ...(clientCertificate === undefined ? [] : ["with a certificate"]),
    countOf(connections),
    ...(connectionsPerDomain === undefined ? [] : [`${connectionsPerDomain} for a domain`]),
  ].join(", ");
}

function countOf(connections: number): string {
  return `${connections} ${connections === 1 ? "connection" : "connections"}`;
}
