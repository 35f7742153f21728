import { expect, test } from "bun:test";
import type { Sql } from "postgres";
import { noteFeedback } from "../../relay/mail/feedback_table.ts";
import { purge } from "../../relay/database/retention.ts";
import { createDatabase } from "../database.ts";
import { closeAt, enqueueItem } from "../digest/setup.ts";
import { enqueue } from "../relay.ts";
import { fill, openConnection, openQueue, settlement, waitForLocks } from "./setup.ts";

const MAILS = 200;
const ROUNDS = 15;

test("renew, settle and release of the same mails at the same time, each in an order of its own, never deadlock", async () => {
  await using database = await createDatabase();
  await fill(database, MAILS);
  const { queue } = await openQueue(database);
  for (let round = 0; round < ROUNDS; round++) {
    const { messages } = await queue.claim(MAILS);
    expect(messages).toHaveLength(MAILS);
    const backward = messages.toReversed();
    const [half, otherHalf] = [backward.slice(0, MAILS / 2), messages.slice(0, MAILS / 2)];
    const answers = await Promise.allSettled([
      queue.renew(messages),
      queue.renew(backward),
      queue.settle(half.map((message) => settlement(message, "deferred", 0))),
      queue.release(otherHalf.map((message) => ({ ...message, delayMs: 0 }))),
      queue.renew(backward),
      queue.renew(messages),
    ]);
    const failed = answers.flatMap((answer) => answer.status === "rejected" ? [String(answer.reason)] : []);
    expect(failed).toEqual([]);
    // All of them were given back, and are due again with numbers that no attempt has.
    await database.sql`update mailchute.queue set attempts = ${round + 1}, due = now()`;
  }
});

const RETRY = "select mailchute.retry_message(seq, false) as answer from mailchute.message";

test("a mail is tried again and rescheduled at the same time, and neither ends in a deadlock", async () => {
  await using database = await createDatabase();
  const id = await enqueue(database);
  await using holder = openConnection(database);
  await using person = openConnection(database);
  await using app = openConnection(database);
  const both = await holder.begin(async (tx) => {
    // As retention does, so that both wait.
    await tx`select from mailchute.message for update`;
    const retried = person.unsafe(RETRY).execute();
    await waitForLocks(database, 1);
    const moved = app`select mailchute.reschedule_v1(${id}, now() + interval '1 minute') as answer`.execute();
    await waitForLocks(database, 2);
    return { retried, moved };
  });
  expect([await both.retried, await both.moved]).toMatchObject([[{ answer: "retried" }], [{ answer: "rescheduled" }]]);
});

test("an item is sent on its own while its window is closed: it is in no digest, and neither ends in a deadlock", async () => {
  await using database = await createDatabase();
  await enqueueItem(database);
  await using holder = openConnection(database);
  await using person = openConnection(database);
  const { retried } = await holder.begin(async (tx) => {
    await tx`select from mailchute.message for update`;
    const retried = person.unsafe(RETRY).execute();
    await waitForLocks(database, 1);
    await closeAt(database, "1 hour");
    return { retried };
  });
  expect(await retried).toMatchObject([{ answer: "retried" }]);
  expect(await database.sql`select from mailchute.digest_item`).toHaveLength(0);
  expect(await database.sql`select from mailchute.queue where due <= now()`).toHaveLength(1);
});

test("two that take back the same mails, of which others have some, end up with all of them and in no deadlock", async () => {
  await using database = await createDatabase();
  for (let count = 0; count < 4; count++) await enqueue(database, { tags: ["lunch"] });
  await using one = openConnection(database);
  await using other = openConnection(database);
  await using left = openConnection(database);
  await using right = openConnection(database);
  const cancel = (sql: Sql) => sql`select mailchute.cancel_many_v1('{"tag": "lunch"}') as canceled`.execute();
  const both = await one.begin(async (first) => {
    await first`select from mailchute.queue where seq = 2 for update`;
    const before = await other.begin(async (second) => {
      await second`select from mailchute.queue where seq = 4 for update`;
      const canceled = cancel(left);
      await waitForLocks(database, 1);
      return { canceled };
    });
    const after = { canceled: cancel(right) };
    await waitForLocks(database, 2);
    return [before, after];
  });
  const counts = await Promise.all(both.map(async ({ canceled }) => (await canceled)[0]?.canceled as number));
  expect(counts[0] as number + (counts[1] as number)).toBe(4);
  expect(await database.sql`select from mailchute.queue`).toHaveLength(0);
});

const UNSAID = { code: undefined, enhanced: undefined, reporter: undefined } as const;

/** That the server is late with both recipients of a mail; the second is named first. */
const LATE = ["bob@example.com", "ann@example.com"].map((address) => (
  { kind: "delayed", addresses: [address], reply: "450 later", ...UNSAID } as const
));
const RULES = { hard: { forMs: undefined }, soft: undefined };

test("a report of two recipients is taken in while the mail is canceled, and neither ends in a deadlock", async () => {
  await using database = await createDatabase();
  const id = await enqueue(database, { to: ["ann@example.com", "bob@example.com"] });
  await using holder = openConnection(database);
  await using inbox = openConnection(database);
  await using app = openConnection(database);
  const both = await holder.begin(async (tx) => {
    // What the report is about to write first, of the second recipient.
    await tx`insert into mailchute.feedback (seq, position, kind, reply) values (1, 1, 'delayed', 'held')`;
    const noted = noteFeedback(inbox, { ids: [id], reports: LATE }, undefined);
    await waitForLocks(database, 1);
    const canceled = app`select mailchute.cancel_v1(${id}) as answer`.execute();
    await waitForLocks(database, 2);
    return { noted, canceled };
  });
  expect(await Promise.allSettled([both.noted, both.canceled])).toMatchObject([
    { status: "fulfilled", value: [{ state: "queued" }, { state: "queued" }] },
    { status: "fulfilled", value: [{ answer: "canceled" }] },
  ]);
});

test("a report of a mail that retention is just deleting leaves nothing of it, and says that there is no such mail", async () => {
  for (const kind of ["delayed", "bounced"] as const) {
    await using database = await createDatabase();
    const id = await enqueue(database);
    await database.sql`delete from mailchute.queue`;
    await database.sql`update mailchute.recipient set state = 'sent', changed_at = now() - interval '40 days'`;
    await database.sql`update mailchute.message set created_at = now() - interval '40 days'`;
    await database.sql`
      insert into mailchute.attempt (seq, number, position, outcome, phase, blame, reply, route, relay)
      values (1, 1, 0, 'sent', 'final', 'none', '250', 'default', 1)`;
    await using holder = openConnection(database);
    await using cleaner = openConnection(database);
    await using inbox = openConnection(database);
    const both = await holder.begin(async (tx) => {
      // Which retention is about to delete, once it has the mail.
      await tx`select from mailchute.attempt for update`;
      const purged = purge(cleaner as never, { messagesMs: 1_000, contentMs: 1_000 });
      await waitForLocks(database, 1);
      const reports = [{
        ...UNSAID,
        kind,
        addresses: ["ann@example.com"],
        reply: "550 5.1.1 no such user",
        code: 550,
        enhanced: "5.1.1",
      }];
      const noted = noteFeedback(inbox, { ids: [id], reports }, RULES);
      await waitForLocks(database, 2);
      return { noted, purged };
    });
    expect(await Promise.allSettled([both.noted, both.purged])).toMatchObject([
      { status: "fulfilled", value: undefined },
      { status: "fulfilled", value: { messages: 1 } },
    ]);
    expect(await database.sql`select seq from mailchute.feedback union all select seq from mailchute.bounce`)
      .toHaveLength(0);
  }
});
