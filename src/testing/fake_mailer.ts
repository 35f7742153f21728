import { sameAddress } from "../address.ts";
import { createMailer } from "../client.ts";
import { type Connection, driverOf, type Row } from "../connection.ts";
import { MailchuteError } from "../error.ts";
import { field } from "../field.ts";
import { checkFields, refuse } from "../finding.ts";
import type { Mailer, MailerOptions } from "../mailer.ts";
import { check, TIMEOUT } from "../options.ts";
import { FakeDatabase } from "./fake_database.ts";
import type { FakeMail } from "./fake_mail.ts";
import { checkTemplates, type FakeMessage, type FakeTemplate } from "./fake_template.ts";
import { simulate, type Simulated, type SimulatedReply } from "./simulate.ts";

/** A mail that the app under test has sent. */
export interface SentMail {
  /** As `send` has answered it. */
  readonly id: string;
  /**
   * As it was checked: lists of `{ email, name }`, HTML rendered, the mailer's defaults merged, attachments in base64;
   * `template` as it was asked for, beside what it makes.
   */
  readonly message: FakeMessage;
  /** How it was sent. */
  readonly options: {
    readonly idempotencyKey?: string;
    /** The app's own transaction, as it was given. */
    readonly tx?: Connection;
  };
}

/** Which mail to wait for: all that is given must fit. */
export interface MailFilter {
  /** An address that gets it, as to, cc or bcc. */
  readonly to?: string | undefined;
  /** Its whole subject, or what fits it. */
  readonly subject?: string | RegExp | undefined;
}

/** What a fake mailer takes beside the options of a real one. */
export interface FakeMailerOptions extends MailerOptions {
  /** The time, in milliseconds since 1970. @default {Date.now} */
  readonly now?: (() => number) | undefined;
  /**
   * The templates of the app; the later of one name and language is the newer.
   * @default any name will do, and nothing is merged
   */
  readonly templates?: readonly FakeTemplate[] | undefined;
}

/** Runs the statements of `mail.statement`. */
export interface FakeConnection {
  /** Runs one statement, and answers as a driver does. */
  query(text: string, values: readonly string[]): Promise<{ readonly rows: readonly Row[] }>;
}

/** A mailer for tests, that keeps mails in memory. */
export interface FakeMailer extends Mailer {
  /** All mails that are queued, in the order of their coming, those too that are canceled since. */
  readonly sent: readonly SentMail[];
  /** Where the mails are kept: give it to code that asks for a connection, or run a statement on it. */
  readonly connection: FakeConnection;
  /**
   * Runs work in a transaction: the mails of the `tx` that it hands out exist if and only if the work resolves.
   * Whatever else is given as `tx` must be a connection, as ever; its mails are kept at once, since nobody tells the
   * fake of its commit.
   */
  transaction<T>(work: (tx: Connection) => Promise<T>): Promise<T>;
  /**
   * Resolves with the first mail that fits, now or later.
   *
   * @throws {MailchuteError} `timeout` when none has come within `timeoutMs`, 5,000 unless given
   */
  waitFor(
    fits: MailFilter | ((mail: SentMail) => boolean),
    options?: { readonly timeoutMs?: number | undefined },
  ): Promise<SentMail>;
  /**
   * Does what a relay would do with a mail, so that `get` and `wait` tell of it: to its open recipients, or to those
   * with an address in all mails.
   *
   * @throws {MailchuteError} `validation_error` when nobody is open there
   */
  simulate(which: string, outcome: Simulated, reply?: SimulatedReply): void;
  /**
   * Ends the windows of all digests, as time would. Several items become one mail; a lone one goes out as it is.
   *
   * @returns the mails that go out
   * @example Two replies, one mail
   * ```ts
   * const mail = fakeMailer({ from: "forum@example.com" });
   * const digest = { key: "replies", wait: "1h", subject: "{{count}} new replies" } as const;
   * for (const text of ["Yes!", "No."]) await mail.send({ to: "ann@example.com", subject: "Bob replied", text, digest });
   * const [replies] = mail.closeDigests();
   * if (replies?.message.subject !== "2 new replies") throw new Error("unexpected");
   * ```
   */
  closeDigests(): readonly SentMail[];
  /** Forgets all mails and keys. */
  clear(): void;
}

const DEFAULT_WAIT_MS = 5_000;
const WAIT = "Cannot find the mail";

/**
 * Makes a mailer that keeps mails in memory, for the tests of an app. It is the real client on a database that is not
 * there: what that refuses it refuses, with the same errors; keys, cancel and reschedule work as ever.
 *
 * @example The app under test has sent its receipt, and it bounces
 * ```ts
 * const mail = fakeMailer({ from: "shop@example.com" });
 * await mail.send({ to: "Ann <ann@example.com>", subject: "Receipt", text: "Thanks!" });
 * const { id, message } = await mail.waitFor({ to: "ann@example.com", subject: "Receipt" });
 * if (message.text !== "Thanks!") throw new Error("unexpected");
 * mail.simulate(id, "bounced", { reply: "No such user" });
 * if ((await mail.get(id))?.state !== "bounced") throw new Error("unexpected");
 * ```
 * @example A template of the app
 * ```ts
 * const mail = fakeMailer({ from: "shop@example.com", templates: [{ name: "welcome", subject: "Hi {{first}}", text: "Hello" }] });
 * await mail.send({ to: "ann@example.com", template: { name: "welcome", variables: { first: "Ann" } } });
 * if (mail.sent[0]?.message.subject !== "Hi Ann") throw new Error("unexpected");
 * ```
 * @throws {MailchuteError} `validation_error` when an option is wrong
 */
export function fakeMailer(options: FakeMailerOptions = {}): FakeMailer {
  const { now = Date.now, templates, ...mailerOptions } = options;
  if (typeof now !== "function") {
    refuse("Cannot make the fake mailer", [{ path: "now", message: "it is not a function: write () => ms" }]);
  }
  const database = new FakeDatabase(now, templates && checkTemplates(templates));
  const transactions = new WeakSet<object>();
  const givenAs = new Map<string, Connection>();
  const watchers = new Set<() => void>();
  const changed = () => {
    for (const look of watchers) look();
  };

  /** A connection to the mails; `tx` is what the app gave for it. */
  function connect(target: FakeDatabase, tx?: Connection): FakeConnection {
    return {
      query: (text, values) =>
        Promise.resolve().then(() => {
          const before = new Set(tx === undefined ? [] : target.mails().map(({ id }) => id));
          const row = target.run(text, values);
          if (tx !== undefined) { for (const { id } of target.mails()) if (!before.has(id)) givenAs.set(id, tx); }
          changed();
          return { rows: [row] };
        }),
    };
  }

  /**
   * The same options, with a connection to the mails instead of one of the app's own. What is none goes on as it is, to
   * be refused.
   */
  function redirected<T>(given: T): T {
    const { tx } = Object(given) as { readonly tx?: Connection };
    if (typeof given !== "object" || !isConnection(tx) || transactions.has(tx)) return given;
    return { ...given, tx: connect(database, tx) };
  }

  const connection = connect(database);
  const mailer = createMailer(connection, mailerOptions);
  const view = (mail: FakeMail): SentMail => viewOf(mail, givenAs.get(mail.id));
  return {
    ...mailer,
    send: (message, options) => mailer.send(message, redirected(options)),
    get: ((which: string, options) => mailer.get(which, redirected(options))) as Mailer["get"],
    cancel: ((which: string, options) => mailer.cancel(which, redirected(options))) as Mailer["cancel"],
    reschedule: (id, at, options) => mailer.reschedule(id, at, redirected(options)),
    wait: (id, options) => mailer.wait(id, redirected(options)),
    sendMany: (template, recipients, options) => mailer.sendMany(template, recipients, redirected(options)),
    suppressions: {
      add: (address, reason, options) => mailer.suppressions.add(address, reason, redirected(options)),
      get: (address, options) => mailer.suppressions.get(address, redirected(options)),
      remove: (address, options) => mailer.suppressions.remove(address, redirected(options)),
    },

    connection,
    get sent() {
      return database.mails().map(view);
    },

    async transaction(work) {
      const begun = database.begin();
      const tx: Connection = connect(begun);
      transactions.add(tx);
      const result = await work(tx);
      database.commit(begun);
      changed();
      return result;
    },

    async waitFor(fits, options = {}) {
      const { timeoutMs = DEFAULT_WAIT_MS } = check<{ readonly timeoutMs?: number }>(
        { timeoutMs: TIMEOUT },
        options,
        WAIT,
      );
      const filter = typeof fits === "function" ? predicateOf(fits) : filterOf(fits);
      const find = () => database.mails().map(view).find(filter);
      return await new Promise((resolve, reject) => {
        const look = () => {
          try {
            const mail = find();
            if (mail !== undefined) end(() => resolve(mail));
          } catch (error) {
            end(() => reject(error));
          }
        };
        const end = (settle: () => void) => {
          clearTimeout(timer);
          watchers.delete(look);
          settle();
        };
        const timer = setTimeout(() => end(() => reject(late(timeoutMs, database.mails().length))), timeoutMs);
        watchers.add(look);
        look();
      });
    },

    simulate(which, outcome, reply = {}) {
      simulate(database, which, { outcome, reply, nowMs: now() });
      changed();
    },

    closeDigests() {
      const closed = database.closeDigests();
      changed();
      return closed.map(view);
    },

    clear() {
      database.clear();
      givenAs.clear();
    },
  };
}

function isConnection(value: unknown): value is Connection {
  try {
    return driverOf(value, "tx") !== undefined;
  } catch {
    return false;
  }
}

function viewOf({ id, message, idempotencyKey }: FakeMail, tx: Connection | undefined): SentMail {
  const options = { ...(idempotencyKey === undefined ? {} : { idempotencyKey }), ...(tx === undefined ? {} : { tx }) };
  return { id, message, options };
}

const FILTER = {
  to: field((to, fault) => typeof to === "string" ? to : fault("it is not an address")),
  subject: field((subject, fault) =>
    typeof subject === "string" || subject instanceof RegExp ? subject : fault("it is neither a text nor a RegExp")
  ),
};

/** Reads what a test looks for: a field of another name would fit every mail. */
function filterOf(fits: MailFilter): (mail: SentMail) => boolean {
  const { output: { to, subject }, findings } = checkFields<MailFilter>(
    FILTER,
    Object(fits),
    "a mail is found by to and subject",
  );
  refuse(WAIT, findings);
  return ({ message }) => {
    const everybody = [message.to, message.cc, message.bcc].flatMap((list) => list ?? []);
    if (to !== undefined && !everybody.some(({ email }) => sameAddress(email, to))) return false;
    // `search` begins at the start each time; `test` of one with the flag g goes on where the last one ended.
    if (subject instanceof RegExp) return message.subject.search(subject) >= 0;
    return subject === undefined || subject === message.subject;
  };
}

/** A promise is true whatever it will be. */
function predicateOf(fits: (mail: SentMail) => boolean): (mail: SentMail) => boolean {
  return (mail) => {
    const answer: unknown = fits(mail);
    if (Object(answer) === answer) {
      refuse(WAIT, [{ path: "fits", message: "it does not answer true or false at once" }]);
    }
    return Boolean(answer);
  };
}

function late(timeoutMs: number, count: number): MailchuteError {
  const many = count === 1 ? "1 mail is" : `${count} mails are`;
  return new MailchuteError(
    "timeout",
    `${WAIT}: none that fits has come within ${timeoutMs} ms (${many} there)`,
  );
}
