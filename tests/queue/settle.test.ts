import { expect, test } from "bun:test";
import { createDatabase } from "../database.ts";
import { describeMessage, enqueue } from "../relay.ts";
import { fill, openQueue, outcome, queueRow, settlement } from "./setup.ts";

const THREE = { to: ["a@example.com", "b@example.com", "c@example.com"] };

test("settle() writes a state of its own for each recipient, and keeps the row while one is open", async () => {
  await using database = await createDatabase();
  const id = await enqueue(database, THREE);
  const { queue, relayId } = await openQueue(database);
  const [message] = (await queue.claim(1)).messages;
  if (message === undefined) throw new Error("Nothing was claimed");
  const { seq, lease, attempt } = message;
  await queue.settle([{
    ...{ seq, lease, attempt, next: 60_000 },
    outcomes: [
      { ...outcome("sent", 0), route: "internal" },
      { ...outcome("deferred", 1), route: "provider" },
      outcome("bounced", 2),
    ],
    recipients: [
      { position: 0, state: "sent", reason: undefined },
      { position: 1, state: "deferred", reason: undefined },
      { position: 2, state: "bounced", reason: undefined },
    ],
  }]);
  const shown = await describeMessage(database, id);
  expect(shown.state).toBe("deferred");
  expect(shown.recipients.map(({ state, code, reason }) => [state, code, reason])).toEqual([
    ["sent", 250, "The reply that means sent"],
    ["deferred", 450, "The reply that means deferred"],
    ["bounced", 550, "The reply that means bounced"],
  ]);
  const rows = await database.sql`select route, relay::text as relay from mailchute.attempt order by position`;
  expect(rows.map((row) => ({ ...row }))).toEqual(
    ["internal", "provider", "default"].map((route) => ({ route, relay: relayId })),
  );
  expect(await queueRow(database, seq)).toMatchObject({ attempts: 1, leasedBy: null, isDue: false });

  // Only the open recipient is in the next attempt.
  await database.sql`update mailchute.queue set due = now()`;
  const [again] = (await queue.claim(1)).messages;
  expect(again?.recipients.map(({ open }) => open)).toEqual([false, true, false]);
  if (again === undefined) throw new Error("Nothing was claimed");
  await queue.settle([settlement(again, "sent")]);
  expect(await queueRow(database, seq)).toBeUndefined();
  const done = await describeMessage(database, id);
  expect(done.recipients.map(({ state }) => state)).toEqual(["sent", "sent", "bounced"]);
  expect(done.state).toBe("bounced");
});

test("attempts are numbered by the claim, and earlier ones are never changed", async () => {
  await using database = await createDatabase();
  const id = await enqueue(database);
  const { queue } = await openQueue(database);
  const seen: string[] = [];
  for (const number of [1, 2, 3]) {
    const [message] = (await queue.claim(1)).messages;
    if (message === undefined) throw new Error("Nothing was claimed");
    expect(message.attempt).toBe(number);
    await queue.settle(
      [settlement(message, number === 3 ? "sent" : "deferred", number === 3 ? undefined : 0)],
    );
    const rows = await database.sql`select to_jsonb(a) as attempt from mailchute.attempt a order by number`;
    const attempts = rows.map((row) => JSON.stringify(row.attempt));
    expect(attempts.slice(0, -1)).toEqual(seen);
    seen.splice(0, seen.length, ...attempts);
  }
  const { attempts } = await describeMessage(database, id);
  expect(attempts.map(({ number, outcome }) => [number, outcome])).toEqual([
    [1, "deferred"],
    [2, "deferred"],
    [3, "sent"],
  ]);
});

test("the relay's role cannot change an attempt's number into one that exists", async () => {
  await using database = await createDatabase();
  await enqueue(database);
  const { queue } = await openQueue(database);
  const [message] = (await queue.claim(1)).messages;
  if (message === undefined) throw new Error("Nothing was claimed");
  await queue.settle([settlement(message, "deferred", 0)]);
  const [again] = (await queue.claim(1)).messages;
  if (again === undefined) throw new Error("Nothing was claimed");
  // A settlement that numbers its attempt as an earlier one is refused as a whole: nothing of it is written.
  const forged = queue.settle([{ ...settlement(again, "sent"), attempt: 1 }]);
  expect(await forged.then(() => "written", (error) => error.code as string)).toBe("23505");
  expect(await queueRow(database, message.seq)).toMatchObject({ attempts: 2, lease: 2 });
});

test("a settlement without an attempt (expired, failed) ends the message and notes no attempt", async () => {
  await using database = await createDatabase();
  const id = await enqueue(database);
  const { queue } = await openQueue(database);
  const [message] = (await queue.claim(1)).messages;
  if (message === undefined) throw new Error("Nothing was claimed");
  const { seq, lease, attempt } = message;
  const recipients = [{ position: 0, state: "expired", reason: "Too old" }];
  await queue.settle([{ seq, lease, attempt, next: undefined, outcomes: [], recipients }]);
  expect(await describeMessage(database, id)).toMatchObject({
    state: "expired",
    attempts: [],
    recipients: [{ state: "expired", reason: "Too old" }],
  });
  expect(await queueRow(database, seq)).toBeUndefined();
});

test("a held recipient waits for a person while another of the same message is tried on", async () => {
  await using database = await createDatabase();
  const id = await enqueue(database, THREE);
  const { queue } = await openQueue(database);
  const [message] = (await queue.claim(1)).messages;
  if (message === undefined) throw new Error("Nothing was claimed");
  const { seq, lease, attempt } = message;
  await queue.settle([{
    ...{ seq, lease, attempt, next: 0 },
    outcomes: [outcome("uncertain", 0), outcome("deferred", 1), outcome("sent", 2)],
    recipients: [
      { position: 0, state: "held", reason: "The server may have it" },
      { position: 1, state: "deferred", reason: undefined },
      { position: 2, state: "sent", reason: undefined },
    ],
  }]);
  const [again] = (await queue.claim(1)).messages;
  expect(again?.recipients.map(({ open, held }) => ({ open, held }))).toEqual([
    { open: false, held: true },
    { open: true, held: false },
    { open: false, held: false },
  ]);
  if (again === undefined) throw new Error("Nothing was claimed");
  await queue.settle([settlement(again, "sent", "held")]);
  expect(await queueRow(database, seq)).toMatchObject({ held: true, leasedBy: null });
  expect((await describeMessage(database, id)).state).toBe("held");
});

test("500 settlements of all kinds are written by one statement", async () => {
  await using database = await createDatabase();
  await fill(database, 500);
  const { queue } = await openQueue(database);
  const { messages } = await queue.claim(500);
  const settlements = messages.map((message, index) => {
    if (index % 4 === 0) return settlement(message, "sent");
    if (index % 4 === 1) return settlement(message, "deferred", 60_000);
    return index % 4 === 2 ? settlement(message, "bounced") : settlement(message, "uncertain", "held");
  });
  expect((await queue.settle(settlements)).size).toBe(500);
  const states = await database
    .sql`select state, count(*)::int as count from mailchute.recipient group by 1 order by 1`;
  expect(states.map(({ state, count }) => [state, count])).toEqual([
    ["bounced", 125],
    ["deferred", 125],
    ["held", 125],
    ["sent", 125],
  ]);
  const [left] = await database.sql`
    select count(*)::int as rows, count(leased_by)::int as leased, count(*) filter (where due = 'infinity')::int as held from mailchute.queue`;
  expect({ ...left }).toEqual({ rows: 250, leased: 0, held: 125 });
});

test("a reply with quotes, backslashes and line ends is stored as it was said", async () => {
  await using database = await createDatabase();
  const id = await enqueue(database);
  const { queue } = await openQueue(database);
  const [message] = (await queue.claim(1)).messages;
  if (message === undefined) throw new Error("Nothing was claimed");
  const reason = `550 "no" 'such' \\user\\ $1 {} \u2028 é`;
  const [first] = settlement(message, "bounced").outcomes;
  if (first === undefined) throw new Error("No outcome");
  await queue.settle([{ ...settlement(message, "bounced"), outcomes: [{ ...first, reason }] }]);
  expect((await describeMessage(database, id)).recipients[0]?.reason).toBe(reason);
});
