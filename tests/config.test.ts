import { expect, test } from "bun:test";
import { join } from "node:path";
import { describeSettings, readDatabases, readSettings, SettingsError, settingsHelp } from "../relay/config.ts";
import { SETTINGS_PAGE, settingsPage } from "../scripts/settings_page.ts";

const NO_FILES = (path: string): string => {
  throw Object.assign(new Error(`no ${path}`), { code: "ENOENT" });
};
const BASE = { DATABASE_URL: "postgres://relay:pw-db@db.example.com/shop", SMTP_URL: "smtp://smtp.example.com" };

function read(env: Record<string, string>, files: Record<string, string> = {}) {
  return readSettings(env, (path) => files[path] ?? NO_FILES(path));
}

/** The sentence that stops the start; every one must keep the rules for error texts. */
function refusal(env: Record<string, string>, files: Record<string, string> = {}): string {
  try {
    read(env, files);
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    expect(error.message).toMatch(/^Cannot /);
    expect(error.message).not.toMatch(/\.$|\n/);
    expect(error.message).toContain(";"); // the fix follows
    return error.message;
  }
  throw new Error(`accepted: ${JSON.stringify(env)}`);
}

test("with an empty environment the playground starts on loopback with the documented defaults", () => {
  const settings = read({ PATH: "/bin", HOME: "/root" });
  expect(settings.playground).toBe(true);
  expect(settings.databases).toEqual([]);
  expect(settings).toMatchObject({
    connections: 4,
    leaseMs: 120_000,
    pollMs: 5_000,
    idleMs: undefined,
    maxAgeMs: 432_000_000,
    maxAttempts: undefined,
    retentionMs: 2_592_000_000,
    retentionContentMs: 604_800_000,
    onUncertain: "retry",
    returnPath: undefined,
    stateDirectory: ".mailchute",
    graceMs: 25_000,
    healthcheck: undefined,
    http: { host: "127.0.0.1", port: 8025, adminPassword: undefined, metricsToken: undefined },
    log: { level: "info", format: "json", addresses: "masked" },
    notices: [],
  });
});

test("the log is pretty on a terminal unless LOG_FORMAT says otherwise", () => {
  expect(readSettings({}, NO_FILES, { terminal: true }).log.format).toBe("pretty");
  expect(readSettings({ LOG_FORMAT: "json" }, NO_FILES, { terminal: true }).log.format).toBe("json");
});

test("every setting can be given, and arrives in its own unit", () => {
  const settings = read({
    ...BASE,
    RELAY_CONNECTIONS: "12",
    RELAY_LEASE: "90s",
    RELAY_POLL: "250ms",
    RELAY_IDLE: "30m",
    RELAY_MAX_AGE: "12h",
    RELAY_MAX_ATTEMPTS: "7",
    RELAY_MAX_QUEUE: "100000",
    RELAY_BATCH_FAILURES: "5%",
    RELAY_RETENTION: "60d",
    RELAY_RETENTION_CONTENT: "0s",
    RELAY_ON_UNCERTAIN: "hold",
    RELAY_RETURN_PATH: "bounces@example.com",
    RELAY_STATE_DIR: "./state",
    RELAY_GRACE: "10s",
    RELAY_HEALTHCHECK_URL: "https://health.example.com/secret-uuid",
    RELAY_HEALTHCHECK_METHOD: "POST",
    RELAY_HEALTHCHECK_STATUS: "204",
    RELAY_HEALTHCHECK_TIMEOUT: "2s",
    HOST: "0.0.0.0",
    PORT: "0",
    RELAY_ADMIN_PASSWORD: "0123456",
    RELAY_METRICS_TOKEN: "true",
    LOG_LEVEL: "debug",
    LOG_FORMAT: "pretty",
    LOG_ADDRESSES: "full",
  });
  expect(settings).toMatchObject({
    playground: false,
    connections: 12,
    leaseMs: 90_000,
    pollMs: 250,
    idleMs: 1_800_000,
    maxAgeMs: 43_200_000,
    maxAttempts: 7,
    maxQueue: 100_000,
    batchFailures: 0.05,
    retentionMs: 5_184_000_000,
    retentionContentMs: 0,
    onUncertain: "hold",
    returnPath: "bounces@example.com",
    stateDirectory: "./state",
    graceMs: 10_000,
    healthcheck: { method: "POST", status: 204, timeoutMs: 2_000 },
    http: { host: "0.0.0.0", port: 0 },
    log: { level: "debug", format: "pretty", addresses: "full" },
  });
  expect(settings.healthcheck?.url.reveal()).toBe("https://health.example.com/secret-uuid");
  expect(settings.http.adminPassword?.reveal()).toBe("0123456");
  expect(settings.http.metricsToken?.reveal()).toBe("true");
});

test("a setting may come from a file, whose last newline is no part of it", () => {
  const files = {
    "/run/a": "pass word \n",
    "/run/b": "\ufefftwo\r\n",
    "/run/c": "dos\r\n",
    "/run/db": `${BASE.DATABASE_URL}\n`,
  };
  const password = (path: string) =>
    read({ ...BASE, RELAY_ADMIN_PASSWORD_FILE: path }, files).http.adminPassword?.reveal();
  expect(password("/run/a")).toBe("pass word ");
  // As an editor of Windows saves it.
  expect(password("/run/b")).toBe("two");
  expect(password("/run/c")).toBe("dos");
  const settings = read({ DATABASE_URL_FILE: "/run/db", SMTP_URL: BASE.SMTP_URL }, files);
  expect(settings.databases[0]?.display).toBe("db.example.com/shop");
});

test("a password, a token, a user or a folder with the end of a line in it is refused, and shown only where it is no secret", () => {
  for (const name of ["RELAY_ADMIN_PASSWORD", "RELAY_METRICS_TOKEN", "EMAIL_HOST_PASSWORD"]) {
    const said = refusal({ ...BASE, [name]: "hidden\r" });
    expect(said).toStartWith(`Cannot use ${name}: it has a line break or another control character in it; take it out`);
    expect(said).not.toContain("hidden");
    expect(refusal({ ...BASE, [`${name}_FILE`]: "/run/a" }, { "/run/a": "hidden\n\n" })).toBe(said);
  }
  for (const name of ["RELAY_STATE_DIR", "EMAIL_HOST_USER", "EMAIL_HOST"]) {
    expect(refusal({ ...BASE, [name]: "shown\r" })).toStartWith(`Cannot use ${name}="shown\\r": it has a line break`);
  }
  expect(refusal({ ...BASE, RELAY_METRICS_TOKEN: "two words" })).toContain(
    "it has blanks, or characters that are not ASCII",
  );
  // Whose ends are no part of it.
  expect(read({ ...BASE, SMTP_URL: "smtp://u:p@h\r\n" }).playground).toBe(false);
});

test("a file of a secret that was saved as UTF-16 is refused, and called that", () => {
  const utf16 = Buffer.from("\ufeffsecret", "utf16le").toString("utf8");
  const said = refusal({ ...BASE, RELAY_ADMIN_PASSWORD_FILE: "/run/a" }, { "/run/a": utf16 });
  expect(said).toBe(
    'Cannot read the file that RELAY_ADMIN_PASSWORD_FILE names, "/run/a": it is not UTF-8; save it as UTF-8',
  );
});

test("a URL with a password that stands in another setting's place is refused without its password", () => {
  const url = "smtp://relay:hidden/@x@smtp.example.com:587";
  const names = ["RELAY_ROUTES", "RELAY_RATE", "RELAY_REDIRECT_TO", "RELAY_LEASE", "HOST", "RELAY_ON_BOUNCE", "PORT"];
  for (const name of [...names, "EMAIL_HOST", "EMAIL_PORT"]) {
    const said = refusal({ ...BASE, [name]: url });
    expect(said).toContain(name);
    expect(said).not.toContain("hidden");
    expect(said).toContain("smtp.example.com");
  }
  // What is advised is no secret.
  expect(refusal({ ...BASE, SMTP_URL: "x" })).toContain("smtp://user:password@host:587");
});

test("a host is a host: no URL, no port, no brackets, nothing that DNS does not have", () => {
  const host = (value: string) => read({ DATABASE_URL: BASE.DATABASE_URL, EMAIL_HOST: value }).routes[0]?.smtp.host;
  for (const good of ["smtp.example.com", "mail_server", "10.0.0.1", "::1", "fe80::1%eth0", "::ffff:10.0.0.1"]) {
    expect(host(good)).toBe(good);
    expect(read({ ...BASE, HOST: good }).http.host).toBe(good);
  }
  const cases: [string, string][] = [
    ["smtp://smtp.example.com", "it is a URL; write the host alone, and its port in"],
    ["smtp.example.com:587", "it has a port; write the host alone, and its port in"],
    ["[::1]:25", "it has a port"],
    ["[::1]", "it is in brackets, which only URLs have; write it without"],
    ["münchen.example", "it has characters that no host has; write the name as DNS has it"],
    ["a.example,b.example", "it has characters that no host has"],
    [" a.example", "it has characters that no host has"],
  ];
  for (const [value, why] of cases) {
    expect(refusal({ DATABASE_URL: BASE.DATABASE_URL, EMAIL_HOST: value })).toContain(why);
    expect(refusal({ ...BASE, HOST: value })).toContain(why);
  }
  for (const value of ["smtp://münchen.example", "smtp://a.example,b.example", "smtp://a%20b"]) {
    expect(refusal({ ...BASE, SMTP_URL: value })).toContain("its host has characters that no host has");
  }
});

test("NAME and NAME_FILE together are refused", () => {
  expect(refusal({ ...BASE, RELAY_ADMIN_PASSWORD: "a", RELAY_ADMIN_PASSWORD_FILE: "/run/a" }, { "/run/a": "a" }))
    .toBe("Cannot use both RELAY_ADMIN_PASSWORD and RELAY_ADMIN_PASSWORD_FILE: they say the same thing; remove one");
  expect(refusal({ ...BASE, DATABASE_URL_FILE: "/run/a" }, { "/run/a": "a" })).toContain("DATABASE_URL_FILE");
  expect(refusal({ ...BASE, SMTP_URL_FILE: "/run/a" }, { "/run/a": "a" })).toContain("SMTP_URL_FILE");
});

test("a file that is missing or empty is refused by the name of its variable", () => {
  expect(refusal({ ...BASE, RELAY_METRICS_TOKEN_FILE: "/run/gone" })).toContain("RELAY_METRICS_TOKEN_FILE names");
  expect(refusal({ ...BASE, RELAY_METRICS_TOKEN_FILE: "/run/a" }, { "/run/a": "\n" })).toContain("the file is empty");
});

test("an empty value stops the start, so that a secret left unfilled does not start the playground", () => {
  expect(refusal({ DATABASE_URL: "" })).toBe(
    "Cannot use DATABASE_URL: it is set but empty; give it a value or remove it",
  );
  expect(refusal({ ...BASE, RELAY_POLL: "" })).toContain("RELAY_POLL");
  expect(refusal({ ...BASE, RELAY_ADMIN_PASSWORD: "" })).toContain("RELAY_ADMIN_PASSWORD");
});

test("an unknown RELAY_ name is refused with the name that was meant", () => {
  const unknown = (name: string) => refusal({ ...BASE, [name]: "1" });
  expect(unknown("RELAY_CONECTIONS")).toBe(
    "Cannot use RELAY_CONECTIONS: there is no such setting; did you mean RELAY_CONNECTIONS?",
  );
  expect(unknown("RELAY_MAX_ATTEMPT")).toContain("did you mean RELAY_MAX_ATTEMPTS?");
  expect(unknown("RELAY_CONCURRENCY")).not.toContain("RELAY_GRACE");
  expect(unknown("RELAY_ADMIN_PASWORD_FILE")).toContain("did you mean RELAY_ADMIN_PASSWORD?");
  expect(unknown("RELAY_SOMETHING_ELSE_ENTIRELY")).toContain("--help lists them all");
  expect(unknown("RELAY_PORT")).toContain("did you mean PORT?");
  expect(unknown("RELAY_HOST")).toContain("did you mean HOST?");
});

test("what Kubernetes injects for a service called relay is ignored", () => {
  const injected = {
    RELAY_PORT: "tcp://10.0.0.1:8025",
    RELAY_SERVICE_HOST: "10.0.0.1",
    RELAY_SERVICE_PORT: "8025",
    RELAY_SERVICE_PORT_HTTP: "8025",
    RELAY_PORT_8025_TCP: "tcp://10.0.0.1:8025",
    RELAY_PORT_8025_TCP_PROTO: "tcp",
    RELAY_PORT_8025_TCP_PORT: "8025",
    RELAY_PORT_8025_TCP_ADDR: "10.0.0.1",
    EMAIL_PORT: "tcp://10.0.0.2:25",
    EMAIL_SERVICE_HOST: "10.0.0.2",
  };
  expect(read({ ...BASE, ...injected }).playground).toBe(false);
  expect(read(injected).playground).toBe(true);
});

test("names of django-email-relay and of later versions are answered, not ignored", () => {
  const answers: Record<string, string> = {
    EMAIL_MAX_RETRIES: "RELAY_MAX_ATTEMPTS",
    EMPTY_QUEUE_SLEEP: "RELAY_POLL",
    EMAIL_THROTTLE: "RELAY_RATE",
    EMAIL_MAX_BATCH: "remove it",
    EMAIL_MAX_DEFERRED: "remove it",
    MESSAGES_RETENTION_SECONDS: "RELAY_RETENTION",
    DJANGO_EMAIL_RELAY__EMAIL_MAX_RETRIES: "RELAY_MAX_ATTEMPTS",
    RELAY_HEALTHCHECK_STATUS_CODE: "RELAY_HEALTHCHECK_STATUS here",
    DJANGO_EMAIL_RELAY__RELAY_HEALTHCHECK_URL: "it is called RELAY_HEALTHCHECK_URL here",
    DJANGO_EMAIL_RELAY__DATABASE_ALIAS: "DATABASE_URL",
    DJANGO_EMAIL_RELAY__ENABLE_AUTO_SETUP: "docs/migrating.md",
    DATABASES__default__NAME: "set DATABASE_URL=postgres://",
    MAILER_EMAIL_THROTTLE: "RELAY_RATE",
    MAILER_PAUSE_SEND: "mailchute pause --all",
    POST_OFFICE: "docs/migrating.md",
    POST_OFFICE__OVERRIDE_RECIPIENTS: "RELAY_REDIRECT_TO",
    POST_OFFICE__MAX_RETRIES: "RELAY_MAX_ATTEMPTS",
  };
  for (const [name, words] of Object.entries(answers)) {
    const sentence = refusalOf(() => read({ ...BASE, [name]: "3" }));
    expect(sentence).toContain(`Cannot use ${name}: `);
    expect(sentence).toContain(words);
  }
});

test("what is of the apps and harmless is a line of the log, and does not stop the start", () => {
  const env = {
    EMAIL_SUBJECT_PREFIX: "[Shop] ",
    EMAIL_USE_LOCALTIME: "True",
    EMAIL_BACKEND: "email_relay.backend.RelayDatabaseEmailBackend",
    SERVER_EMAIL: "root@example.com",
    AWS_SES_REGION_NAME: "eu-central-1",
    // Of other programs, or of a service called mailer.
    MAILER_DSN: "smtp://x",
    MAILER_PORT: "tcp://10.0.0.1:25",
    BATCH_SIZE: "3",
  };
  expect(read({ ...BASE, ...env }).notices).toEqual([
    "AWS_SES_REGION_NAME has no effect: SES is a server like others here; set SMTP_URL=smtps://user:password@email-smtp.REGION.amazonaws.com",
    "EMAIL_BACKEND has no effect: it is of the apps; docs/migrating.md says what to write there",
    "EMAIL_SUBJECT_PREFIX has no effect: Django writes it into mails to ADMINS in the app; for one before every subject set RELAY_ENVIRONMENT",
    "EMAIL_USE_LOCALTIME has no effect: the Date of a mail is in UTC here, which readers show in their own time; remove it",
    "SERVER_EMAIL has no effect: apps name their own sender; for bounces set RELAY_RETURN_PATH",
  ]);
});

test("Python's names of log levels are understood, as django-email-relay's image has them", () => {
  expect(read({ LOG_LEVEL: "INFO" }).log.level).toBe("info");
  expect(read({ LOG_LEVEL: "WARNING" }).log.level).toBe("warn");
  expect(read({ LOG_LEVEL: "CRITICAL" }).log.level).toBe("error");
  expect(refusal({ LOG_LEVEL: "LOUD" })).toContain("debug, info, warn or error");
});

test("a bare number as a duration is refused with the forms it could have", () => {
  expect(refusal({ ...BASE, RELAY_LEASE: "120" })).toBe(
    'Cannot use RELAY_LEASE="120": a bare number has no unit; write 120s, 120m or another of ms, s, m, h, d',
  );
  expect(refusal({ ...BASE, RELAY_HEALTHCHECK_URL: "https://h.example.com", RELAY_HEALTHCHECK_TIMEOUT: "5.0" }))
    .toContain("RELAY_HEALTHCHECK_TIMEOUT");
  expect(refusal({ ...BASE, RELAY_POLL: "soon" })).toContain("500ms, 90s, 2m, 12h or 30d");
});

test("each range holds at its ends and not one beyond", () => {
  const ranges: [string, string[], string[]][] = [
    ["RELAY_CONNECTIONS", ["1", "100"], ["0", "101", "-1", "1.5", "four", "0x10"]],
    ["RELAY_LEASE", ["1s", "1000ms", "1h"], ["999ms", "3601s"]],
    ["RELAY_POLL", ["100ms", "10m"], ["99ms", "601s"]],
    ["RELAY_MAX_AGE", ["1m", "90d"], ["59s", "91d"]],
    ["RELAY_MAX_ATTEMPTS", ["none", "1", "1000"], ["0", "1001", "NONE"]],
    ["RELAY_RETENTION", ["7d", "3650d"], ["167h", "3651d"]],
    ["RELAY_GRACE", ["0s", "10m"], ["601s"]],
    ["PORT", ["0", "65535"], ["65536", "-1", "http", "80.0"]],
  ];
  for (const [name, good, bad] of ranges) {
    for (const value of good) read({ ...BASE, [name]: value });
    for (const value of bad) expect(refusal({ ...BASE, [name]: value })).toContain(`Cannot use ${name}="${value}"`);
  }
});

test("a word outside a closed list is refused with the list", () => {
  expect(refusal({ ...BASE, RELAY_ON_UNCERTAIN: "drop" })).toContain("it must be retry or hold");
  expect(refusal({ ...BASE, LOG_LEVEL: "LOUD" })).toContain("it must be debug, info, warn or error");
});

test("content kept longer than its message is refused", () => {
  expect(refusal({ ...BASE, RELAY_RETENTION: "7d", RELAY_RETENTION_CONTENT: "8d" })).toContain(
    "RELAY_RETENTION_CONTENT",
  );
  read({ ...BASE, RELAY_RETENTION: "7d", RELAY_RETENTION_CONTENT: "7d" });
});

test("an SMTP server without a database, and the reverse, are refused", () => {
  expect(refusal({ SMTP_URL: "smtp://x" })).toContain("SMTP_URL is set but DATABASE_URL is not");
  expect(refusal({ EMAIL_HOST: "x" })).toContain("EMAIL_HOST is set but DATABASE_URL is not");
  expect(refusal({ EMAIL_BACKEND: "x" })).toContain("EMAIL_BACKEND is set but DATABASE_URL is not");
  expect(refusal({ RELAY_HEALTHCHECK_URL: "https://h.example.com/u" })).toContain(
    "RELAY_HEALTHCHECK_URL is set but DATABASE_URL is not",
  );
  expect(refusal({ DATABASE_URL: BASE.DATABASE_URL })).toContain("neither SMTP_URL nor EMAIL_HOST");
  expect(refusal({ DATABASE_URL: BASE.DATABASE_URL, EMAIL_BACKEND: "x" })).toContain("neither SMTP_URL nor EMAIL_HOST");
});

test("each SMTP_URL_<NAME> is a route, in either form, and RELAY_ROUTES says which mail takes it", () => {
  const env = {
    DATABASE_URL: BASE.DATABASE_URL,
    SMTP_URL: "smtp://main.example.com",
    SMTP_URL_PROVIDER_FILE: "/run/provider",
    SMTP_URL_IN_HOUSE: "smtp://10.0.0.1:2525",
    RELAY_ROUTES: "to:corp.example=in_house, from:news.example=provider|default",
  };
  const { routes, routing } = read(env, { "/run/provider": "smtps://relay:pw@smtp.provider.example?connections=9\n" });
  expect(routes.map(({ name, smtp }) => [name, smtp.host, smtp.port])).toEqual([
    ["default", "main.example.com", 25],
    ["in_house", "10.0.0.1", 2_525],
    ["provider", "smtp.provider.example", 465],
  ]);
  expect(routing.map((rule) => rule.routes)).toEqual([["in_house"], ["provider", "default"], ["default"]]);
});

test("Django's server is the route default beside named ones", () => {
  const { routes } = read({
    DATABASE_URL: BASE.DATABASE_URL,
    EMAIL_HOST: "django.example.com",
    SMTP_URL_INTERNAL: "smtp://10.0.0.1",
    RELAY_ROUTES: "to:corp.example=internal",
  });
  expect(routes.map(({ name, smtp }) => [name, smtp.host])).toEqual([
    ["default", "django.example.com"],
    ["internal", "10.0.0.1"],
  ]);
  // Advice speaks of SMTP_URL, and both styles at once would stop the start.
  expect(routes.map(({ variable }) => variable)).toEqual([
    "SMTP_URL (in place of the EMAIL_ settings)",
    "SMTP_URL_INTERNAL",
  ]);
});

test("a named route alone takes all mail", () => {
  const { routes, routing } = read({ DATABASE_URL: BASE.DATABASE_URL, SMTP_URL_INTERNAL: "smtp://10.0.0.1" });
  expect(routes.map(({ name }) => name)).toEqual(["internal"]);
  expect(routing).toEqual([{ match: { of: "any" }, routes: ["internal"] }]);
});

test("routes that nobody could use are refused by name", () => {
  const internal = { SMTP_URL_INTERNAL: "smtp://10.0.0.1" };
  const cases: [Record<string, string>, string][] = [
    [{ ...BASE, ...internal }, "Cannot use SMTP_URL_INTERNAL without RELAY_ROUTES"],
    [{ ...BASE, RELAY_ROUTES: "to:corp.example=internal" }, "set SMTP_URL_INTERNAL, or write default"],
    [{ ...BASE, ...internal, RELAY_ROUTES: "*=default" }, "Cannot use SMTP_URL_INTERNAL: no rule of RELAY_ROUTES"],
    [{ ...BASE, ...internal, RELAY_ROUTES: "*=internal" }, "Cannot use SMTP_URL: no rule of RELAY_ROUTES"],
    [{ ...BASE, ...internal, RELAY_ROUTES: "stream:Bulk=internal" }, "no name that a stream could have"],
    [{ ...BASE, ...internal, RELAY_ROUTES: "" }, "RELAY_ROUTES: it is set but empty"],
    [{ ...BASE, SMTP_URL_DEFAULT: "smtp://x" }, "Cannot use SMTP_URL_DEFAULT: the route default is what SMTP_URL"],
    [{ ...BASE, SMTP_URL_: "smtp://x" }, "it ends without a name"],
    [{ ...BASE, "SMTP_URL_A-B": "smtp://x" }, "a-b cannot be a route's name"],
    [
      { ...BASE, SMTP_URL_INTERNAL: "smtp://u@h", RELAY_ROUTES: "*=default" },
      "Cannot use SMTP_URL_INTERNAL: it has a user",
    ],
    [{ DATABASE_URL: BASE.DATABASE_URL, RELAY_ROUTES: "*=default" }, "Cannot use RELAY_ROUTES: there is no route"],
    [
      { EMAIL_HOST: "h", ...internal, DATABASE_URL: BASE.DATABASE_URL, RELAY_ROUTES: "*=internal" },
      "Cannot use EMAIL_HOST",
    ],
    [{ ...internal }, "SMTP_URL_INTERNAL is set but DATABASE_URL is not"],
  ];
  for (const [env, words] of cases) expect(refusal(env)).toContain(words);
});

test("the resolved line names every route, its connections and the rules", () => {
  const line = describeSettings(read({
    ...BASE,
    SMTP_URL_INTERNAL: "smtps://relay:pw-smtp@10.0.0.1?connections=1",
    RELAY_ROUTES: "to:*.corp.example=internal|default",
  }));
  expect(line).toContain(
    "smtp default smtp.example.com:25 STARTTLS if offered, no login, 4 connections · " +
      "smtp internal 10.0.0.1:465 TLS from the first byte, with login, 1 connection · " +
      "routes to:*.corp.example=internal|default, *=default · state in",
  );
  expect(line).not.toContain("pw-");
});

test("the resolved line names what was asked for of TLS, login and connections", () => {
  const files: Readonly<Record<string, string>> = {
    "/token": "pw-token",
    "/cert": "-----BEGIN CERTIFICATE-----",
    "/key": "-----BEGIN PRIVATE KEY-----pw-key",
  };
  const url =
    "smtp://me@h?auth=xoauth2&token-file=/token&min-tls=1.3&cert=/cert&key=/key&connections=3&domain-connections=2";
  const line = describeSettings(readSettings({ ...BASE, SMTP_URL: url }, (path) => files[path] ?? ""));
  expect(line).toContain(
    " · smtp h:587 STARTTLS required, TLS 1.3 only, login with a token, with a certificate, 3 connections, 2 for a domain · ",
  );
  expect(line).not.toContain("pw-");
});

test("a name one letter away from a setting without the prefix is refused, unless that one is set too", () => {
  const meant = (name: string) => / did you mean (\w+)\?/.exec(refusal({ ...BASE, [name]: "true" }) ?? "")?.[1];
  expect(meant("EMAIL_USE_TSL")).toBe("EMAIL_USE_TLS");
  expect(meant("EMAIL_HOST_PASWORD")).toBe("EMAIL_HOST_PASSWORD");
  expect(meant("SMTP_ULR_BULK")).toBe("SMTP_URL_BULK");
  expect(meant("DATABSE_URL_SHOP")).toBe("DATABASE_URL_SHOP");
  // Of other programs.
  for (const name of ["DATABASE_URI", "EMAIL_FROM", "HOSTS", "PORTS"]) {
    readSettings({ ...BASE, [name]: "x" }, NO_FILES);
  }
});

test("a misspelt DATABASE_URL does not start the playground", () => {
  for (const name of ["DATABSE_URL", "DATABASE_URI", "DATABASEURL", "DATABASE_ULR"]) {
    expect(refusal({ [name]: BASE.DATABASE_URL })).toContain("did you mean DATABASE_URL?");
  }
  expect(refusal({ STMP_URL: BASE.SMTP_URL })).toContain("did you mean SMTP_URL?");
});

test("health-check details without a URL are refused", () => {
  expect(refusal({ ...BASE, RELAY_HEALTHCHECK_METHOD: "POST" })).toContain("RELAY_HEALTHCHECK_URL");
  expect(refusal({ ...BASE, RELAY_HEALTHCHECK_URL: "ftp://secret-host/u" })).toBe(
    "Cannot use RELAY_HEALTHCHECK_URL: it is no web address; it must be an http:// or https:// URL",
  );
});

test("a return path must be one bare address", () => {
  for (const bad of ["bounces", "Ann <a@example.com>", "a@b c", "a@b\nRCPT TO:<x@y>", "a@b>", "a@b,c@d", "<>"]) {
    expect(refusal({ ...BASE, RELAY_RETURN_PATH: bad })).toContain("RELAY_RETURN_PATH");
  }
});

test("a host other than loopback is fine", () => {
  for (const HOST of ["0.0.0.0", "::", "relay.internal", "fe80::1%eth0"]) {
    expect(read({ ...BASE, HOST }).http.host).toBe(HOST);
  }
  expect(refusal({ ...BASE, HOST: "http://x" })).toContain("HOST");
});

test("secrets stay out of JSON, of inspection, of string conversion and of the resolved line", () => {
  const settings = read({
    DATABASE_URL: "postgres://relay:pw-db@db.example.com:6432/shop",
    SMTP_URL: "smtp://mailer:pw-smtp@smtp.example.com",
    RELAY_HEALTHCHECK_URL: "https://health.example.com/pw-health",
    RELAY_ADMIN_PASSWORD: "pw-admin",
    RELAY_METRICS_TOKEN: "pw-token",
  });
  for (const shown of [JSON.stringify(settings), Bun.inspect(settings, { depth: 10 }), describeSettings(settings)]) {
    expect(shown).not.toContain("pw-");
  }
  expect(`${settings.http.adminPassword}`).toBe("[secret]");
  expect(Object.values(settings.http.adminPassword ?? {})).toEqual([]);
  expect(describeSettings(settings)).toBe(
    "database home db.example.com:6432/shop · smtp smtp.example.com:587 STARTTLS required, with login, " +
      "4 connections · state in .mailchute · health check by GET",
  );
});

test("no refusal shows a secret value", () => {
  const cases: Record<string, string>[] = [
    { ...BASE, DATABASE_URL: "mysql://u:pw-x@h/d" },
    { ...BASE, DATABASE_URL: "postgres://u:pw-x@" },
    { ...BASE, DATABASE_URL: "postgres://u:pw-x@h" },
    { ...BASE, SMTP_URL: "http://u:pw-x@h" },
    { ...BASE, SMTP_URL: "smtp://u:pw-x@h/pw-x" },
    { ...BASE, SMTP_URL: "smtp://u:pw-x@h?tls=none" },
    { ...BASE, SMTP_URL: "smtp://u:pw-x%zz@h" },
    { ...BASE, RELAY_HEALTHCHECK_URL: "pw-x" },
    { ...BASE, RELAY_HEALTHCHECK_URL: "ftp://pw-x" },
  ];
  for (const env of cases) expect(refusal(env)).not.toContain("pw-x");
});

test("readDatabases needs no SMTP server", () => {
  expect(readDatabases({ DATABASE_URL: BASE.DATABASE_URL }, NO_FILES).map(({ name }) => name)).toEqual(["home"]);
  expect(readDatabases({}, NO_FILES)).toEqual([]);
  expect(() => readDatabases({ RELAY_POL: "1s" }, NO_FILES)).toThrow("did you mean RELAY_POLL?");
});

test("--help names every setting with its default, in lines that fit a terminal", () => {
  const help = settingsHelp();
  for (
    const name of [
      "DATABASE_URL_<NAME>",
      "SMTP_URL",
      "SMTP_URL_<NAME>",
      "connection-age [5m]",
      "EMAIL_TIMEOUT",
      "RELAY_LEASE [2m]",
      "PORT [8025]",
    ]
  ) {
    expect(help).toContain(`  ${name}`);
  }
  for (const line of help.split("\n")) expect(line.length).toBeLessThanOrEqual(100);
});

test("RELAY_BATCH_FAILURES is a percentage", () => {
  const of = (written: string) => read({ ...BASE, RELAY_BATCH_FAILURES: written }).batchFailures;
  expect([of("0.1%"), of("100%"), of("none")]).toEqual([0.001, 1, undefined]);
  for (const wrong of ["5", "0%", "0.09%", "100.01%", "-1%", "five%"]) {
    expect(refusalOf(() => of(wrong))).toContain(`Cannot use RELAY_BATCH_FAILURES="${wrong}"`);
  }
});

test("docs/settings.md is what the table says: run bun scripts/settings_page.ts after a change", async () => {
  expect(await Bun.file(join(import.meta.dir, "..", SETTINGS_PAGE)).text()).toBe(settingsPage());
});

function refusalOf(action: () => unknown): string {
  return caught(action).message;
}

test("all that is wrong is told at once, a sentence for each, and by itself where it is the only one", () => {
  const env = {
    DATABASE_URL: "mysql://relay:pw-db@db.example.com/shop",
    SMTP_URL: "smtps://mx.example:25",
    RELAY_CONECTIONS: "4",
    RELAY_PUL: "1s",
    RELAY_HEALTHCHECK_METHOD: "GET",
  };
  const error = caught(() => read(env));
  expect(error.each.map(({ variable }) => variable)).toEqual([
    "RELAY_CONECTIONS",
    "RELAY_PUL",
    "SMTP_URL",
    "RELAY_HEALTHCHECK_METHOD",
    "DATABASE_URL",
  ]);
  expect(error.variable).toBe("RELAY_CONECTIONS");
  expect(error.message.split("\n")).toEqual(error.each.map(({ message }) => message));
  for (const { message } of error.each) expect(message).toMatch(/^Cannot [^\n]*; [^\n]*[^.\n]$/);
  expect(error.message).not.toContain("pw-db");

  const values = caught(() => read({ ...BASE, RELAY_POLL: "soon", RELAY_LEASE: "2 fortnights", PORT: "http" }));
  expect(values.each.map(({ variable }) => variable).sort()).toEqual(["PORT", "RELAY_LEASE", "RELAY_POLL"]);

  const databases = caught(() => readDatabases({ DATABASE_URL: "mysql://h/d", RELAY_POL: "1s" }, NO_FILES));
  expect(databases.each.map(({ variable }) => variable)).toEqual(["RELAY_POL", "DATABASE_URL"]);

  const single = caught(() => read({ ...BASE, RELAY_POLL: "soon" }));
  expect(single.each).toEqual([single]);
});

function caught(action: () => unknown): SettingsError {
  try {
    action();
  } catch (error) {
    if (error instanceof SettingsError) return error;
    throw error;
  }
  throw new Error("accepted");
}
