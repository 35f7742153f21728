import type { Address } from "../address.ts";
import { createMailer } from "../client.ts";
import type { Connection } from "../connection.ts";
import { MailchuteError } from "../error.ts";
import type { Mailer } from "../mailer.ts";
import type { MessageFields, MessageInput, TextBody } from "../message_input.ts";
import type { Statement } from "../statement.ts";

/**
 * How to reach a database through a driver. Its role needs no more than any app's: `mailchute grants ROLE --from …`.
 */
export interface ConnectionContractOptions<C extends Connection = Connection> {
  /** An address that the role may send as. */
  readonly from: Address;
  /** Opens what an app hands to `createMailer`; once for each case. */
  readonly open: () => C | Promise<C>;
  /** Whether one connection takes calls before it has answered earlier ones, as a pool does. @default {true} */
  readonly sideBySide?: boolean | undefined;
  /** Closes it. @default nothing is closed */
  readonly close?: ((db: C) => unknown) | undefined;
  /**
   * Runs work in a transaction: commits when it resolves; rolls back when it rejects, and rejects with the same error.
   * Left out by drivers without open transactions, and its cases with it.
   */
  readonly transaction?: ((db: C, work: (tx: Connection) => Promise<void>) => Promise<unknown>) | undefined;
  /** Runs statements in one transaction. Left out by drivers that have no such thing, and its cases with it. */
  readonly batch?: ((db: C, statements: readonly Statement[]) => Promise<unknown>) | undefined;
}

/** One case, without a test framework. */
export interface ConnectionCase {
  /** What it shows. */
  readonly name: string;
  /** Rejects when it is not so. */
  run(): Promise<void>;
}

interface Bench<C extends Connection> {
  readonly db: C;
  readonly mail: Mailer;
  /** A mail for later, that is taken back in the end. */
  readonly message: MessageFields & TextBody;
  /** A key that nobody has used. */
  readonly key: string;
  /** Notes a mail that is to be taken back. */
  readonly keep: (id: string) => string;
}

type Work<C extends Connection> = (bench: Bench<C>) => Promise<void>;
type Cases<C extends Connection> = Readonly<Record<string, Work<C>>>;

const HOUR_MS = 3_600_000;
const ATTACHMENT_BYTES = 5_000_000;
const NOBODY = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";
const TEXT = "Grüße 👩‍👩‍👧 «\"'\\» \\u0041 \u2028 العربية $1 {} %s ?";

/**
 * Returns the cases that a connection must pass for `createMailer`, for drivers that we do not list. They need a
 * migrated database and a role that may send; no superuser, and nobody else's quiet: what they queue is due in an hour,
 * and canceled before that.
 *
 * @example Any test runner will do
 * ```ts
 * import postgres from "postgres";
 *
 * function register(test: (name: string, run: () => Promise<void>) => void): void {
 *   const cases = connectionContract({
 *     from: "shop@example.com",
 *     open: () => postgres("postgres://app:secret@localhost/shop"),
 *     close: (sql) => sql.end(),
 *     transaction: (sql, work) => sql.begin(work),
 *   });
 *   for (const { name, run } of cases) test(`my driver: ${name}`, run);
 * }
 * ```
 */
export function connectionContract<C extends Connection>(
  options: ConnectionContractOptions<C>,
): readonly ConnectionCase[] {
  const { transaction, batch, sideBySide = true } = options;
  const cases: Cases<C> = {
    ...always<C>(options.from),
    ...(sideBySide ? inPools<C>() : {}),
    ...(transaction === undefined ? {} : inTransactions(transaction, options.from)),
    ...(batch === undefined ? {} : inBatches(batch)),
  };
  return Object.entries(cases).map(([name, work]) => ({ name, run: () => withBench(options, work) }));
}

async function withBench<C extends Connection>(options: ConnectionContractOptions<C>, work: Work<C>): Promise<void> {
  const db = await options.open();
  const ids: string[] = [];
  const mail = createMailer(db, { from: options.from });
  const message = {
    to: "nobody@example.com",
    subject: "A case of connectionContract",
    text: "Canceled before it is due",
    scheduledAt: new Date(Date.now() + HOUR_MS),
  };
  const keep = (id: string) => {
    ids.push(id);
    return id;
  };
  try {
    await work({ db, mail, message, key: `contract/${crypto.randomUUID()}`, keep });
    for (const id of ids) await mail.cancel(id);
  } finally {
    await options.close?.(db);
  }
}

function always<C extends Connection>(from: Address): Cases<C> {
  return {
    "queues a mail and tells its status": async ({ mail, message, keep }) => {
      const { id, created } = await mail.send({ ...message, tags: ["contract"] });
      equal(created, true, "created");
      const status = await mail.get(keep(id));
      equal(status?.state, "scheduled", "state");
      equal(status?.recipients[0]?.address, "nobody@example.com", "address");
      equal(status?.tags.join(), "contract", "tags");
      equal(status?.scheduledAt?.getTime(), (message.scheduledAt as Date).getTime(), "scheduledAt");
    },

    "answers the same key and mail with the first id, and refuses the key for another": async (
      { mail, message, key, keep },
    ) => {
      const first = await mail.send(message, { idempotencyKey: key });
      const second = await mail.send(message, { idempotencyKey: key });
      equal(keep(second.id), first.id, "id");
      equal(`${first.created} ${second.created}`, "true false", "created");
      await rejects(mail.send({ ...message, subject: "Other" }, { idempotencyKey: key }), "idempotency_conflict");
    },

    "carries Unicode, quotes, backslashes and what looks like a parameter": async ({ mail, message, keep }) => {
      const { id } = await mail.send({ ...message, subject: TEXT, text: TEXT, metadata: { [TEXT]: TEXT } });
      equal((await mail.get(keep(id)))?.metadata[TEXT], TEXT, "metadata");
    },

    "carries a large mail, and the same bytes each time": async ({ mail, message, key, keep }) => {
      const content = new Uint8Array(ATTACHMENT_BYTES).map((_, index) => (index * 7919) >> 3);
      const large: MessageInput = { ...message, attachments: [{ filename: "large.bin", content }] };
      const first = await mail.send(large, { idempotencyKey: key });
      equal((await mail.send(large, { idempotencyKey: key })).id, keep(first.id), "id");
    },

    "cancels and reschedules": async ({ mail, message }) => {
      const { id } = await mail.send(message);
      const later = new Date(Date.now() + 2 * HOUR_MS);
      equal(await mail.reschedule(id, later), "rescheduled", "answer");
      equal((await mail.get(id))?.nextAttemptAt?.getTime(), later.getTime(), "nextAttemptAt");
      equal(await mail.cancel(id), "canceled", "answer");
      equal((await mail.get(id))?.state, "canceled", "state");
      equal(await mail.reschedule(id, later), "too_late", "answer");
    },

    "knows no mail that is not there": async ({ mail }) => {
      equal(await mail.get(NOBODY), undefined, "status");
      equal(await mail.cancel(NOBODY), "unknown", "answer");
      equal(await mail.reschedule(NOBODY, new Date()), "unknown", "answer");
    },

    "hands on the SQLSTATE and the detail of what the database refuses": async ({ mail, message }) => {
      const refused = mail.send({ ...message, scheduledAt: "2099-02-30T00:00:00Z" });
      const error = await rejects(refused, "validation_error", "scheduledAt");
      equal(error.cause instanceof Error, true, "cause instanceof Error");
    },

    "asks for a transaction when the mailer requires one": async ({ db, message }) => {
      const strict = createMailer(db, { from, transaction: "required" });
      await rejects(strict.send(message), "transaction_required");
      equal(await strict.get(NOBODY), undefined, "status");
    },
  };
}

function inPools<C extends Connection>(): Cases<C> {
  return {
    "runs many calls side by side": async ({ mail, message, keep }) => {
      const sent = await Promise.all(Array.from({ length: 20 }, () => mail.send(message)));
      equal(new Set(sent.map(({ id }) => keep(id))).size, 20, "number of ids");
      const statuses = await Promise.all(sent.map(({ id }) => mail.get(id)));
      equal(statuses.map((status) => status?.id).join(), sent.map(({ id }) => id).join(), "ids");
    },
  };
}

function inTransactions<C extends Connection>(
  transaction: NonNullable<ConnectionContractOptions<C>["transaction"]>,
  from: Address,
): Cases<C> {
  return {
    "keeps the mail of a transaction that commits": async ({ db, mail, message, keep }) => {
      const ids: string[] = [];
      await transaction(db, async (tx) => {
        ids.push((await mail.send(message, { tx })).id);
        equal((await mail.get(ids[0] as string, { tx }))?.state, "scheduled", "state inside");
      });
      equal((await mail.get(keep(ids[0] as string)))?.state, "scheduled", "state after the commit");
    },

    "forgets the mail of a transaction that is rolled back": async ({ db, mail, message }) => {
      const ids: string[] = [];
      const failing = transaction(db, async (tx) => {
        ids.push((await mail.send(message, { tx })).id);
        throw new Error("out of stock");
      });
      equal((await rejection(failing) as Error).message, "out of stock", "error");
      equal(await mail.get(ids[0] as string), undefined, "status");
    },

    "goes on in a transaction in which the client has refused a mail": async ({ db, mail, message, keep }) => {
      const ids: string[] = [];
      await transaction(db, async (tx) => {
        await rejects(mail.send({ ...message, to: "nobody" }, { tx }), "validation_error", "to");
        equal(await mail.get("no uuid", { tx }), undefined, "status");
        ids.push((await mail.send(message, { tx })).id);
      });
      equal((await mail.get(keep(ids[0] as string)))?.state, "scheduled", "state");
    },

    "takes a transaction in the place of a connection": async ({ db, message, keep, mail }) => {
      const ids: string[] = [];
      await transaction(db, async (tx) => {
        ids.push((await createMailer(tx, { from }).send(message)).id);
      });
      equal((await mail.get(keep(ids[0] as string)))?.state, "scheduled", "state");
    },
  };
}

function inBatches<C extends Connection>(batch: NonNullable<ConnectionContractOptions<C>["batch"]>): Cases<C> {
  return {
    "runs the statement of a mail among others, and adds nothing the second time": async (
      { db, mail, message, keep },
    ) => {
      const [one, other] = [await mail.statement(message), await mail.statement(message)];
      await batch(db, [one, other]);
      await batch(db, [one, other]);
      equal((await mail.get(keep(one.id)))?.state, "scheduled", "state of the first");
      equal((await mail.get(keep(other.id)))?.state, "scheduled", "state of the second");
    },

    "forgets the mail of statements of which one fails": async ({ db, mail, message }) => {
      const good = await mail.statement(message);
      const bad = await mail.statement({ ...message, scheduledAt: "2099-02-30T00:00:00Z" });
      await rejection(batch(db, [good, bad]));
      equal(await mail.get(good.id), undefined, "status");
    },
  };
}

/** Throws unless both are the same. */
function equal(actual: unknown, expected: unknown, what: string): void {
  if (!Object.is(actual, expected)) throw new Error(`Expected ${String(expected)} as ${what}, got ${String(actual)}`);
}

/** Returns what a promise rejects with. */
async function rejection(promise: Promise<unknown>): Promise<unknown> {
  const nothing = Symbol();
  const error = await promise.then(() => nothing, (error: unknown) => error);
  if (error === nothing) throw new Error("Expected a rejection");
  return error;
}

/** Returns the MailchuteError, after a look at its code and the path of its first issue. */
async function rejects(promise: Promise<unknown>, code: string, path?: string): Promise<MailchuteError> {
  const error = await rejection(promise);
  if (!(error instanceof MailchuteError)) throw error;
  equal(error.code, code, "code");
  if (path !== undefined) equal(error.issues[0]?.path, path, "path");
  return error;
}
