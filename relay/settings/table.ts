import { address, addresses, addressPatterns, hostName, webUrl } from "./address_kind.ts";
import { djangoTable } from "./django_table.ts";
import type { Environment } from "./environment.ts";
import {
  choice,
  duration,
  integer,
  line,
  logLevel,
  orNone,
  password,
  percent,
  secret,
  text,
  token,
  word,
  Wrong,
} from "./kind.ts";
import { optional, type Setting, setting } from "./setting.ts";
import { SettingsError } from "./settings_error.ts";
import { together } from "./together.ts";

/** Every setting of this version, in the order of the docs. `DATABASE_URL_<NAME>` stands for any number of them. */
export const table = {
  databaseUrl: optional("DATABASE_URL", secret("postgres://user:password@host:5432/name, or embedded:./directory"), {
    group: "Database",
    description:
      "The home database: its queue is worked off, and throttles, pauses and the suppressions that hold in all databases live there. `embedded:` runs a Postgres of our own in that directory, and its file `url` says where apps on this machine find it, anew after each start. `DATABASE_URL_UNPOOLED`, when set, is preferred. Its parameters `sslmode`, `sslrootcert`, `sslcert` and `sslkey` are read as libpq reads them; without them nothing is encrypted.",
  }),
  databaseUrlNamed: optional("DATABASE_URL_<NAME>", secret("as DATABASE_URL"), {
    group: "Database",
    description:
      "A further app's database, called `name` in logs. `DATABASE_URL_<NAME>_UNPOOLED` is preferred here too; FILE and UNPOOLED are reserved as last words.",
  }),
  smtpUrl: optional(
    "SMTP_URL",
    secret("smtp://host, smtp://user:password@host:587 or smtps://user:password@host:465"),
    {
      group: "SMTP server",
      description:
        "The next hop, the route `default`. Default port: 25, with credentials 587, smtps 465. Its `?parameters` have a table of their own.",
    },
  ),
  smtpUrlNamed: optional("SMTP_URL_<NAME>", secret("as SMTP_URL"), {
    group: "SMTP server",
    description: "A further next hop, the route `name`. Which mail takes it, RELAY_ROUTES says.",
  }),
  routes: optional("RELAY_ROUTES", text("rules such as to:corp.example=internal, *=provider|backup"), {
    group: "SMTP server",
    fallbackNote: "all mail by the only route",
    description:
      "Which mail takes which route: for each recipient the first rule that fits, from left to right. A rule looks at the recipient (`to:`), at the From address (`from:`) or at the mail's stream (`stream:bulk`): `to:corp.example` is a domain, `to:*.corp.example` all below it, `to:ann@corp.example` an address; `*` is the rest, and may be left out when there is a route `default` for it. `provider|backup` goes to `backup` while `provider` is out, and only while it can have taken nothing of the mail.",
  }),
  ...djangoTable,
  connections: setting("RELAY_CONNECTIONS", integer(1, 100), {
    group: "Relay",
    fallback: "4",
    description: "SMTP connections of a route that are open at the same time, unless its URL says `?connections=`.",
  }),
  leaseMs: setting("RELAY_LEASE", duration("1s", "1h"), {
    group: "Relay",
    fallback: "2m",
    description: "How long a claim holds without renewal. Another relay takes over a dead one's mail after this time.",
  }),
  pollMs: setting("RELAY_POLL", duration("100ms", "10m"), {
    group: "Relay",
    fallback: "5s",
    description: "How often the relay looks for due mail when no notification arrives.",
  }),
  idleMs: setting("RELAY_IDLE", orNone(duration("1m", "1d")), {
    group: "Relay",
    fallback: "none",
    description:
      "For a database that sleeps when nobody asks it (Neon): after a minute without mail the relay leaves it alone for so long. A mail that is enqueued meanwhile may wait as long. `none`: never.",
  }),
  maxAgeMs: setting("RELAY_MAX_AGE", duration("1m", "90d"), {
    group: "Relay",
    fallback: "5d",
    description: "A mail that could not be handed over for this long is `expired`.",
  }),
  maxAttempts: setting("RELAY_MAX_ATTEMPTS", orNone(integer(1, 1_000)), {
    group: "Relay",
    fallback: "none",
    description: "Attempts per recipient; `none` leaves it to RELAY_MAX_AGE. An outage of the server is no attempt.",
  }),
  rate: optional(
    "RELAY_RATE",
    text("limits such as 60/m, route:internal=30/m, stream:bulk=600/m or domain:*=10/6s, joined by commas"),
    {
      group: "Relay",
      fallbackNote: "none",
      description:
        "How many mails may start in a time: of all, of one route, of one stream, to one recipient domain, or with `domain:*` to each domain that has no limit of its own. After a pause so many go at once, and then evenly. A limit delays and refuses nothing; all relays of the home database keep it together.",
    },
  ),
  maxQueue: setting("RELAY_MAX_QUEUE", orNone(integer(1, 100_000_000)), {
    group: "Relay",
    fallback: "none",
    description:
      "While a database has so many open messages, apps cannot enqueue there: the client says `queue_full`. Open again at 90 % of it. Counted about every second.",
  }),
  batchFailures: setting("RELAY_BATCH_FAILURES", orNone(percent()), {
    group: "Relay",
    fallback: "none",
    description:
      "When so many of the recipients of a bulk send are refused for good, of 100 at least, the relay pauses that batch by itself, and says why in the log and in `mailchute batch`. It stays paused until `mailchute batch NAME --resume`.",
  }),
  retentionMs: setting("RELAY_RETENTION", duration("7d", "3650d"), {
    group: "Relay",
    fallback: "30d",
    description: "How long finished messages stay. At least 7d, since idempotency keys live that long.",
  }),
  retentionContentMs: setting("RELAY_RETENTION_CONTENT", duration("0s", "3650d"), {
    group: "Relay",
    fallback: "7d",
    description: "How long the content of a finished message stays; at most RELAY_RETENTION.",
  }),
  onUncertain: setting("RELAY_ON_UNCERTAIN", choice(["retry", "hold"]), {
    group: "Relay",
    fallback: "retry",
    description:
      "When the server's answer to the final dot was never read: `retry` after at least 5 minutes (the receiver may get it twice), or `hold` for a person.",
  }),
  onBounce: setting(
    "RELAY_ON_BOUNCE",
    text("ignore, or rules such as hard=suppress, soft=suppress after 5 in 7d for 30d"),
    {
      group: "Relay",
      fallback: "ignore",
      description:
        "When an address that refuses mail goes on the suppression list of the app. `hard=suppress`: after one reply that there is no such mailbox; `soft=suppress after 5 in 7d`: after 5 mails in 7 days that it did not take for another reason of its own, such as a full mailbox. `for 30d`: not for good. Refusals by policy (5.7), and whatever is wrong with us, the mail or the route, never count.",
    },
  ),
  returnPath: optional("RELAY_RETURN_PATH", address("bounces@example.com"), {
    group: "Relay",
    fallbackNote: "the message's own",
    description: "Where bounces go, for mails that name no return path.",
  }),
  redirectTo: optional("RELAY_REDIRECT_TO", addresses, {
    group: "Outside of production",
    description:
      "Every mail goes to these addresses and to nobody else, once, whoever is in To, Cc and Bcc: the header `X-Mailchute-Original-Recipients` says whom it was for. Its way is that of the new addresses, and what becomes of the copy becomes of each recipient.",
  }),
  allowedRecipients: optional("RELAY_ALLOWED_RECIPIENTS", addressPatterns, {
    group: "Outside of production",
    fallbackNote: "everybody",
    description:
      "Who may get mail; `*` stands for any characters. Others are not sent to, and end as `suppressed` with this setting as the reason. With RELAY_REDIRECT_TO a mail goes as it is when all its recipients are allowed, and is redirected as a whole when one is not.",
  }),
  environment: optional("RELAY_ENVIRONMENT", word("a name such as staging", 32), {
    group: "Outside of production",
    description: "Stands before each subject: `staging` makes `[staging] Your order`. In production leave it out.",
  }),
  stateDirectory: setting("RELAY_STATE_DIR", line("a directory"), {
    group: "Relay",
    fallback: ".mailchute",
    description:
      "Who this relay is, its journal, and the playground's files. Must survive a restart; one for each relay.",
  }),
  graceMs: setting("RELAY_GRACE", duration("0s", "10m"), {
    group: "Relay",
    fallback: "25s",
    description: "How long a stopping relay finishes what it has begun. Shorter than what your supervisor grants.",
  }),
  healthcheckUrl: optional(
    "RELAY_HEALTHCHECK_URL",
    webUrl,
    {
      group: "Health check",
      description:
        "Called while the database answers and mail flows, at most every 30 seconds. A secret: it is never logged.",
    },
  ),
  healthcheckMethod: setting("RELAY_HEALTHCHECK_METHOD", choice(["GET", "POST", "HEAD"]), {
    group: "Health check",
    fallback: "GET",
    description: "POST carries a one-line summary.",
  }),
  healthcheckStatus: setting("RELAY_HEALTHCHECK_STATUS", integer(200, 599), {
    group: "Health check",
    fallback: "200",
    description: 'The status that means "received".',
  }),
  healthcheckTimeoutMs: setting("RELAY_HEALTHCHECK_TIMEOUT", duration("100ms", "1m"), {
    group: "Health check",
    fallback: "5s",
    description: "Longest wait for that answer.",
  }),
  host: setting("HOST", hostName("PORT"), {
    group: "HTTP",
    fallback: "127.0.0.1",
    description: "The address to listen on. On any but loopback, all but the probes need the password or the token.",
  }),
  port: setting("PORT", integer(0, 65_535), {
    group: "HTTP",
    fallback: "8025",
    description: "The port to listen on; 0 takes any free one.",
  }),
  adminPassword: optional("RELAY_ADMIN_PASSWORD", password("a password"), {
    group: "HTTP",
    description: "Opens the pages, /status and /metrics from other machines (HTTP Basic, any user name).",
  }),
  metricsToken: optional("RELAY_METRICS_TOKEN", token("a token of ASCII characters without blanks"), {
    group: "HTTP",
    description: "Opens /status and /metrics from other machines (HTTP Bearer).",
  }),
  logLevel: setting("LOG_LEVEL", logLevel, {
    group: "Log",
    fallback: "info",
    description: "The least important lines to write.",
  }),
  logFormat: optional("LOG_FORMAT", choice(["json", "pretty"]), {
    group: "Log",
    fallbackNote: "pretty on a terminal, else json",
    description: "One JSON object a line (pino's field names), or text for people.",
  }),
  logAddresses: setting("LOG_ADDRESSES", choice(["masked", "full"]), {
    group: "Log",
    fallback: "masked",
    description: "`masked` hides local parts in every line: a**@example.com.",
  }),
} as const;

/** Every setting's value. */
export type Values = {
  readonly [Key in keyof typeof table]: (typeof table)[Key] extends Setting<infer Value> ? Value : never;
};

/** Reads one setting, or its default. */
export function readSetting<Value>(entry: Setting<Value>, environment: Environment): Value | undefined {
  const written = environment.get(entry.name) ?? entry.fallback;
  if (written === undefined) return undefined;
  const value = entry.kind.parse(written);
  if (!(value instanceof Wrong)) return value;
  // Wrong is not part of Value: kinds never produce it as a value.
  const shown = entry.kind.secret ? entry.name : `${entry.name}=${JSON.stringify(written)}`;
  throw new SettingsError(
    entry.name,
    `Cannot use ${shown}: ${value.because}; ${value.fix ?? `it must be ${entry.kind.form}`}`,
  );
}

/** Reads the whole table but the database and SMTP families, which have files of their own. */
export function readTable(environment: Environment): Values {
  const entries = Object.entries(table).map(([key, entry]) => () =>
    [key, readSetting<unknown>(entry, environment)] as const
  );
  return Object.fromEntries(together(...entries)) as Values; // built from the very table that Values is derived from
}
