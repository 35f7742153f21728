import { type Connection, createMailer, MailchuteError, type Mailer, type MessageInput } from "../../mod.ts";
import { refusalOf } from "../../src/refusal.ts";
import { connectionContract } from "../../src/testing/testing.ts";
import type { Kind, OpenKind } from "./kinds/kind.ts";

// Cases without a test framework, so that they can run wherever the client does: Bun, Node, Deno, workerd,
// edge-runtime.

/** What a case is given: a connection as an app's role, and a look at the database that no app has. */
export interface Bench {
  readonly kind: Kind;
  readonly open: OpenKind;
  /** May send as `*@shop.example`. */
  readonly mail: Mailer;
  /** Runs SQL as superuser. */
  readonly admin: (text: string) => Promise<readonly Readonly<Record<string, unknown>>[]>;
  /** Whether large things are as large as they may be: `thoroughly` of the process that runs the tests. */
  readonly thoroughly: boolean;
}

export type Case = (bench: Bench) => Promise<void>;

const MESSAGE = { to: "ann@example.com", subject: "Receipt", text: "Thanks!" } satisfies MessageInput;
const INSERT_ORDER = "insert into orders (number) values ($1)";
const MEGABYTE = 1_000_000;

/** The case that runs all that `mailchute/testing` has for other drivers. */
export const CONTRACT = "keeps the contract that drivers which are not listed must keep";

/** By what each shows. */
export const CASES: Readonly<Record<string, Case>> = {
  "queues exactly one mail": async ({ mail, admin }) => {
    const { id, created } = await mail.send(MESSAGE);
    equal(created, true);
    equal(await rows(admin, "message", `where id = '${id}'`), 1);
    equal(await rows(admin, "message"), 1);
    equal(await rows(admin, "queue"), 1);
  },

  [CONTRACT]: async ({ kind, open, admin }) => {
    const cases = connectionContract({
      from: "Shop <shop@shop.example>",
      open: () => open.connection,
      // A Client answers one after the other.
      sideBySide: !kind.name.endsWith("Client"),
      ...(kind.interactive ? { transaction: (_, work) => open.transaction((tx) => work(tx)) } : {
        batch: async (_, statements) => await open.batch?.(statements.map(({ text, values }) => [text, values])),
      }),
    });
    for (const { name, run } of cases) {
      await run().catch((cause) => {
        throw new Error(`${name}: ${cause}`, { cause });
      });
    }
    // As it found it: what it queued is canceled.
    equal(await rows(admin, "queue"), 0);
    equal(await rows(admin, "message") > 0, true);
  },

  "queues the mail with the app's own change when the transaction commits": async ({ kind, open, mail, admin }) => {
    if (kind.interactive) {
      await open.transaction(async (tx, execute) => {
        await execute(INSERT_ORDER, ["1"]);
        await mail.send(MESSAGE, { tx });
      });
    } else {
      const { text, values } = await mail.statement(MESSAGE);
      await open.batch?.([[INSERT_ORDER, ["1"]], [text, values]]);
    }
    equal(await rows(admin, "message"), 1);
    equal(await rows(admin, "queue"), 1);
    equal((await admin("select from public.orders")).length, 1);
  },

  "queues nothing when the transaction is rolled back": async ({ kind, open, mail, admin }) => {
    if (kind.interactive) {
      const failing = open.transaction(async (tx) => {
        await mail.send(MESSAGE, { tx });
        throw new Error("out of stock");
      });
      equal((await rejection(failing) as Error).message, "out of stock");
    } else {
      const { text, values } = await mail.statement(MESSAGE);
      await rejection(open.batch?.([[text, values], [INSERT_ORDER, ["no number"]]]));
    }
    for (const table of ["message", "content", "recipient", "queue"]) equal(await rows(admin, table), 0);
  },

  "queues nothing when the mail is refused inside a transaction that goes on": async ({ kind, open, mail, admin }) => {
    if (!kind.interactive) return;
    await open.transaction(async (tx, execute) => {
      // Found by the client: the transaction has not been touched.
      await rejects(mail.send({ ...MESSAGE, to: "nobody" }, { tx }), "validation_error");
      equal(await mail.get("no uuid", { tx }), undefined);
      equal(await mail.cancel("no uuid", { tx }), "unknown");
      await execute(INSERT_ORDER, ["1"]);
    });
    equal((await admin("select from public.orders")).length, 1);
    equal(await rows(admin, "message"), 0);
  },

  "carries Unicode, quotes and backslashes unchanged": async ({ mail, admin }) => {
    const text = "Grüße 👩‍👩‍👧 «\"'\\» \\u0041 \u2028 العربية\r\n\tend $1 {}";
    const { id } = await mail.send({ ...MESSAGE, subject: 'Zoë 🎉 \\ "', text, metadata: { "ключ": "値\\" } });
    const [row] = await admin(
      `select c.subject, c.text, m.metadata ->> 'ключ' as value from mailchute.content c join mailchute.message m on m.content_id = c.id`,
    );
    equal(row?.subject, 'Zoë 🎉 \\ "');
    equal(row?.text, text);
    equal(row?.value, "値\\");
    equal((await mail.get(id))?.metadata["ключ"], "値\\");
  },

  "stores JSON as objects and arrays, not as strings": async ({ mail, admin }) => {
    await mail.send({
      ...MESSAGE,
      headers: { "X-Order": "1" },
      metadata: { order: "1" },
      replyTo: "help@shop.example",
    });
    const [row] = await admin(
      `select jsonb_typeof(m.metadata) as metadata, jsonb_typeof(m.reply_to) as reply, jsonb_typeof(c.headers) as headers
      from mailchute.message m join mailchute.content c on c.id = m.content_id`,
    );
    equal(`${row?.metadata} ${row?.reply} ${row?.headers}`, "object array array");
  },

  "carries a large attachment byte for byte": async ({ kind, mail, admin, thoroughly }) => {
    // 10 MB everywhere but over HTTP, where Neon takes no more than 10 MiB of JSON.
    const content = new Uint8Array((!thoroughly ? 1 : kind.interactive ? 10 : 7) * MEGABYTE).map((_, index) =>
      (index * 7919) >> 3
    );
    await mail.send({ ...MESSAGE, attachments: [{ filename: "big.bin", content }] });
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
    const [row] = await admin(
      "select octet_length(bytes) as bytes, encode(sha256(bytes), 'hex') as hash from mailchute.attachment",
    );
    equal(row?.bytes, content.length);
    equal(row?.hash, [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join(""));
  },

  "does not know another app's mail": async ({ mail, admin }) => {
    const id = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";
    const request = { id, from: { email: "a@b.example" }, to: [{ email: "c@d.example" }], subject: "s", text: "t" };
    await admin(`select mailchute.enqueue_v1('${JSON.stringify(request)}')`);
    equal(await mail.get(id), undefined);
    equal(await mail.cancel(id), "unknown");
    equal(await mail.reschedule(id, new Date()), "unknown");
  },

  "refuses another From, Sender and return path": async ({ mail, admin }) => {
    await rejects(mail.send({ ...MESSAGE, from: "boss@bank.example" }), "sender_not_allowed", "from");
    await rejects(
      mail.send({ ...MESSAGE, headers: { Sender: "boss@bank.example" } }),
      "sender_not_allowed",
      "headers.Sender",
    );
    await rejects(mail.send({ ...MESSAGE, returnPath: "boss@bank.example" }), "sender_not_allowed", "returnPath");
    // A pattern's dot is a dot, and its domain is the whole domain.
    await rejects(mail.send({ ...MESSAGE, from: "a@shopxexample" }), "sender_not_allowed", "from");
    await rejects(mail.send({ ...MESSAGE, from: "a@shop.example.evil.example" }), "sender_not_allowed", "from");
    equal(await rows(admin, "message"), 0);
    const allowed = { returnPath: "Bounces+7@SHOP.example", headers: { Sender: "Shop <a@shop.example>" } };
    equal((await mail.send({ ...MESSAGE, ...allowed })).created, true);
  },

  "gives the role no way to the tables": async ({ kind, open }) => {
    const attempts = [
      "select * from mailchute.message",
      "select * from mailchute.content",
      "insert into mailchute.queue (seq, lane, due) values (1, 1, now())",
      "update mailchute.queue set leased_by = 1, lease = lease + 1 where leased_by is null",
      "delete from mailchute.suppression",
      "select mailchute.cancel_message(1, 'x')",
      "select mailchute.describe(1)",
    ];
    for (const text of attempts) {
      const refused = kind.interactive
        ? open.transaction((_, execute) => execute(text, []))
        : open.batch?.([[text, []]]);
      equal(refusalOf(await rejection(refused), text).code, "permission_denied");
    }
  },

  "runs its statement object with the driver's own function": async ({ kind, open, mail, admin }) => {
    const statement = await mail.statement(MESSAGE, { idempotencyKey: "receipt/1" });
    const { text, values, id } = statement;
    const run = (): Promise<unknown> =>
      kind.interactive
        ? open.transaction((_, execute) => execute(text, values))
        : Promise.resolve(open.batch?.([[text, values]]));
    await run();
    // Its id makes even a second run add nothing.
    await run();
    equal(await rows(admin, "message", `where id = '${id}'`), 1);
    equal(await rows(admin, "queue"), 1);
  },

  "queues a large batch in one transaction": async ({ kind, open, mail, admin, thoroughly }) => {
    const messages = Array.from(
      { length: thoroughly ? 1_000 : 100 },
      (_, index) => ({ ...MESSAGE, to: `user${index}@example.com` }),
    );
    if (kind.interactive) {
      await open.transaction(async (tx) => {
        for (const message of messages) await mail.send(message, { tx });
        equal(await rows(admin, "message"), 0);
      });
    } else {
      const statements = await Promise.all(messages.map((message) => mail.statement(message)));
      await open.batch?.(statements.map(({ text, values }) => [text, values]));
    }
    equal(await rows(admin, "queue"), messages.length);
    // Not one transaction each.
    equal((await admin("select from mailchute.message group by xmin")).length, 1);
  },

  "sends one template to many in one transaction, counts them and takes them back": async (
    { kind, open, mail, admin },
  ) => {
    const template = { subject: "News", text: "Dear {{name}} “\\”" } as const;
    const readers = ["Ann", "Zoë"].map((name, index) => ({ to: `reader${index}@example.com`, variables: { name } }));
    const send = (tx?: Connection) => mail.sendMany(template, readers, { batch: "news/1", tx });
    const sent = kind.interactive ? await open.transaction(send) : await send();
    equal(sent.created, 2);
    equal((await send()).existing, 2);
    const [row] = await admin("select variables ->> 'name' as name from mailchute.message order by seq desc");
    equal(row?.name, "Zoë");
    equal((await mail.get({ batch: "news/1" }))?.total, 2);
    equal(await mail.cancel({ batch: "news/1" }), 2);
    await mail.suppressions.add("ann@example.com", "manual");
    equal((await mail.suppressions.get("ann@example.com"))?.reason, "manual");
  },

  "refuses as tx what is no transaction": async ({ kind, open, mail, admin }) => {
    // A single connection may be in a transaction.
    if (kind.name.endsWith("Client")) return;
    const error = await rejects(mail.send(MESSAGE, { tx: open.connection }), "transaction_required");
    for (const fix of ["begin()", "transaction()", "mail.statement"]) equal(error.message.includes(fix), true);
    equal(await rows(admin, "message"), 0);
  },

  "asks for a transaction when the mailer requires one": async ({ kind, open, admin }) => {
    const strict = createMailer(open.connection, { from: "a@shop.example", transaction: "required" });
    await rejects(strict.send(MESSAGE), "transaction_required");
    await rejects(strict.send(MESSAGE, { tx: open.connection }), "transaction_required");
    await rejects(strict.cancel("017f22e2-79b0-7cc3-98c4-dc0c0c07398f"), "transaction_required");
    equal(await strict.get("017f22e2-79b0-7cc3-98c4-dc0c0c07398f"), undefined);
    // A Client has no transaction of its own: it is the same object inside and outside.
    if (!kind.interactive || kind.name.endsWith("Client")) return;
    await open.transaction((tx) => strict.send(MESSAGE, { tx }));
    equal(await rows(admin, "message"), 1);
  },
};

/** Throws unless both are the same. */
export function equal(actual: unknown, expected: unknown): void {
  if (!Object.is(actual, expected)) throw new Error(`Expected ${String(expected)}, got ${String(actual)}`);
}

/** Returns what a promise rejects with. */
export async function rejection(promise: Promise<unknown> | undefined): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("Expected a rejection");
}

/** Returns the MailchuteError, after a look at its code and the path of its first issue. */
export async function rejects(promise: Promise<unknown>, code: string, path?: string): Promise<MailchuteError> {
  const error = await rejection(promise);
  if (!(error instanceof MailchuteError)) throw error;
  equal(error.code, code);
  if (path !== undefined) equal(error.issues[0]?.path, path);
  return error;
}

async function rows(admin: Bench["admin"], table: string, where = ""): Promise<number> {
  return (await admin(`select from mailchute.${table} ${where}`)).length;
}
