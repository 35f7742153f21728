import { expect, test } from "bun:test";
import { randomUUID } from "node:crypto";
import { createMailer } from "../../mod.ts";
import { purge, purgeBatches, type RetentionRules } from "../../relay/database/retention.ts";
import { findBatches, sendTest } from "../../relay/queue/batch_table.ts";
import { createDatabase, type TestDatabase } from "../database.ts";
import { describeMessage, enqueue, openTestRelay } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";
import { openQueue, settlement } from "./setup.ts";

const DAY_MS = 86_400_000;
const RULES: RetentionRules = { messagesMs: 30 * DAY_MS, contentMs: 7 * DAY_MS };

/** Enqueues a mail with an attachment. */
async function enqueueWithAttachment(database: TestDatabase): Promise<string> {
  return await enqueue(database, { attachments: [{ filename: "a.txt", contentType: "text/plain", base64: "YQ==" }] });
}

/** Enqueues a bulk send with an attachment. @returns the ids of its messages */
async function enqueueBatch(database: TestDatabase, count: number): Promise<readonly string[]> {
  const mail = createMailer(database.sql, { from: "a@b.example" });
  const attachments = [{ filename: "a.txt", content: new Uint8Array(3) }];
  const readers = Array.from({ length: count }, (_, number) => ({ to: `reader${number}@example.com` }));
  await mail.sendMany({ subject: "s", text: "t", attachments }, readers, { batch: "news" });
  return (await database.sql`select id from mailchute.message order by seq`).map(({ id }) => id as string);
}

/** Sends a message off and ends it. */
async function end(database: TestDatabase, id: string): Promise<void> {
  const { queue } = await openQueue(database);
  const { messages } = await queue.claim(100);
  const message = messages.find((each) => each.id === id);
  if (message === undefined) throw new Error("It was not claimed");
  await queue.settle([settlement(message, "sent")]);
  await queue.release(messages.filter((each) => each !== message).map((each) => ({ ...each, delayMs: 0 })));
}

/** Makes a message as old as it would be if it had been enqueued and changed so long ago. */
async function age(database: TestDatabase, id: string, ageMs: number): Promise<void> {
  const at = new Date(Date.now() - ageMs);
  await database.sql`update mailchute.message set created_at = ${at} where id = ${id}`;
  await database
    .sql`update mailchute.recipient set changed_at = ${at} where seq = (select seq from mailchute.message where id = ${id})`;
}

/** How many rows of each table are left. */
async function rows(database: TestDatabase): Promise<Readonly<Record<string, number>>> {
  const [row] = await database.sql`
    select (select count(*)::int from mailchute.message) as message, (select count(*)::int from mailchute.recipient) as recipient,
      (select count(*)::int from mailchute.attempt) as attempt, (select count(*)::int from mailchute.content) as content,
      (select count(*)::int from mailchute.attachment) as attachment`;
  return { ...row } as Readonly<Record<string, number>>;
}

test("purge deletes a final message with its recipients and attempts past its time, and not a second before", async () => {
  await using database = await createDatabase();
  const id = await enqueueWithAttachment(database);
  await end(database, id);
  await age(database, id, 30 * DAY_MS - 60_000);
  expect(await purge(database.sql, RULES)).toEqual({ messages: 0, contents: 1 });
  expect(await rows(database)).toEqual({ message: 1, recipient: 1, attempt: 1, content: 0, attachment: 0 });
  await age(database, id, 30 * DAY_MS + 1_000);
  expect(await purge(database.sql, RULES)).toEqual({ messages: 1, contents: 0 });
  expect(await rows(database)).toEqual({ message: 0, recipient: 0, attempt: 0, content: 0, attachment: 0 });
});

test("purge deletes content and attachments past their own time, counted from the end, and keeps the message", async () => {
  await using database = await createDatabase();
  const id = await enqueueWithAttachment(database);
  await end(database, id);
  // Enqueued long ago, and ended just now.
  await age(database, id, 20 * DAY_MS);
  await database.sql`update mailchute.recipient set changed_at = now() - interval '7 days' + interval '1 minute'`;
  expect(await purge(database.sql, RULES)).toEqual({ messages: 0, contents: 0 });
  await database.sql`update mailchute.recipient set changed_at = now() - interval '7 days' - interval '1 second'`;
  expect(await purge(database.sql, RULES)).toEqual({ messages: 0, contents: 1 });
  expect(await rows(database)).toEqual({ message: 1, recipient: 1, attempt: 1, content: 0, attachment: 0 });
});

test("purge never touches an open message, however old: waiting, being sent or held", async () => {
  await using database = await createDatabase();
  const ids = [];
  for (let number = 0; number < 3; number++) ids.push(await enqueueWithAttachment(database));
  const { queue } = await openQueue(database);
  const { messages: [sending, held] } = await queue.claim(2);
  if (sending === undefined || held === undefined) throw new Error("Nothing was claimed");
  await queue.settle([settlement(held, "uncertain", "held")]);
  for (const id of ids) await age(database, id, 400 * DAY_MS);
  const before = await rows(database);
  expect(await purge(database.sql, RULES)).toEqual({ messages: 0, contents: 0 });
  expect(await rows(database)).toEqual(before);
});

test("purge keeps shared content while a younger or an open message needs it", async () => {
  await using database = await createDatabase();
  const [old = "", young = "", open = ""] = await enqueueBatch(database, 3);
  for (const id of [old, young]) await end(database, id);
  await age(database, old, 31 * DAY_MS);
  await age(database, young, 1 * DAY_MS);
  await age(database, open, 400 * DAY_MS);

  expect(await purge(database.sql, RULES)).toEqual({ messages: 1, contents: 0 });
  expect(await rows(database)).toMatchObject({ message: 2, content: 1, attachment: 1 });
  await age(database, young, 8 * DAY_MS);
  expect(await purge(database.sql, RULES)).toEqual({ messages: 0, contents: 0 });
  await end(database, open);
  expect(await purge(database.sql, RULES)).toEqual({ messages: 0, contents: 0 });
  await age(database, open, 8 * DAY_MS);
  expect(await purge(database.sql, RULES)).toEqual({ messages: 0, contents: 1 });
  expect(await rows(database)).toMatchObject({ message: 2, content: 0, attachment: 0 });
});

test("the content of a bulk send stays while a test of it needs it, and no test takes it along", async () => {
  await using database = await createDatabase();
  const [sent = ""] = await enqueueBatch(database, 1);
  const test = async () => {
    const [batch] = await findBatches(database.sql, { name: "news", app: undefined });
    if (batch === undefined) throw new Error("There is no batch");
    const id = randomUUID();
    await sendTest(database.sql, batch, { id, to: "ann@example.com", variables: {} });
    return id;
  };
  const early = await test();
  await end(database, early);
  await age(database, early, 8 * DAY_MS);
  // Its batch is not sent yet.
  expect(await purge(database.sql, RULES)).toEqual({ messages: 0, contents: 0 });

  await end(database, sent);
  const late = await test();
  await age(database, sent, 31 * DAY_MS);
  expect(await purge(database.sql, RULES)).toEqual({ messages: 1, contents: 0 });
  await database.sql`update mailchute.batch set created_at = now() - interval '31 days'`;
  await purgeBatches(database.sql, RULES);
  expect(await rows(database)).toMatchObject({ message: 2, content: 1, attachment: 1 });
  await end(database, late);
  await purgeBatches(database.sql, RULES);
  expect(await rows(database)).toMatchObject({ message: 2, content: 0, attachment: 0 });
});

/** Those that will fail. */
async function openWithoutContent(database: TestDatabase): Promise<number> {
  return (await database.sql`
    select from mailchute.queue q join mailchute.message m using (seq)
    where not exists (select from mailchute.content c where c.id = m.content_id)`).length;
}

test("a bulk send that purge overtakes brings its content along once more: all that it had queued ended long ago", async () => {
  await using database = await createDatabase();
  const mail = createMailer(database.sql, { from: "a@b.example" });
  const firstPart = Promise.withResolvers<void>();
  async function* list() {
    for (let number = 0; number < 20_000; number++) yield { to: `reader${number}@example.com` };
    await firstPart.promise;
    await database.sql`delete from mailchute.queue`;
    await database.sql`update mailchute.recipient set state = 'sent', changed_at = now() - interval '8 days'`;
    await database.sql`update mailchute.message set created_at = now() - interval '8 days'`;
    expect(await purge(database.sql, RULES)).toEqual({ messages: 0, contents: 1 });
    yield { to: "late@example.com" };
  }
  const onProgress = () => firstPart.resolve();
  const template = { subject: "s", text: "t", attachments: [{ filename: "a.txt", content: new Uint8Array(3) }] };
  const { created } = await mail.sendMany(template, list(), { batch: "news", onProgress });
  expect(created).toBe(20_001);
  expect(await rows(database)).toMatchObject({ content: 1, attachment: 1 });
  expect(await openWithoutContent(database)).toBe(0);
});

test("purge keeps the content of an old batch that a transaction is adding to", async () => {
  await using database = await createDatabase();
  const [old = ""] = await enqueueBatch(database, 1);
  await end(database, old);
  await age(database, old, 8 * DAY_MS);
  await database.sql.begin(async (tx) => {
    const request = { id: randomUUID(), batch: "news", recipients: [["late@example.com"]] };
    await tx`select mailchute.enqueue_many_v1(${JSON.stringify(request)}::text::jsonb)`;
    expect((await purge(database.sql, RULES)).contents).toBe(0);
  });
  expect(await openWithoutContent(database)).toBe(0);
});

test("purge walks over more than one window, and over an open message among final ones", async () => {
  await using database = await createDatabase();
  await database.sql.begin(async (tx) => {
    await tx`
      insert into mailchute.message (id, app, content_id, from_email, lane, created_at)
      select gen_random_uuid(), 'shop', gen_random_uuid(), 'shop@example.com', 1, now() - interval '40 days' from generate_series(1, 4500)`;
    await tx`
      insert into mailchute.recipient (seq, position, kind, email, state, changed_at)
      select seq, 0, 'to', 'a@example.com', case when seq in (1, 3000) then 'deferred' else 'sent' end, now() - interval '40 days' from mailchute.message`;
    await tx`insert into mailchute.content (id, subject, created_at) select content_id, 'Hi', created_at from mailchute.message`;
    await tx`insert into mailchute.queue (seq, lane, due) values (1, 1, now()), (3000, 1, now())`;
  });
  const recent = await enqueue(database);
  expect(await purge(database.sql, RULES)).toEqual({ messages: 4_498, contents: 4_498 });
  const left = await database.sql`select seq::int from mailchute.message where id <> ${recent} order by seq`;
  expect(left.map(({ seq }) => seq)).toEqual([1, 3_000]);
});

test("a retried message whose content was purged ends as failed and says why", async () => {
  await using database = await createDatabase();
  const id = await enqueue(database);
  await end(database, id);
  await database.sql`update mailchute.recipient set state = 'bounced'`;
  await age(database, id, 8 * DAY_MS);
  expect((await purge(database.sql, RULES)).contents).toBe(1);
  const [row] = await database
    .sql`select mailchute.retry_message((select seq from mailchute.message where id = ${id}), false) as answer`;
  expect(row?.answer).toBe("retried");
  await using server = await startScriptedServer();
  await using running = await openTestRelay(database, { smtpPort: server.port });
  await running.relay.runOnce();
  expect(await describeMessage(database, id)).toMatchObject({
    state: "failed",
    recipients: [{ state: "failed", reason: "Its content is no longer stored" }],
  });
  expect(server.mails).toEqual([]);
});

test("a message that a person retries while purge looks at it is kept, and one that purge has locked is unknown to the retry", async () => {
  await using database = await createDatabase();
  const [retried, purged] = [await enqueueWithAttachment(database), await enqueueWithAttachment(database)];
  for (const id of [retried, purged]) {
    await end(database, id);
    await age(database, id, 31 * DAY_MS);
  }
  const [{ seq } = { seq: "" }] = await database
    .sql`select seq::text as seq from mailchute.message where id = ${retried}`;
  await database.sql`update mailchute.recipient set state = 'bounced' where seq = ${seq}`;
  await database.sql.begin(async (tx) => {
    const [row] = await tx`select mailchute.retry_message(${seq}::bigint, false) as answer`;
    expect(row?.answer).toBe("retried");
    // Uncommitted: purge cannot see the new queue row, and passes the locked message by.
    expect(await purge(database.sql, RULES)).toEqual({ messages: 1, contents: 1 });
  });
  const [left] = await database.sql`
    select (select json_agg(id) from mailchute.message) as ids, (select count(*)::int from mailchute.queue) as open`;
  expect({ ...left }).toEqual({ ids: [retried], open: 1 });
  const [gone] = await database.sql`select mailchute.retry_message(${Number(seq) + 1}::bigint, false) as answer`;
  expect(gone?.answer).toBe("unknown");
});

test("the record of a bulk send goes with its last message, and stays while one is left or is being added", async () => {
  await using database = await createDatabase();
  const mail = createMailer(database.sql, { from: "a@b.example" });
  const template = { subject: "s", text: "t", attachments: [{ filename: "a.txt", content: new Uint8Array(3) }] };
  await mail.sendMany(template, [{ to: "ann@example.com" }], { batch: "old" });
  // Nobody in it could be sent to.
  await mail.sendMany(template, [{ to: "nobody" }], { batch: "empty", onInvalid: "skip" });
  await database.sql`update mailchute.batch set created_at = now() - interval '31 days'`;
  const names = async () =>
    (await database.sql`select name from mailchute.batch order by name`).map(({ name }) => name);

  await database.sql.begin(async (tx) => {
    await mail.sendMany(template, [], { batch: "empty", tx });
    await mail.sendMany(template, [{ to: "nobody" }], { batch: "empty", onInvalid: "skip", tx });
    await purgeBatches(database.sql, RULES);
    expect(await names()).toEqual(["empty", "old"]);
  });
  await purgeBatches(database.sql, RULES);
  expect(await names()).toEqual(["old"]);
  expect(await rows(database)).toMatchObject({ message: 1, content: 1, attachment: 1 });
  await database.sql`delete from mailchute.message`;
  await purgeBatches(database.sql, RULES);
  expect(await names()).toEqual([]);
  expect(await rows(database)).toMatchObject({ content: 0, attachment: 0 });
});

test("purge looks at a batch that is needed once in a walk, and deletes its content when its last message is old", async () => {
  await using database = await createDatabase();
  const mail = createMailer(database.sql, { from: "a@b.example" });
  const recipients = Array.from({ length: 5_000 }, (_, number) => ({ to: `r${number}@example.com` }));
  await mail.sendMany({ subject: "s", text: "t" }, recipients);
  await database.sql`update mailchute.recipient set state = 'sent', changed_at = now() - interval '8 days'`;
  await database.sql`update mailchute.message set created_at = now() - interval '8 days'`;
  // The last one is still tried.
  await database.sql`delete from mailchute.queue where seq < (select max(seq) from mailchute.message)`;
  const known: unknown[] = [];
  const watched = {
    begin: (options: string, work: Parameters<Parameters<typeof purge>[0]["begin"]>[1]) =>
      database.sql.begin(options, (tx) => {
        const unsafe = (text: string, values: never[]) => {
          if (values.length === 6) known.push(JSON.parse(String(values[4])).length);
          return tx.unsafe(text, values);
        };
        return work({ unsafe } as unknown as typeof tx);
      }) as ReturnType<typeof work>,
  };
  expect(await purge(watched, RULES)).toEqual({ messages: 0, contents: 0 });
  // Three windows of 2,000 and an empty one: from the second on it is known.
  expect(known).toEqual([0, 1, 1, 1]);
  await database.sql`delete from mailchute.queue`;
  expect(await purge(database.sql, RULES)).toEqual({ messages: 0, contents: 1 });
});
