import { expect, test } from "bun:test";
import { createDatabase, type TestDatabase } from "../database.ts";
import { describeMessage, enqueue, openTestRelay } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";
import { openConnection, openQueue, queueRow, settlement, waitForLocks } from "./setup.ts";

async function retry(database: TestDatabase, id: string, options: { readonly acceptDuplicate?: boolean } = {}) {
  const [row] = await database.sql`
    select mailchute.retry_message((select seq from mailchute.message where id = ${id}), ${
    options.acceptDuplicate === true
  }) as answer`;
  return row?.answer as string;
}

async function cancel(sql: TestDatabase["sql"], id: string): Promise<string> {
  const [row] = await sql`select mailchute.cancel_v1(${id}) as answer`;
  return row?.answer as string;
}

/** Brings a message to an end in this state, after one attempt where there is one. */
async function endAs(database: TestDatabase, id: string, state: string): Promise<void> {
  if (state === "canceled") {
    await cancel(database.sql, id);
    return;
  }
  const { queue } = await openQueue(database);
  const [message] = (await queue.claim(1)).messages;
  if (message?.id !== id) throw new Error("Another message was claimed");
  const kind = state === "sent" ? "sent" : state === "bounced" ? "bounced" : "deferred";
  const ended = settlement(message, kind);
  const recipients = ended.recipients.map((recipient) => ({ ...recipient, state, reason: `It is ${state}` }));
  await queue.settle([{ ...ended, outcomes: state === "failed" ? [] : ended.outcomes, recipients }]);
}

for (const state of ["bounced", "failed", "expired", "canceled"]) {
  test(`retry brings a message that is ${state} back into the queue, due now, with the next number`, async () => {
    await using database = await createDatabase();
    const id = await enqueue(database, { priority: "low" });
    await endAs(database, id, state);
    expect((await describeMessage(database, id)).state).toBe(state);
    const { attempts } = await describeMessage(database, id);
    expect(await retry(database, id)).toBe("retried");
    expect((await describeMessage(database, id)).state).toBe("queued");
    const { queue } = await openQueue(database);
    const [message] = (await queue.claim(1)).messages;
    expect(message).toMatchObject({ id, attempt: attempts.length + 1 });
    expect(message?.retriedAtMs).toBeGreaterThan(Date.now() - 10_000);
    const [row] = await database.sql`select lane from mailchute.queue`;
    expect(row?.lane).toBe(2);
    if (message === undefined) throw new Error("Nothing was claimed");
    await queue.settle([settlement(message, "sent")]);
    expect((await describeMessage(database, id)).state).toBe("sent");
  });
}

test("retry of a sent message changes nothing and says so", async () => {
  await using database = await createDatabase();
  const id = await enqueue(database);
  await endAs(database, id, "sent");
  expect(await retry(database, id)).toBe("sent");
  expect(await retry(database, id, { acceptDuplicate: true })).toBe("sent");
  const [row] = await database.sql`select count(*)::int as rows from mailchute.queue`;
  expect(row?.rows).toBe(0);
});

test("retry of a message all of whose recipients are suppressed changes nothing", async () => {
  await using database = await createDatabase();
  await database.sql`insert into mailchute.suppression (address, reason) values ('ann@example.com', 'bounce')`;
  const id = await enqueue(database);
  expect(await retry(database, id)).toBe("sent");
  expect((await describeMessage(database, id)).state).toBe("suppressed");
});

test("retry takes only the recipients that were not sent to", async () => {
  await using database = await createDatabase();
  const id = await enqueue(database, { to: ["a@example.com", "b@example.com"] });
  const first = await openQueue(database);
  const [message] = (await first.queue.claim(1)).messages;
  if (message === undefined) throw new Error("Nothing was claimed");
  const [sent, bounced] = [settlement(message, "sent"), settlement(message, "bounced")];
  await first.queue.settle([{
    ...sent,
    outcomes: [...sent.outcomes.slice(0, 1), ...bounced.outcomes.slice(1)],
    recipients: [...sent.recipients.slice(0, 1), ...bounced.recipients.slice(1)],
  }]);
  expect(await retry(database, id)).toBe("retried");
  const [again] = (await first.queue.claim(1)).messages;
  expect(again?.recipients.map(({ email, open }) => [email, open])).toEqual([
    ["a@example.com", false],
    ["b@example.com", true],
  ]);
});

test("a mail that a person tries again is as young as that, however long ago it was enqueued", async () => {
  await using database = await createDatabase();
  await using server = await startScriptedServer();
  const id = await enqueue(database);
  await database.sql`update mailchute.message set created_at = now() - interval '6 days'`;
  await using running = await openTestRelay(database, { smtpPort: server.port });
  await running.relay.runOnce();
  expect((await describeMessage(database, id)).state).toBe("expired");
  expect(await retry(database, id)).toBe("retried");
  await running.relay.runOnce();
  expect((await describeMessage(database, id)).state).toBe("sent");
});

test("retry after its expiresAt changes nothing and says expired", async () => {
  await using database = await createDatabase();
  const id = await enqueue(database, { expiresAt: new Date(Date.now() + 60_000).toISOString() });
  await endAs(database, id, "expired");
  await database.sql`update mailchute.message set expires_at = now() - interval '1 second'`;
  expect(await retry(database, id)).toBe("expired");
  expect((await describeMessage(database, id)).state).toBe("expired");
});

test("retry makes a deferred message due now and keeps its attempts", async () => {
  await using database = await createDatabase();
  const id = await enqueue(database);
  const { queue } = await openQueue(database);
  const [message] = (await queue.claim(1)).messages;
  if (message === undefined) throw new Error("Nothing was claimed");
  await queue.settle([settlement(message, "deferred", 3_600_000)]);
  expect(await retry(database, id)).toBe("retried");
  expect(await queueRow(database, message.seq)).toMatchObject({ isDue: true, attempts: 1 });
});

test("a held message goes on by retry with accept_duplicate, and ends by cancel", async () => {
  await using database = await createDatabase();
  const ids = [await enqueue(database), await enqueue(database)];
  const { queue } = await openQueue(database);
  const { messages } = await queue.claim(2);
  await queue.settle(messages.map((message) => settlement(message, "uncertain", "held")));
  expect(await retry(database, ids[0] as string)).toBe("may_duplicate");
  expect((await queue.claim(2)).messages).toEqual([]);
  expect(await retry(database, ids[0] as string, { acceptDuplicate: true })).toBe("retried");
  expect((await queue.claim(2)).messages.map(({ id }) => id)).toEqual([ids[0] as string]);
  expect(await cancel(database.sql, ids[1] as string)).toBe("canceled");
  expect((await describeMessage(database, ids[1] as string)).state).toBe("canceled");
});

test("retry asks for accept_duplicate when any attempt was uncertain, not only the last", async () => {
  await using database = await createDatabase();
  const id = await enqueue(database);
  const { queue } = await openQueue(database);
  const claimed = async () => {
    const [message] = (await queue.claim(1)).messages;
    if (message === undefined) throw new Error("Nothing was claimed");
    return message;
  };
  const uncertain = settlement(await claimed(), "uncertain", 0);
  const recipients = uncertain.recipients.map((recipient) => ({ ...recipient, state: "deferred" }));
  await queue.settle([{ ...uncertain, recipients }]);
  const deferred = settlement(await claimed(), "deferred");
  const given = deferred.recipients.map((recipient) => ({ ...recipient, state: "expired" }));
  await queue.settle([{ ...deferred, recipients: given }]);
  const { state, attempts } = await describeMessage(database, id);
  expect({ state, outcomes: attempts.map(({ outcome }) => outcome) }).toEqual({
    state: "expired",
    outcomes: ["uncertain", "deferred"],
  });
  expect(await retry(database, id)).toBe("may_duplicate");
  expect((await describeMessage(database, id)).state).toBe("expired");
  expect(await retry(database, id, { acceptDuplicate: true })).toBe("retried");
});

test("a message that was refused in the end is tried again without a question, though an earlier attempt was uncertain", async () => {
  await using database = await createDatabase();
  const id = await enqueue(database);
  const { queue } = await openQueue(database);
  for (const kind of ["uncertain", "bounced"] as const) {
    const [message] = (await queue.claim(1)).messages;
    if (message === undefined) throw new Error("Nothing was claimed");
    const ended = settlement(message, kind, kind === "uncertain" ? 0 : undefined);
    const recipients = ended.recipients.map((each) => kind === "uncertain" ? { ...each, state: "deferred" } : each);
    await queue.settle([{ ...ended, recipients }]);
  }
  expect(await retry(database, id)).toBe("retried");
});

test("a retry that waits for another, whose message is claimed at once, comes too late and leaves the lease as it is", async () => {
  await using database = await createDatabase();
  const id = await enqueue(database);
  await endAs(database, id, "failed");
  const { relayId } = await openQueue(database);
  await using first = openConnection(database);
  await first`begin`;
  const again = await first`select mailchute.retry_message(seq, false) as answer from mailchute.message`;
  expect(again[0]?.answer).toBe("retried");
  await first`update mailchute.queue set leased_by = ${relayId}::bigint, lease = 1, due = now() + interval '1 minute'`;
  const second = retry(database, id);
  await waitForLocks(database, 1);
  await first`commit`;
  expect(await second).toBe("too_late");
  const [row] = await database.sql`select seq::text, due > now() as lasts from mailchute.queue`;
  expect(row?.lasts).toBe(true);
});

test("two retries of one ended message at the same time put it into the queue once", async () => {
  await using database = await createDatabase();
  const id = await enqueue(database);
  await endAs(database, id, "bounced");
  const answers = await Promise.all(Array.from({ length: 4 }, () => retry(database, id)));
  expect(answers).toEqual(["retried", "retried", "retried", "retried"]);
  const [row] = await database.sql`select count(*)::int as rows from mailchute.queue`;
  expect(row?.rows).toBe(1);
});

test("cancel waits for a claim in an open transaction and then answers too_late", async () => {
  await using database = await createDatabase();
  const id = await enqueue(database);
  await using claimer = openConnection(database);
  const release = Promise.withResolvers<void>();
  const claimed = Promise.withResolvers<void>();
  const { relayId } = await openQueue(database);
  const claiming = claimer.begin(async (tx) => {
    await tx`update mailchute.queue set leased_by = ${relayId}::bigint, lease = lease + 1, attempts = attempts + 1, due = now() + interval '1 minute'`;
    claimed.resolve();
    await release.promise;
  });
  await claimed.promise;
  await using canceler = openConnection(database);
  const answers = [cancel(canceler, id), retry(database, id)];
  await waitForLocks(database, 2);
  release.resolve();
  await claiming;
  expect(await Promise.all(answers)).toEqual(["too_late", "too_late"]);
  expect((await describeMessage(database, id)).state).toBe("sending");
});

for (
  const [name, statement, answer] of [
    ["cancel", "select mailchute.cancel_v1($1::uuid) as answer", "too_late"],
    ["reschedule", "select mailchute.reschedule_v1($1::uuid, now() + interval '1 hour') as answer", "too_late"],
    [
      "cancel of many",
      `select mailchute.cancel_many_v1('{"tag": "order"}') as answer from mailchute.message where id = $1::uuid`,
      0,
    ],
  ] as const
) {
  test(`a ${name} that has come too late keeps no relay waiting, however long its transaction is open`, async () => {
    await using database = await createDatabase();
    const id = await enqueue(database, { tags: ["order"] });
    await using relays = openConnection(database);
    // Who waits for the app would wait for ever here.
    await relays`set lock_timeout = '1s'`;
    const { queue, relayId } = await openQueue({ sql: relays });
    await using claimer = openConnection(database);
    await using app = openConnection(database);
    const asked = Promise.withResolvers<void>();
    const claimed = Promise.withResolvers<void>();
    const claiming = claimer.begin(async (tx) => {
      await tx`update mailchute.queue set leased_by = ${relayId}::bigint, lease = lease + 1, attempts = attempts + 1, due = now() + interval '1 minute'`;
      claimed.resolve();
      await asked.promise;
    });
    await claimed.promise;
    await app.begin(async (tx) => {
      const answering = tx.unsafe(statement, [id]);
      const answered = answering.then(([row]) => row?.answer as unknown);
      await waitForLocks(database, 1);
      asked.resolve();
      await claiming;
      expect(await answered).toBe(answer);
      const [row] = await database
        .sql`select seq::text as seq, lease::text as lease from mailchute.queue where leased_by is not null`;
      const held = row as { readonly seq: string; readonly lease: string };
      expect(await queue.renew([held])).toEqual(new Set([held.seq]));
    });
  });
}

test("a cancel of many takes those too that somebody was at just then, and counts them", async () => {
  await using database = await createDatabase();
  const [first] = [await enqueue(database, { tags: ["order"] }), await enqueue(database, { tags: ["order"] })];
  await using other = openConnection(database);
  const canceling = await other.begin(async (tx) => {
    await tx`select mailchute.reschedule_v1(${first}::uuid, now() + interval '1 hour')`;
    const asked = database.sql`select mailchute.cancel_many_v1('{"tag": "order"}') as canceled`.execute();
    await waitForLocks(database, 1);
    return [asked];
  });
  expect((await canceling[0])?.[0]).toEqual({ canceled: 2 });
  expect((await describeMessage(database, first)).state).toBe("canceled");
});

for (
  const [name, statement] of [
    ["a cancel", "select mailchute.cancel_v1($1::uuid)"],
    [
      "a cancel of many",
      `select mailchute.cancel_many_v1('{"tag": "order"}') from mailchute.message where id = $1::uuid`,
    ],
  ] as const
) {
  test(`${name} leaves those as they are whom the mail has reached, or never will`, async () => {
    await using database = await createDatabase();
    const to = ["sent@example.com", "bounced@example.com", "deferred@example.com"];
    const id = await enqueue(database, { to, tags: ["order"] });
    const { queue } = await openQueue(database);
    const [message] = (await queue.claim(1)).messages;
    if (message === undefined) throw new Error("Nothing was claimed");
    const states = ["sent", "bounced", "deferred"] as const;
    await queue.settle([{
      ...settlement(message, "deferred"),
      next: 60_000,
      outcomes: [],
      recipients: states.map((state, position) => ({ position, state, reason: `It is ${state}` })),
    }]);
    await database.sql.unsafe(statement, [id]);
    const { recipients } = await describeMessage(database, id);
    expect(recipients.map(({ state, reason }) => [state, reason])).toEqual([
      ["sent", "It is sent"],
      ["bounced", "It is bounced"],
      ["canceled", "Canceled by the app"],
    ]);
    expect(await database.sql`select from mailchute.queue`).toHaveLength(0);
  });
}

test("a claim skips a message whose cancel or retry is in an open transaction", async () => {
  await using database = await createDatabase();
  const [canceled, retried, free] = [await enqueue(database), await enqueue(database), await enqueue(database)];
  const { queue } = await openQueue(database);
  await using other = openConnection(database);
  await other.begin(async (tx) => {
    await tx`select mailchute.cancel_v1(${canceled})`;
    await tx`select mailchute.retry_message((select seq from mailchute.message where id = ${retried}), false)`;
    expect((await queue.claim(10)).messages.map(({ id }) => id)).toEqual([free]);
  });
  expect((await queue.claim(10)).messages.map(({ id }) => id)).toEqual([retried]);
  expect((await describeMessage(database, canceled)).state).toBe("canceled");
});

test("a cancel that is rolled back leaves the message as it was", async () => {
  await using database = await createDatabase();
  const id = await enqueue(database);
  await using other = openConnection(database);
  const rolledBack = other.begin(async (tx) => {
    await tx`select mailchute.cancel_v1(${id})`;
    throw new Error("rolled back");
  });
  expect(await rolledBack.catch((error: Error) => error.message)).toBe("rolled back");
  expect((await describeMessage(database, id)).state).toBe("queued");
});

test("a second cancel answers canceled; a cancel of a final message answers too_late", async () => {
  await using database = await createDatabase();
  const id = await enqueue(database);
  expect([await cancel(database.sql, id), await cancel(database.sql, id)]).toEqual(["canceled", "canceled"]);
  const sent = await enqueue(database);
  await endAs(database, sent, "sent");
  expect(await cancel(database.sql, sent)).toBe("too_late");
});
