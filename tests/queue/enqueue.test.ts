import { expect, test } from "bun:test";
import { randomUUID } from "node:crypto";
import type { Sql, TransactionSql } from "postgres";
import { createDatabase, type TestDatabase } from "../database.ts";
import { openConnection, waitForLocks } from "./setup.ts";

interface Enqueued {
  readonly id: string;
  readonly created: boolean;
}

const MAIL = {
  from: { email: "shop@example.com" },
  to: [{ email: "ann@example.com" }, { email: "bob@example.com" }],
  cc: [{ email: "carl@example.com" }],
  subject: "Hello",
  text: "The same text",
  attachments: [{ filename: "a.txt", contentType: "text/plain", base64: "YQ==" }],
  tags: ["news"],
};

async function enqueue(sql: Sql | TransactionSql, request: Readonly<Record<string, unknown>> = {}): Promise<Enqueued> {
  const [row] = await sql`
    select id, created from mailchute.enqueue_v1(${
    JSON.stringify({ ...MAIL, id: randomUUID(), ...request })
  }::text::jsonb)`;
  return { id: row?.id as string, created: row?.created as boolean };
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return await promise.then(() => "none", (error) => error.code as string);
}

async function countMessages(database: TestDatabase): Promise<number> {
  const [row] = await database.sql`select count(*)::int as count from mailchute.message`;
  return row?.count as number;
}

test("two open transactions that enqueue the same content to the same recipients neither wait nor abort", async () => {
  await using database = await createDatabase();
  await using left = openConnection(database);
  await using right = openConnection(database);
  await left.begin(async (first) => {
    await right.begin(async (second) => {
      await second`set local lock_timeout = '100ms'`;
      await first`set local lock_timeout = '100ms'`;
      for (const tx of [first, second, first, second]) {
        expect((await enqueue(tx)).created).toBe(true);
        expect((await enqueue(tx, { idempotencyKey: randomUUID() })).created).toBe(true);
      }
    });
    // The other has committed, this one goes on.
    expect((await enqueue(first)).created).toBe(true);
  });
  expect(await countMessages(database)).toBe(9);
});

test("an enqueue waits for nobody while a relay claims, a person cancels and an administrator suppresses", async () => {
  await using database = await createDatabase();
  const { id } = await enqueue(database.sql);
  await using busy = openConnection(database);
  await using app = openConnection(database);
  await busy.begin(async (tx) => {
    await tx`select mailchute.cancel_v1(${id})`;
    await tx`update mailchute.queue set leased_by = 1`;
    await tx`insert into mailchute.suppression (address, reason) values ('ann@example.com', 'bounce')`;
    await tx`update mailchute.relay set asleep = true`;
    await app`set lock_timeout = '100ms'`;
    expect((await enqueue(app)).created).toBe(true);
  });
});

test("the same idempotency key in two open transactions waits for the first, and gets its id after the commit", async () => {
  await using database = await createDatabase();
  await using left = openConnection(database);
  await using right = openConnection(database);
  const waiting = await left.begin(async (first) => {
    const original = await enqueue(first, { idempotencyKey: "order/1" });
    const second = enqueue(right, { idempotencyKey: "order/1" });
    await waitForLocks(database, 1);
    return { original, second };
  });
  expect(await waiting.second).toEqual({ id: waiting.original.id, created: false });
  expect(await countMessages(database)).toBe(1);
});

test("the same idempotency key in two open transactions goes on as the first use after the other's rollback", async () => {
  await using database = await createDatabase();
  await using left = openConnection(database);
  await using right = openConnection(database);
  const mine = randomUUID();
  let second: Promise<Enqueued> | undefined;
  const rolledBack = left.begin(async (first) => {
    await enqueue(first, { idempotencyKey: "order/1" });
    second = enqueue(right, { id: mine, idempotencyKey: "order/1" });
    await waitForLocks(database, 1);
    throw new Error("rolled back");
  });
  expect(await rolledBack.catch((error: Error) => error.message)).toBe("rolled back");
  expect(await second).toEqual({ id: mine, created: true });
  expect(await countMessages(database)).toBe(1);
});

test("the same id in two open transactions waits for the first, and adds nothing after its commit", async () => {
  await using database = await createDatabase();
  await using left = openConnection(database);
  await using right = openConnection(database);
  const id = randomUUID();
  const { second } = await left.begin(async (first) => {
    await enqueue(first, { id });
    const retried = enqueue(right, { id });
    await waitForLocks(database, 1);
    return { second: retried };
  });
  expect(await second).toEqual({ id, created: false });
  expect(await countMessages(database)).toBe(1);
});

test("another idempotency key waits for nobody", async () => {
  await using database = await createDatabase();
  await using left = openConnection(database);
  await using right = openConnection(database);
  await left.begin(async (first) => {
    await enqueue(first, { idempotencyKey: "order/1" });
    await right`set lock_timeout = '100ms'`;
    expect((await enqueue(right, { idempotencyKey: "order/2" })).created).toBe(true);
    // The guard of this test: the same key does wait.
    expect(await codeOf(enqueue(right, { idempotencyKey: "order/1" }))).toBe("55P03");
  });
});

test("a mail of a transaction that rolls back leaves nothing: no message, content, attachment, recipient or queue row", async () => {
  await using database = await createDatabase();
  const rolledBack = database.sql.begin(async (tx) => {
    await enqueue(tx);
    throw new Error("rolled back");
  });
  expect(await rolledBack.catch((error: Error) => error.message)).toBe("rolled back");
  const [row] = await database.sql`
    select (select count(*) from mailchute.message) + (select count(*) from mailchute.content) + (select count(*) from mailchute.attachment)
      + (select count(*) from mailchute.recipient) + (select count(*) from mailchute.queue) as rows`;
  expect(Number(row?.rows)).toBe(0);
});

test("under repeatable read a key that another transaction has just used is refused to be tried again, never answered with an id that is not there", async () => {
  await using database = await createDatabase();
  await using left = openConnection(database);
  const answer = codeOf(left.begin("isolation level repeatable read", async (tx) => {
    await tx`select from mailchute.schema_info`.catch(() => undefined);
    await tx`select count(*) from mailchute.message`;
    await enqueue(database.sql, { idempotencyKey: "order/1" });
    return await enqueue(tx, { idempotencyKey: "order/1" });
  }));
  expect(await answer).toBe("40001");
});

test("no row holds a state, a kind, a lane or a policy that there is not", async () => {
  await using database = await createDatabase();
  await enqueue(database.sql);
  const changes = [
    "update mailchute.recipient set state = 'delivered'",
    "update mailchute.recipient set kind = 'from'",
    "update mailchute.message set lane = 3",
    "update mailchute.message set on_uncertain = 'maybe'",
  ];
  for (const change of changes) {
    expect({ change, code: await codeOf(database.sql.unsafe(change)) }).toEqual({ change, code: "23514" });
  }
});

test("no mail is lost where numbers are given out a second time, as behind a logical replica, which has no sequences", async () => {
  await using database = await createDatabase();
  for (let count = 0; count < 3; count++) await enqueue(database.sql);
  await database.sql`alter sequence mailchute.message_seq_seq restart with 1`;
  expect((await enqueue(database.sql)).created).toBe(true);
  expect(await countMessages(database)).toBe(4);
});

test("a key whose mail retention deletes while it is looked for is a new mail's", async () => {
  await using database = await createDatabase();
  const first = await enqueue(database.sql, { idempotencyKey: "k" });
  // Behind the insert that finds it there, before anything else is asked.
  await database.sql.unsafe(`
    create function retention() returns trigger language plpgsql as 'begin delete from mailchute.message where seq = 1; return null; end';
    create trigger retention after insert on mailchute.message for each statement execute function retention()`);
  const again = await enqueue(database.sql, { idempotencyKey: "k" });
  expect([again.created, again.id === first.id, await countMessages(database)]).toEqual([true, false, 1]);
});

test("a bulk send begins anew when retention deletes its record just then", async () => {
  await using database = await createDatabase();
  await using retention = openConnection(database);
  await using app = openConnection(database);
  const mail = { from: { email: "a@b.example" }, subject: "s", text: "t" };
  const request = () =>
    JSON.stringify({ id: randomUUID(), batch: "news", mail, recipients: [["c@d.example", null, null, null]] });
  await database.sql`select mailchute.enqueue_many_v1(${request()}::text::jsonb)`;
  await database.sql`delete from mailchute.message`;
  const { sent } = await retention.begin(async (tx) => {
    await tx`select from mailchute.batch for update`;
    const sent = app`select batch, created from mailchute.enqueue_many_v1(${request()}::text::jsonb)`.execute();
    await waitForLocks(database, 1);
    await tx`delete from mailchute.batch`;
    return { sent };
  });
  expect(await sent).toMatchObject([{ batch: "news", created: 1 }]);
});

test("a Sender header whose name is longer than the relay takes is refused where the mail is written, with the field", async () => {
  await using database = await createDatabase();
  const detail = (value: string) =>
    enqueue(database.sql, { headers: [["Sender", value]] }).then(() => "taken", (error) => error.detail as string);
  for (const name of ["é".repeat(998), `"${"a".repeat(998)}"`]) {
    expect(await detail(`${name} <boss@example.com>`)).toBe("taken");
  }
  for (const name of ["é".repeat(999), `"${"a".repeat(999)}"`, "😀".repeat(500)]) {
    expect(JSON.parse(await detail(`${name} <boss@example.com>`))).toEqual([
      { path: "headers.Sender", message: "has a name of more than 998 characters" },
    ]);
  }
});
