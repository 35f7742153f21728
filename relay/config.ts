import type { Safety } from "./delivery/safety.ts";
import type { RateLimit } from "./limits/rate_limit.ts";
import { leaseNotice } from "./queue/lease.ts";
import { ONLY_ROUTE } from "./routes/routing.ts";
import { parseBounceRules } from "./settings/bounces.ts";
import { type DatabaseSettings, databaseVariable, readDatabaseUrls } from "./settings/database_url.ts";
import { createEnvironment, type Environment } from "./settings/environment.ts";
import { predecessorNotices } from "./settings/predecessor_names.ts";
import { parseRates } from "./settings/rates.ts";
import { readRoutes, type RouteSettings, type RoutesSettings } from "./settings/route_settings.ts";
import { readSafety } from "./settings/safety_settings.ts";
import type { Secret } from "./settings/secret.ts";
import { SettingsError } from "./settings/settings_error.ts";
import type { SmtpSettings } from "./settings/smtp_url.ts";
import { readTable, type Values } from "./settings/table.ts";
import { together } from "./settings/together.ts";
import { checkNames, checkNearMisses, isKnown } from "./settings/unknown_name.ts";
import type { BounceRules } from "./suppression/bounces.ts";

export { describeSettings } from "./settings/describe.ts";
export { settingsHelp } from "./settings/help.ts";
export { type DatabaseSettings, type RouteSettings, type SmtpSettings };
export { Secret } from "./settings/secret.ts";
export { SettingsError } from "./settings/settings_error.ts";

/** The health check to ping. */
export interface HealthcheckSettings {
  readonly url: Secret;
  readonly method: "GET" | "POST" | "HEAD";
  readonly status: number;
  readonly timeoutMs: number;
}

/** What holds with and without a server of one's own. */
export interface CommonSettings {
  readonly connections: number;
  readonly leaseMs: number;
  readonly pollMs: number;
  /** How long an idle relay leaves the database alone; undefined: never. */
  readonly idleMs: number | undefined;
  readonly maxAgeMs: number;
  /** Undefined: only the age decides. */
  readonly maxAttempts: number | undefined;
  /** Undefined: the queue may be as long as it gets. */
  readonly maxQueue: number | undefined;
  /** From which share of refused recipients on a batch is paused; undefined: never. */
  readonly batchFailures: number | undefined;
  readonly retentionMs: number;
  readonly retentionContentMs: number;
  readonly onUncertain: "retry" | "hold";
  /** Undefined: an address that refuses mail is mailed again. */
  readonly onBounce: BounceRules | undefined;
  readonly returnPath: string | undefined;
  readonly stateDirectory: string;
  readonly graceMs: number;
  readonly healthcheck: HealthcheckSettings | undefined;
  readonly http: {
    readonly host: string;
    readonly port: number;
    readonly adminPassword: Secret | undefined;
    readonly metricsToken: Secret | undefined;
  };
  readonly log: {
    readonly level: "debug" | "info" | "warn" | "error";
    readonly format: "json" | "pretty";
    readonly addresses: "masked" | "full";
  };
  /** What is accepted but deserves a word in the log at the start. */
  readonly notices: readonly string[];
}

/** The resolved settings. Secrets show as `[secret]` wherever they are printed. */
export type Settings =
  & CommonSettings
  /** The playground has no routes of its own: its only one leads to its inbox. */
  & RoutesSettings
  /** RELAY_RATE, and what the URLs of the routes say. */
  & { readonly limits: readonly RateLimit[] }
  & { readonly safety: Safety }
  & (
    | { readonly playground: true; readonly databases: readonly [] }
    | {
      readonly playground: false;
      /** The first one is home. */
      readonly databases: readonly [DatabaseSettings, ...DatabaseSettings[]];
    }
  );

type Variables = Readonly<Record<string, string | undefined>>;

/**
 * Reads the settings of the relay from its environment.
 *
 * @example A relay with one database
 * ```ts
 * import { readSettings } from "./config.ts";
 * const env = { DATABASE_URL: "postgres://relay:secret@db.example.com/shop", SMTP_URL: "smtp://smtp.example.com" };
 * const settings = readSettings(env, () => "");
 * console.log(settings.playground, settings.routes[0]?.smtp.tls); // false opportunistic
 * ```
 *
 * @param readFile called for `NAME_FILE` and for the certificates that `SMTP_URL` names
 * @param options `terminal`: stdout is one, which makes the log pretty unless LOG_FORMAT says otherwise
 * @throws {SettingsError} with one sentence that names the variable and the fix; when several are wrong, a line for
 * each
 */
export function readSettings(
  env: Variables,
  readFile: (path: string) => string,
  options: { readonly terminal?: boolean } = {},
): Settings {
  const environment = createEnvironment(env, readFile);
  const { names } = environment;
  const [, { values, found, healthcheck }, databases] = together(
    () => checkNames(names),
    () => readValues(environment),
    () => readDatabaseUrls(environment),
  );
  const common = readCommon(values, { databases, healthcheck, names, terminal: options.terminal ?? false });
  const [home, ...others] = databases;
  if (home === undefined) {
    refuseWithoutDatabase(environment);
    checkNearMisses(environment.names);
    const limits = parseRates(values.rate, new Map([["default", "SMTP_URL"]]));
    const safety = readSafety(values, ONLY_ROUTE);
    return { ...common, playground: true, databases: [], routes: [], routing: ONLY_ROUTE, limits, safety };
  }
  if (found === undefined) {
    throw new SettingsError(
      "SMTP_URL",
      "Cannot start without an SMTP server: DATABASE_URL is set but neither SMTP_URL nor EMAIL_HOST is; " +
        "set SMTP_URL=smtp://host:25",
    );
  }
  const limits = parseRates(
    values.rate,
    new Map(found.routes.map(({ name, variable }) => [name, variable])),
    found.routes.flatMap(({ name, smtp: { rates = [] } }) =>
      rates.map((limit) => ({ scope: { of: "route", name } as const, ...limit }))
    ),
  );
  const safety = readSafety(values, found.routing);
  return { ...common, playground: false, databases: [home, ...others], ...found, limits, safety };
}

/** Reads what is not about databases. */
function readValues(environment: Environment): {
  readonly values: Values;
  readonly found: RoutesSettings | undefined;
  readonly healthcheck: HealthcheckSettings | undefined;
} {
  const values = readTable(environment);
  const [found, healthcheck] = together(
    () => readRoutes(values, environment),
    () => readHealthcheck(values, environment),
  );
  return { values, found, healthcheck };
}

/** Reads only RELAY_ON_BOUNCE, for the command that takes in reports: it may run where no relay does. */
export function readBounceRules(env: Variables, readFile: (path: string) => string): BounceRules | undefined {
  return parseBounceRules(createEnvironment(env, readFile).get("RELAY_ON_BOUNCE") ?? "ignore");
}

/** Reads only the databases, for commands such as `migrate` that send nothing and so need no SMTP server. */
export function readDatabases(env: Variables, readFile: (path: string) => string): readonly DatabaseSettings[] {
  const environment = createEnvironment(env, readFile);
  const [, databases] = together(() => checkNames(environment.names), () => readDatabaseUrls(environment));
  return databases;
}

function readHealthcheck(values: Values, environment: Environment): HealthcheckSettings | undefined {
  if (values.healthcheckUrl !== undefined) {
    return {
      url: values.healthcheckUrl,
      method: values.healthcheckMethod,
      status: values.healthcheckStatus,
      timeoutMs: values.healthcheckTimeoutMs,
    };
  }
  for (const word of ["METHOD", "STATUS", "TIMEOUT"]) {
    const name = `RELAY_HEALTHCHECK_${word}`;
    if (!environment.has(name)) continue;
    throw new SettingsError(
      name,
      `Cannot use ${name} alone: there is no RELAY_HEALTHCHECK_URL; set it or remove ${name}`,
    );
  }
  return undefined;
}

function readCommon(
  values: Values,
  found: {
    readonly databases: readonly DatabaseSettings[];
    readonly healthcheck: HealthcheckSettings | undefined;
    readonly terminal: boolean;
    readonly names: readonly string[];
  },
): CommonSettings {
  if (values.retentionContentMs > values.retentionMs) {
    throw new SettingsError(
      "RELAY_RETENTION_CONTENT",
      "Cannot use RELAY_RETENTION_CONTENT: it is longer than RELAY_RETENTION, after which the whole message is gone; shorten it",
    );
  }
  const { host, port, adminPassword, metricsToken, logLevel, logFormat, logAddresses } = values;
  const { connections, leaseMs, pollMs, idleMs, maxAgeMs, maxAttempts, retentionMs, retentionContentMs } = values;
  const { maxQueue, batchFailures, onUncertain, returnPath, stateDirectory, graceMs } = values;
  return {
    ...{ connections, leaseMs, pollMs, idleMs, maxAgeMs, maxAttempts, retentionMs, retentionContentMs },
    ...{ maxQueue, batchFailures, onUncertain, returnPath, stateDirectory, graceMs },
    onBounce: parseBounceRules(values.onBounce),
    healthcheck: found.healthcheck,
    http: { host, port, adminPassword, metricsToken },
    log: {
      level: logLevel,
      format: logFormat ?? (found.terminal ? "pretty" : "json"),
      addresses: logAddresses,
    },
    notices: [...readNotices(values, found.databases), ...predecessorNotices(found.names, isKnown)],
  };
}

function readNotices(values: Values, databases: readonly DatabaseSettings[]): readonly string[] {
  const notices: string[] = [];
  if (values.defaultFromEmail !== undefined) {
    notices.push(
      "DEFAULT_FROM_EMAIL has no effect: apps name their own sender, and this version sends nothing of its own",
    );
  }
  if (values.redirectTo !== undefined && values.onBounce !== "ignore") {
    notices.push(
      "RELAY_ON_BOUNCE has no effect beside RELAY_REDIRECT_TO: what is refused is a copy; remove one of them",
    );
  }
  const shortLease = leaseNotice(values.leaseMs);
  if (shortLease !== undefined) notices.push(shortLease);
  for (const database of databases) {
    if (database.kind !== "postgres" || !database.pooled) continue;
    const base = databaseVariable(database.name);
    notices.push(
      `${base} points at a pooler, where LISTEN does not work: mail waits for RELAY_POLL; set ${base}_UNPOOLED to the direct address`,
    );
  }
  return notices;
}

function refuseWithoutDatabase(environment: Environment): void {
  const fix =
    "set DATABASE_URL=postgres://user:password@host:5432/name, or DATABASE_URL=embedded:./data for a built-in one";
  const given = environment.names.find((name) =>
    name.startsWith("SMTP_URL") || name.startsWith("EMAIL_") || /^RELAY_HEALTHCHECK_URL(_FILE)?$/.test(name)
  );
  if (given === undefined) return;
  throw new SettingsError(
    "DATABASE_URL",
    `Cannot start without a database: ${given} is set but DATABASE_URL is not; ${fix}`,
  );
}
