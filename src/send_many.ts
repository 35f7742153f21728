import { type Connection, type Driver, type Row, run } from "./connection.ts";
import { enqueueMany } from "./enqueue_many.ts";
import { type Issue, MailchuteError } from "./error.ts";
import { type Fault, field, key, mailbox, oneOf, over, quote } from "./field.ts";
import { type Finding, refuse, valuesOf } from "./finding.ts";
import { fitting } from "./fitting.ts";
import { LIMITS } from "./limits.ts";
import { type Defaults, type Message, parseMessage } from "./message.ts";
import type { MessageInput } from "./message_input.ts";
import { unsubscribeProblem } from "./mime/unsubscribe.ts";
import { octets } from "./octets.ts";
import { CALL, check, KEY } from "./options.ts";
import { refuseLarge } from "./statement.ts";
import { readVariables } from "./stored_template.ts";
import { isMerged, type Names, namesOf, textsOf } from "./template_names.ts";
import { valueFault } from "./template_value.ts";
import { fill, isTemplate, type Values } from "./template.ts";
import { uuidv7 } from "./uuid.ts";

// DESIGN: the list is read as it is needed, one part ahead of the database: what is held is three parts, however long
// the list is. The mail goes with the first part, and lies in the database once; when that is answered, two parts at a
// time are under way, unless all goes through one transaction. All ids of a call differ in their last 32 bits only,
// which are the place in the list: so they need not be sent, and a part that is sent again adds nothing.

/** How a bulk send goes. */
export interface SendManyOptions {
  /** The app's own transaction: all mails or none. @default each part on its own */
  readonly tx?: Connection | undefined;
  /**
   * Its name, 1 to 256 bytes such as `news/2026-11`: a call with the same name again adds only the recipients who have
   * no mail of it yet.
   * @default none
   */
  readonly batch?: string | undefined;
  /** `skip` leaves out recipients with a fault, and tells of them in the result. @default {"throw"} */
  readonly onInvalid?: "throw" | "skip" | undefined;
  /** Called after each part; a promise is waited for, and its error is that of the call. */
  readonly onProgress?: ((progress: ManyProgress) => void) | undefined;
}

/** How far a bulk send is. */
export interface ManyProgress {
  /** Mails that are in the queue now. */
  readonly created: number;
  /** Recipients who had a mail of this batch already. */
  readonly existing: number;
  /** Recipients who were left out. */
  readonly skipped: number;
}

/** What became of a bulk send. */
export interface SentMany {
  /** Its name, or the id that stands for it: for `get` and `cancel`. */
  readonly batch: string;
  /** Mails that this call has put into the queue. */
  readonly created: number;
  /** Recipients who had a mail of this batch already. */
  readonly existing: number;
  /** With `onInvalid: "skip"`: who was left out, by their place in the list, and why. */
  readonly skipped: readonly { readonly index: number; readonly issues: readonly Issue[] }[];
}

/** Where it goes, and what the mailer adds. */
interface Place {
  choose(tx: unknown, what: string): Driver;
  readonly defaults: Defaults;
  readonly timeoutMs: number;
}

const WHAT = "Cannot send the mails";
/**
 * Small enough for a statement of a second and for Neon over HTTP, large enough that its round trip does not matter.
 */
const PART_CHARS = 500_000;
/** Names and values of one recipient, as the database has it. */
const MAX_VARIABLES_BYTES = 65_536;
/**
 * How many parts are under way at a time, over a pool or Neon's HTTP: enough that the database is busy while one of
 * them is committed.
 */
const AT_ONCE = 2;
/** How many recipients are read before others have their turn. */
const TURN = 500;

const OPTIONS = {
  ...CALL,
  batch: KEY,
  onInvalid: field(oneOf("throw", "skip")),
  onProgress: fitting("a function", (value) => typeof value === "function"),
};

/**
 * What goes to the database in one statement: recipients as JSON, `null` where one is left out, so that each keeps its
 * place.
 */
interface Part {
  readonly first: number;
  readonly entries: readonly string[];
}

/** See {@linkcode Mailer.sendMany}. */
export async function sendMany(
  { choose, defaults, timeoutMs }: Place,
  template: object,
  recipients: unknown,
  options: SendManyOptions = {},
): Promise<SentMany> {
  const { tx, batch, onInvalid, onProgress } = check<SendManyOptions>(OPTIONS, options, WHAT);
  const driver = choose(tx, WHAT);
  const id = `${uuidv7(Date.now(), crypto.randomUUID()).slice(0, -8)}00000000`;
  const skips = onInvalid === "skip";
  const skipped: { readonly index: number; readonly issues: readonly Issue[] }[] = [];
  const mail = await readTemplate(template, defaults, timeoutMs);
  const json = JSON.stringify(mail);
  let mailLeft: string | undefined = json;
  let [created, existing] = [0, 0];
  let name = batch ?? id;

  async function ask({ first, entries }: Part, mail: string | undefined): Promise<Row> {
    const statement = enqueueMany({ id, batch, first, skip: skips }, entries, mail);
    refuseLarge(driver, statement, { what: WHAT, path: "template" });
    return await run(driver, statement, { what: WHAT, timeoutMs });
  }

  async function push(part: Part): Promise<void> {
    const mail = mailLeft;
    mailLeft = undefined;
    const row = await ask(part, mail).catch((error: MailchuteError) => {
      // Retention takes the content when all that were queued so far have ended long ago; not under an open
      // transaction.
      if (tx !== undefined || mail !== undefined || error.issues[0]?.path !== "mail") throw error;
      return ask(part, json);
    });
    name = String(row.batch);
    created += Number(row.created);
    existing += Number(row.existing);
    const refused = new Map<number, readonly Issue[]>();
    for (const { index, path, message } of JSON.parse(String(row.refused))) {
      refused.set(index, [...refused.get(index) ?? [], { path, message }]);
    }
    for (const [index, issues] of refused) skipped.push({ index, issues });
    if (driver.isRoot) atOnce = AT_ONCE;
    await onProgress?.({ created, existing, skipped: skipped.length });
  }

  // One that has failed stays, so that whoever waits next learns of it.
  const underWay = new Set<Promise<void>>();
  // Else those that end as fast as the list is read would leave nothing to wait for, and the error would come after the
  // whole list.
  let hasFailed = false;
  // The first makes the batch that the others add to.
  let atOnce = 1;
  try {
    const left = (index: number, issues: readonly Issue[]) => {
      if (!skips) refuse(WHAT, issues);
      skipped.push({ index, issues });
    };
    for await (const part of partsOf(listed(recipients), { names: namesOf(mail), takenChars: json.length, left })) {
      while (hasFailed || underWay.size >= atOnce) await Promise.race(underWay);
      const pushed: Promise<void> = push(part).then(() => void underWay.delete(pushed));
      underWay.add(pushed);
      pushed.catch(() => hasFailed = true);
    }
    await Promise.all(underWay);
  } catch (error) {
    await Promise.allSettled(underWay);
    throw tx === undefined && created > 0 && error instanceof MailchuteError
      ? withProgress(error, created, batch)
      : error;
  }
  return { batch: name, created, existing, skipped: skipped.sort((one, other) => one.index - other.index) };
}

/** Reads the list, and cuts it into parts. */
async function* partsOf(
  recipients: Iterable<unknown> | AsyncIterable<unknown>,
  options: {
    readonly names: Names;
    /** What the first part carries beside. */
    readonly takenChars: number;
    readonly left: (index: number, issues: readonly Issue[]) => void;
  },
): AsyncGenerator<Part> {
  let [first, next, chars] = [0, 0, options.takenChars];
  let entries: string[] = [];
  for await (const recipient of recipients) {
    const issues: Issue[] = [];
    const entry = readRecipient(recipient, options.names, (reason, at = []) => {
      issues.push({ path: ["recipients", next, ...at].join("."), message: reason });
    });
    if (issues.length > 0) options.left(next, issues);
    const text = issues.length > 0 ? "null" : JSON.stringify(entry);
    if (chars + text.length > PART_CHARS) {
      yield { first, entries };
      [first, entries, chars] = [next, [], 0];
    }
    entries.push(text);
    chars += text.length;
    next++;
    if (next % TURN === 0) await new Promise((resolve) => setTimeout(resolve));
  }
  if (entries.length > 0) yield { first, entries };
}

/** A recipient as the database takes it: [email, name, key, variables]. */
function readRecipient(recipient: unknown, names: Names, fault: Fault): readonly unknown[] {
  const { to, key: ownKey, variables = {}, ...others } = Object(recipient);
  for (const other of Object.keys(others)) fault("it is no field of a recipient", [quote(other)]);
  const { email, name = null } = mailbox(to, (reason) => fault(reason, ["to"])) ?? {};
  const maxBytes = LIMITS.idempotencyKeyBytes;
  const given = ownKey === undefined ? null : key(ownKey, maxBytes, (reason) => fault(reason, ["key"]));
  const byName = names.hasOthers
    ? readVariables(variables, (reason, at = []) => fault(reason, ["variables", ...at]), names)
    : readNamed(variables, names, fault);
  const inUrl = (name: string) => encodeURIComponent(byName[name] ?? "");
  const problem = names.unsubscribe && unsubscribeProblem(fill(names.unsubscribe, inUrl));
  if (problem) fault(`merged into unsubscribe: ${problem}`, ["variables"]);
  if (names.isOvergrown(byName)) fault("merged with them, a text or the headers become too long", ["variables"]);
  return [email, name, given, byName];
}

/** The values of all names; what else is there is left out. */
function readNamed(variables: Readonly<Record<string, unknown>>, names: Names, fault: Fault): Values {
  const values = names.all.map((wanted) => {
    const value = Object.hasOwn(Object(variables), wanted) ? variables[wanted] : undefined;
    const problem = valueFault(value, names.inLine.has(wanted));
    if (problem !== undefined) fault(problem, ["variables", wanted]);
    return [wanted, problem === undefined ? String(value).toWellFormed() : ""] as const;
  });
  over(octets(values.flat().join("")), MAX_VARIABLES_BYTES, (reason) => fault(reason, ["variables"]));
  // Not an object that is filled: one has no place for `__proto__`.
  return Object.fromEntries(values);
}

/** Checks a template as any mail is, with all that its recipients do not change. */
async function readTemplate(template: object, defaults: Defaults, timeoutMs: number): Promise<Omit<Message, "to">> {
  const given = valuesOf(Object(template), WHAT);
  const named = ["to", "cc", "bcc"].filter((name) => given[name] !== undefined)
    .map((path) => finding(path, "it is no field of a template: each recipient gets a mail of their own"));
  const digest = given.digest === undefined
    ? []
    : [finding("digest", "it is no field of a template: send each recipient an item")];
  const variables = Object(given.template).variables === undefined
    ? []
    : [finding("template.variables", "it is no field of a template: each recipient has their own")];
  const override = given.overrideSuppression
    ? [finding("overrideSuppression", "it is not for many: send each mail that must go by itself")]
    : [];
  refuse(WHAT, [...named, ...digest, ...variables, ...override]);
  const { to: _, ...mail } = await parseMessage(
    { ...given, to: "reader@example.com" } as MessageInput,
    defaults,
    timeoutMs,
  );
  const texts = Object.entries({ ...textsOf(mail), headers: JSON.stringify(mail.headers ?? []) });
  const odd = texts.filter(([, text]) => !isTemplate(text ?? ""));
  refuse(
    WHAT,
    odd.map(([path]) => finding(path, "it has {{ without a name like {{name}}: give a literal {{ as a variable")),
  );
  const fixed = (mail.headers ?? []).filter(([name, text]) =>
    isMerged(name) || (/^sender$/i.test(name) && isMerged(text))
  );
  const same = "a header's name, and the address in Sender, are the same for all: no {{name}} can stand there";
  refuse(WHAT, fixed.map(([name]) => finding(`headers.${name}`, same)));
  return mail;
}

/** What can be iterated over. A string can be too, and is no list. */
function listed(recipients: unknown): Iterable<unknown> | AsyncIterable<unknown> {
  const list = Object(recipients);
  const isList = typeof recipients !== "string" && (Symbol.iterator in list || Symbol.asyncIterator in list);
  if (!isList) refuse(WHAT, [finding("recipients", "it is neither an array nor another (async) iterable")]);
  return list;
}

function finding(path: string, message: string): Finding {
  return { path, message };
}

/** Parts that were committed stay: whoever runs it again has to know. */
function withProgress(error: MailchuteError, created: number, batch: string | undefined): MailchuteError {
  const again = batch === undefined
    ? "give a `batch` name next time, so that it can be run again"
    : "run it again with the same batch, and they get no second one";
  const message = `${error.message} (${created} of its mails are queued already: ${again})`;
  return new MailchuteError(error.code, message, { issues: error.issues, cause: error.cause ?? error });
}
