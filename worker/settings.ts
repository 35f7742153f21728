import { addressOf } from "../relay/place/place.ts";
import type { RoutingRule } from "../relay/routes/routing.ts";
import { parseRoutes } from "../relay/settings/routes.ts";
import { SettingsError } from "../relay/settings/settings_error.ts";
import { parseSmtpUrl } from "../relay/settings/smtp_url.ts";
import { type Deadlines, DEFAULT_DEADLINES } from "../relay/smtp/deadline.ts";
import { limit } from "../relay/smtp/limit.ts";
import { parseAddress } from "../src/address.ts";
import type { Connection } from "../src/connection.ts";
import type { RetryRules } from "../src/policy.ts";
import type { DrainQueueOptions } from "./drain_queue.ts";
import { RELAY_ROUTE } from "./left_to_relay.ts";
import type { MailerOptions } from "./mailer_transport.ts";

/** What a Worker needs to know. */
export interface WorkerSettings {
  /**
   * The database: its URL, such as `env.HYPERDRIVE.connectionString`, or a connection of the app (postgres.js, a Pool
   * or Client of pg or Neon, Neon over HTTP), which stays open.
   */
  readonly database: string | Connection;
  /**
   * Where the database is, as `host:port/name`, by which a copy of it is told from it. Needed with a connection, and
   * with the URL of Hyperdrive, whose host is none.
   * @default {that of the URL}
   */
  readonly address?: string | undefined;
  /**
   * The server, as in the relay's `SMTP_URL`: `smtp://user:password@host:587`, with `tls`, `name`, `auth`,
   * `insecure-auth`, `mails-per-connection` and `dsn`.
   */
  readonly smtp: string;
  /** By what name `mailchute status` and `doctor` show it. One for each Worker. @default {"mailchute"} */
  readonly name?: string | undefined;
  /** Where bounces go, for messages that do not say. @default {their From address} */
  readonly returnPath?: string | undefined;
  /**
   * What becomes of a mail of which nobody knows whether it was sent: tried again after 5 minutes, or held for a
   * person.
   * @default {"retry"}
   */
  readonly onUncertain?: "retry" | "hold" | undefined;
  /** Age in milliseconds at which a message is given up. @default {432_000_000} five days */
  readonly maxAgeMs?: number | undefined;
  /** After so many attempts a message is given up. @default {undefined} only the age decides */
  readonly maxAttempts?: number | undefined;
  /**
   * After so many milliseconds nothing more is begun; a mail that is under way is brought to its end.
   * @default {25_000}
   */
  readonly deadlineMs?: number | undefined;
  /**
   * How long the server may take for one reply, in milliseconds, but for that to a content, which has 10 minutes.
   * @default {30_000}
   */
  readonly replyMs?: number | undefined;
  /** How long other relays leave a mail alone when this Worker is lost, in milliseconds. @default {120_000} */
  readonly leaseMs?: number | undefined;
  /** Messages that are claimed at a time: as many are `uncertain` at most when this Worker is lost. @default {10} */
  readonly batch?: number | undefined;
  /**
   * After so many messages a run ends. Each takes some three statements and a run some 13, which over Neon's HTTP are
   * requests, of which Cloudflare allows a run a number.
   * @default {none}
   */
  readonly maxMessages?: number | undefined;
  /** Larger mails are left to a relay: a Worker holds a mail whole. @default {5_242_880} 5 MiB */
  readonly maxBytes?: number | undefined;
  /**
   * Which mail is left to a relay, in the words of the relay's `RELAY_ROUTES`, with the routes `worker` and `relay`:
   * `to:*.corp.example=relay, *=worker`.
   * @default {none}
   */
  readonly routes?: string | undefined;
  /** The longest time between two runs, in milliseconds: so long after one it counts as alive. @default {600_000} */
  readonly restMs?: number | undefined;
}

/** The settings of a run, checked. */
export interface CheckedSettings {
  readonly run: Omit<DrainQueueOptions, "statements" | "transport" | "clock" | "random" | "log" | "instance">;
  readonly mailer: MailerOptions;
}

const NAMES: Readonly<Record<keyof WorkerSettings, true>> = {
  ...{ database: true, address: true, smtp: true, name: true, returnPath: true, onUncertain: true, maxAgeMs: true },
  ...{
    maxAttempts: true,
    deadlineMs: true,
    replyMs: true,
    leaseMs: true,
    batch: true,
    maxMessages: true,
    maxBytes: true,
    routes: true,
    restMs: true,
  },
};

/**
 * What the SMTP URL of a relay may say beside these needs files, more connections, or words with TLS that Workers do
 * not have.
 */
const PARAMETERS: ReadonlySet<string> = new Set([
  "tls",
  "name",
  "auth",
  "insecure-auth",
  "mails-per-connection",
  "dsn",
]);

const DAY_MS = 86_400_000;
const FIVE_DAYS_MS = 5 * DAY_MS;
const DEFAULT_MAILS = 100;

/**
 * Checks the settings of a Worker.
 *
 * @throws {SettingsError} naming the setting and the fix
 */
export function checkSettings(settings: WorkerSettings): CheckedSettings {
  for (const name of Object.keys(settings)) {
    if (!(name in NAMES)) throw refuse(name, "there is no such setting", `use ${Object.keys(NAMES).join(", ")}`);
  }
  for (const name of ["database", "smtp"] as const) {
    // What a binding gives that is not there, or a secret that was never put.
    if (!settings[name]) throw refuse(name, "it is not set", "look whether its binding or secret is there");
  }
  const { name = "mailchute" } = settings;
  if (!/^[a-z0-9][a-z0-9._-]{0,62}$/.test(name)) {
    throw refuse("name", "it is no short name", "use up to 63 small letters, digits, dots and hyphens");
  }
  const address = addressIn(settings);
  return {
    run: {
      ...{ name, address, display: address, returnPath: returnPathIn(settings) },
      ...{ rules: rulesOf(settings), routing: routingOf(settings) },
      deadlineMs: limit("deadlineMs", settings.deadlineMs, { fallback: 25_000, max: 14 * 60_000 }),
      leaseMs: limit("leaseMs", settings.leaseMs, { fallback: 120_000, min: 8_000, max: 3_600_000 }),
      batch: limit("batch", settings.batch, { fallback: 10, max: 500 }),
      maxMessages: settings.maxMessages === undefined
        ? Infinity
        : limit("maxMessages", settings.maxMessages, { fallback: 1, max: 1_000_000 }),
      maxBytes: limit("maxBytes", settings.maxBytes, { fallback: 5 * 1024 * 1024, max: 25 * 1024 * 1024 }),
      restMs: limit("restMs", settings.restMs, { fallback: 600_000, max: 2 * DAY_MS }),
    },
    mailer: mailerOf(settings),
  };
}

function rulesOf({ onUncertain = "retry", maxAgeMs, maxAttempts }: WorkerSettings): RetryRules {
  if (onUncertain !== "retry" && onUncertain !== "hold") {
    throw refuse("onUncertain", `it is ${JSON.stringify(onUncertain)}`, "use retry or hold");
  }
  return {
    onUncertain,
    maxAgeMs: limit("maxAgeMs", maxAgeMs, { fallback: FIVE_DAYS_MS, min: 1_000, max: 365 * DAY_MS }),
    maxAttempts: maxAttempts === undefined
      ? undefined
      : limit("maxAttempts", maxAttempts, { fallback: 1, max: 1_000_000 }),
  };
}

/** Every mail that does not say has it: a wrong one would bounce them all. */
function returnPathIn({ returnPath }: WorkerSettings): string | undefined {
  if (returnPath === undefined) return undefined;
  const result = parseAddress(String(returnPath));
  if (result.ok && result.mailbox.name === undefined) return result.mailbox.email;
  const because = result.ok ? "it has a name, which SMTP cannot carry" : result.reason;
  throw refuse("returnPath", because, "set it to an address such as bounces@example.com, or leave it out");
}

function routingOf({ routes }: WorkerSettings): readonly RoutingRule[] {
  if (routes === undefined) return [];
  if (typeof routes !== "string") throw refuse("routes", "it is no string", "write to:*.corp.example=relay, *=worker");
  // Those two there are, whatever the environment.
  const names = new Map([["worker", "routes"], [RELAY_ROUTE, "routes"]]);
  return parseRoutes(routes, names, { setting: "routes", examples: [RELAY_ROUTE, "worker"] });
}

function addressIn({ address, database }: WorkerSettings): string {
  if (address !== undefined) {
    if (/^[^\s/@]+:\d{1,5}\/[^\s/]+$/.test(address)) return address;
    throw refuse("address", "it is not like host:port/name", "write db.example.com:5432/shop");
  }
  if (typeof database === "string" && URL.canParse(database)) {
    const { hostname } = new URL(database);
    // A name of its own for each configuration, and none that tells where the database is.
    if (!hostname.endsWith(".hyperdrive.local")) return addressOf(database);
  }
  throw refuse(
    "address",
    "it is not set, and only the URL of a database tells where that is",
    "set it to host:port/name of the database, so that a copy of it sends nothing",
  );
}

function mailerOf({ smtp, replyMs }: WorkerSettings): MailerOptions {
  for (const [name] of URL.canParse(smtp) ? new URL(smtp).searchParams : []) {
    if (PARAMETERS.has(name)) continue;
    throw refuse("smtp", `a Worker cannot keep ${name}`, `remove it, or let a relay on Bun send this mail`);
  }
  const readFile = (): never => {
    throw new Error("a Worker has no files");
  };
  const parsed = parseSmtpUrl(smtp, { variable: "smtp", readFile });
  const { host, port, tls, credentials, authMechanism, allowsInsecureAuth } = parsed;
  if (port === 25) {
    throw refuse("smtp", "Cloudflare lets no Worker connect to port 25", "use 587 or 465, or a relay on Bun");
  }
  if (credentials !== undefined && !("password" in credentials)) {
    throw refuse("smtp", "a Worker has no file with a token", "use a password, or a relay on Bun");
  }
  return {
    ...{ host, port, tls, authMechanism },
    // RFC 5321 section 4.1.1.1: an address literal where there is no name.
    ehloName: parsed.ehloName ?? "[127.0.0.1]",
    auth: credentials === undefined ? undefined : { user: credentials.user, password: credentials.password.reveal() },
    allowPlaintextAuth: allowsInsecureAuth,
    dsn: parsed.dsn ?? "failures",
    mailsPerConnection: parsed.mailsPerConnection ?? DEFAULT_MAILS,
    deadlines: deadlinesOf(limit("replyMs", replyMs, { fallback: 30_000, max: 300_000 })),
  };
}

/** Every wait but the one after the final dot: to give up there early sends mails twice (RFC 1047). */
function deadlinesOf(replyMs: number): Deadlines {
  const { finalMs, quitMs, idleMs, ...waits } = DEFAULT_DEADLINES;
  const shorter = Object.fromEntries(Object.entries(waits).map(([name, ms]) => [name, Math.min(ms, replyMs)]));
  return { ...waits, ...shorter, finalMs, quitMs, idleMs };
}

function refuse(name: string, because: string, fix: string): SettingsError {
  return new SettingsError(name, `Cannot use ${name}: ${because}; ${fix}`);
}
