// What people bring along from Django: the settings of django-email-relay, django-mailer, django-post-office,
// django-ses and of Django itself. Each is answered with ours in one sentence. A name that promised something (a limit,
// a pause, other recipients) stops the start, since it would be believed in; one that is of the apps, and may stand in
// an environment that they share with the relay, is a line of the log.

/** What is said about one name. */
export interface Answer {
  /** `refuse`: the start stops. */
  readonly then: "refuse" | "notice";
  /** A clause behind the name, with the fix behind a semicolon. */
  readonly words: string;
}

const REFUSED: Readonly<Record<string, string>> = {
  EMAIL_MAX_RETRIES: "it is called RELAY_MAX_ATTEMPTS here, which counts the first try too, and no outage",
  EMPTY_QUEUE_SLEEP: "it is called RELAY_POLL here; write it with a unit, such as 30s",
  EMAIL_THROTTLE:
    "it is called RELAY_RATE here, which says how many in a time; write 60/m instead of a pause of 1 second",
  EMAIL_MAX_BATCH: "the relay takes only what it can send at once and needs no such limit; remove it",
  EMAIL_MAX_DEFERRED: "an outage of the server stops the relay by itself; remove it",
  MESSAGES_BATCH_SIZE: "the client stores many messages in one statement; remove it",
  MESSAGES_RETENTION_SECONDS: "it is called RELAY_RETENTION here; write it with a unit, such as 30d",
  RELAY_HEALTHCHECK_STATUS_CODE: "it is called RELAY_HEALTHCHECK_STATUS here",
  DATABASE_ALIAS: "a relay finds its databases by DATABASE_URL and DATABASE_URL_<NAME>; set these",
  PAUSE_SEND: "what is paused stands in the database here; remove it, and run mailchute pause --all",
  MAX_RETRIES: "it is called RELAY_MAX_ATTEMPTS here, which counts the first try too, and no outage",
  RETRY_INTERVAL: "waits grow from 1 minute to 4 hours here, and RELAY_MAX_AGE ends them; remove it",
  OVERRIDE_RECIPIENTS: "it is called RELAY_REDIRECT_TO here, and takes Cc and Bcc as well",
  THREADS_PER_PROCESS: "it is called RELAY_CONNECTIONS here, and counts for each SMTP server",
  BACKENDS: "each SMTP server is a route here; set SMTP_URL_<NAME>, and RELAY_ROUTES for who takes which",
  EMAIL_BACKEND: "the relay delivers over SMTP and nothing else; set SMTP_URL",
  BATCH_SIZE: "the relay takes only what it can send at once and needs no such limit; remove it",
  BATCH_DELIVERY_TIMEOUT: "each reply of the server has its own limit here, SMTP_URL's ?timeout= among them; remove it",
  USE_FILE_LOCK: "relays share a database by leases and need no lock; remove it",
  LOCK_PATH: "relays share a database by leases and need no lock; remove it",
  LOCK_WAIT_TIMEOUT: "relays share a database by leases and need no lock; remove it",
  LOCK_FILE_NAME: "relays share a database by leases and need no lock; remove it",
  ERROR_HANDLER: "what a reply means is a closed table, docs/outcomes.md; remove it",
  EMAIL_LOG_MESSAGE_DATA: "it is called RELAY_RETENTION_CONTENT here; write 0s to keep no content of what was sent",
  SENDING_ORDER: "high priority goes first and then what has waited longest; remove it",
  DEFAULT_PRIORITY: "apps give a mail its priority, high, normal or low; remove it",
  CELERY_ENABLED: "NOTIFY rings the relay, and nobody else has to; remove it",
  LOG_LEVEL: "what became of each mail stays for RELAY_RETENTION; remove it, or set LOG_LEVEL for the log",
};

/** Of the apps, or of Django: harmless, and without effect on the relay. */
const NOTICED: Readonly<Record<string, string>> = {
  EMAIL_BACKEND: "it is of the apps; docs/migrating.md says what to write there",
  EMAIL_FILE_PATH: "the relay writes no mail to files; the playground (no settings at all) shows them on a page",
  EMAIL_SUBJECT_PREFIX:
    "Django writes it into mails to ADMINS in the app; for one before every subject set RELAY_ENVIRONMENT",
  EMAIL_USE_LOCALTIME: "the Date of a mail is in UTC here, which readers show in their own time; remove it",
  SERVER_EMAIL: "apps name their own sender; for bounces set RELAY_RETURN_PATH",
  ADMINS:
    "apps name their own recipients, and the relay tells by its log, /metrics and RELAY_HEALTHCHECK_URL; remove it",
  MANAGERS: "apps name their own recipients; remove it",
};

/** `A__B` is a key of a dictionary for the image of django-email-relay. */
const DICTIONARY = /^(?:DJANGO_EMAIL_RELAY|POST_OFFICE)__/;

/**
 * What is to be said about a name; undefined: it is not one of theirs. `isOurs` tells a name that is a setting here.
 */
export function answerTo(name: string, isOurs: (name: string) => boolean): Answer | undefined {
  const bare = name.replace(/_FILE$/, "");
  const key = bare.replace(DICTIONARY, "").replace(/^MAILER_/, "");
  const refused = REFUSED[key];
  const isTheirs = DICTIONARY.test(bare) || (bare === key ? RELAYS.has(key) : MAILERS.has(key));
  if (refused !== undefined && isTheirs) return { then: "refuse", words: refused };
  if (DICTIONARY.test(bare) && isOurs(key)) return { then: "refuse", words: `it is called ${key} here; rename it` };
  if (/^(?:DJANGO_EMAIL_RELAY|POST_OFFICE)(?:__|$)/.test(bare)) {
    return {
      then: "refuse",
      words: "the relay reads no dictionary of Django; docs/migrating.md names our settings one by one",
    };
  }
  if (/^DATABASES(?:__|$)/.test(bare)) {
    return {
      then: "refuse",
      words: "a database is one URL here; set DATABASE_URL=postgres://user:password@host:5432/name",
    };
  }
  const noticed = NOTICED[bare];
  if (noticed !== undefined) return { then: "notice", words: noticed };
  if (/^AWS_SES_|^USE_SES_V2$/.test(bare)) {
    const words =
      "SES is a server like others here; set SMTP_URL=smtps://user:password@email-smtp.REGION.amazonaws.com";
    return { then: "notice", words };
  }
  return undefined;
}

/** The settings of django-email-relay, whose image took them without a prefix too. */
const RELAYS: ReadonlySet<string> = new Set([
  "EMAIL_MAX_RETRIES",
  "EMPTY_QUEUE_SLEEP",
  "EMAIL_THROTTLE",
  "EMAIL_MAX_BATCH",
  "EMAIL_MAX_DEFERRED",
  "MESSAGES_BATCH_SIZE",
  "MESSAGES_RETENTION_SECONDS",
  "RELAY_HEALTHCHECK_STATUS_CODE",
]);

/** Those of django-mailer. Other names with its prefix are of programs that are called so too. */
const MAILERS: ReadonlySet<string> = new Set([
  "EMAIL_BACKEND",
  "EMPTY_QUEUE_SLEEP",
  "USE_FILE_LOCK",
  "LOCK_PATH",
  "LOCK_WAIT_TIMEOUT",
  "EMAIL_MAX_BATCH",
  "EMAIL_MAX_DEFERRED",
  "EMAIL_THROTTLE",
  "EMAIL_MAX_RETRIES",
  "ERROR_HANDLER",
  "EMAIL_LOG_MESSAGE_DATA",
  "MESSAGES_BATCH_SIZE",
  "PAUSE_SEND",
]);

/** What is told in the log at the start. */
export function predecessorNotices(names: readonly string[], isOurs: (name: string) => boolean): readonly string[] {
  return names.flatMap((name) => {
    const answer = answerTo(name, isOurs);
    return answer?.then === "notice" ? [`${name} has no effect: ${answer.words}`] : [];
  });
}
