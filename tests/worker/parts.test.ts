import { afterAll, expect, test } from "bun:test";
import { preclude } from "../../relay/queue/crash.ts";
import type { ClaimedMessage } from "../../relay/queue/queue.ts";
import { createDatabase, type TestDatabase } from "../database.ts";
import { endLeases, openQueue, outcome, queueRow, type TestQueue } from "../queue/setup.ts";
import { describeMessage, enqueue, makeDue } from "../relay.ts";
import type { Answer } from "../scripted_server.ts";
import { setup, startWorker, stopWorker } from "./setup.ts";

// A Worker has one dialogue for each recipient, and no disk: of a mail to many it writes part after part what has
// become of them.

afterAll(stopWorker);

const HANGS: Answer = { acceptAndHang: true };

function readers(count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `u${index}@example.com`);
}

/** How many recipients have each state, and how many attempts each outcome. */
async function counts(database: TestDatabase, id: string): Promise<Readonly<Record<string, number>>> {
  const { recipients, attempts } = await describeMessage(database, id);
  const words = [...recipients.map(({ state }) => state), ...attempts.map((attempt) => `attempt ${attempt.outcome}`)];
  return Object.fromEntries(Map.groupBy(words, (word) => word).entries().map(([word, all]) => [word, all.length]));
}

for (const [onUncertain, state] of [["hold", "held"], ["retry", "deferred"]] as const) {
  test(`a Worker that is lost at recipient 60 of 80 leaves those uncertain whom it had not written down, and ${onUncertain} decides`, async () => {
    const replies: Readonly<Record<string, string>> = {
      "u3@example.com": "550 5.1.1 nobody",
      "u9@example.com": "450 later",
    };
    await using s = await setup({
      on: { rcpt: (address) => replies[address], content: (_, { count }) => count === 58 ? HANGS : undefined },
    });
    const id = await enqueue(s.database, { onUncertain, to: readers(80) });
    await using lost = await startWorker();
    const body = JSON.stringify({ database: s.database.url, smtp: `smtp://127.0.0.1:${s.server.port}` });
    void lost.runtime.dispatchFetch("http://worker/", { method: "POST", body }).catch(() => undefined);
    await s.server.whenMails(58);
    expect(await counts(s.database, id)).toMatchObject({
      sent: 48,
      bounced: 1,
      "attempt sent": 48,
      "attempt bounced": 1,
    });
    await lost[Symbol.asyncDispose]();
    await endLeases(s.database);

    await using next = await setup();
    expect(await s.drain({ smtp: `smtp://127.0.0.1:${next.server.port}` })).toMatchObject({
      claimed: 1,
      uncertain: 31,
    });
    expect(next.server.mails).toEqual([]);
    // Among them who was deferred, as if nobody knew: that is written with the whole.
    expect(await counts(s.database, id)).toEqual({
      ...{ sent: 48, bounced: 1, [state]: 31 },
      ...{ "attempt sent": 48, "attempt bounced": 1, "attempt uncertain": 31 },
    });
    if (onUncertain === "hold") return;
    await makeDue(s.database);
    expect(await s.drain({ smtp: `smtp://127.0.0.1:${next.server.port}` })).toMatchObject({ sent: 31, uncertain: 0 });
    expect(await describeMessage(s.database, id)).toMatchObject({ state: "bounced" });
  });
}

test("of a mail to many each recipient has one attempt, and a report counts each once", async () => {
  const first = new Set<string>();
  await using s = await setup({
    on: {
      rcpt: (address) => {
        if (address === "u3@example.com") return "550 5.1.1 nobody";
        const isFirst = !first.has(address);
        first.add(address);
        return address === "u9@example.com" && isFirst ? "450 later" : undefined;
      },
    },
  });
  const id = await enqueue(s.database, { to: readers(60) });
  expect(await s.drain()).toMatchObject({ claimed: 1, sent: 58, bounced: 1, deferred: 1 });
  const first58 = { sent: 58, bounced: 1, "attempt sent": 58, "attempt bounced": 1, "attempt deferred": 1 };
  expect(await counts(s.database, id)).toEqual({ ...first58, deferred: 1 });
  await makeDue(s.database);
  expect(await s.drain()).toMatchObject({ claimed: 1, sent: 1 });
  expect(await counts(s.database, id)).toEqual({ ...first58, sent: 59, "attempt sent": 59 });
  expect(s.server.mails.flatMap(({ recipients }) => recipients)).toHaveLength(59);
});

test("what another relay has taken over meanwhile is not settled in parts either, and its other recipients get nothing", async () => {
  await using s = await setup({
    on: {
      content: async (_, { count }) => {
        if (count === 25) {
          await s.database.sql`update mailchute.queue set lease = lease + 1, leased_by = leased_by + 1000`;
        }
        return undefined;
      },
    },
  });
  const id = await enqueue(s.database, { to: readers(60) });
  await s.drain();
  expect(s.server.mails).toHaveLength(25);
  expect(await counts(s.database, id)).toEqual({ sending: 60 });
});

/** The only mail there is. */
async function claimOne({ queue }: TestQueue): Promise<ClaimedMessage> {
  const { messages: [message] } = await queue.claim(1);
  if (message === undefined) throw new Error("Nothing was claimed");
  return message;
}

test("a mail all of whose recipients are written down when its holder is lost is ended by the next one, and nobody is uncertain", async () => {
  await using database = await createDatabase();
  const id = await enqueue(database, { to: readers(2) });
  const [lost, next] = [await openQueue(database), await openQueue(database)];
  const { seq, lease, attempt } = await claimOne(lost);
  const part = { seq, lease, attempt };
  const of = (position: number) => ({
    ...{ ...part, outcomes: [outcome("sent", position)] },
    recipients: [{ position, state: "sent", reason: undefined }],
  });
  const before = await queueRow(database, seq);
  expect(await lost.queue.settlePart(of(0))).toBe(true);
  expect(await lost.queue.settlePart(of(1))).toBe(true);
  // A statement whose answer was lost is said again.
  expect(await lost.queue.settlePart(of(1))).toBe(true);
  expect(await queueRow(database, seq)).toEqual(before);
  await endLeases(database);
  const taken = await claimOne(next);
  expect(await lost.queue.settlePart(of(1))).toBe(false);
  const rules = { maxAgeMs: 86_400_000, maxAttempts: undefined, onUncertain: "retry" } as const;
  const end = preclude(taken, { rules, random: () => 0, nowMs: Date.now(), aheadMs: 0 });
  if (end === undefined) throw new Error("It would be begun again");
  await next.queue.settle([end]);
  expect(await queueRow(database, seq)).toBeUndefined();
  expect(await counts(database, id)).toEqual({ sent: 2, "attempt sent": 2 });
});
