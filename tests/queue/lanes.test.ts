import { expect, test } from "bun:test";
import type { Sql } from "postgres";
import type { ClaimedMessage } from "../../relay/queue/queue.ts";
import { createDatabase, type TestDatabase } from "../database.ts";
import { enqueue, openTestRelay } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";
import { openConnection, openQueue } from "./setup.ts";

/** Enqueues so many mails of each priority, the low ones first. Their subjects are their priorities. */
async function fillLanes(
  database: TestDatabase,
  counts: { readonly high?: number; readonly normal?: number; readonly low?: number },
): Promise<void> {
  for (const priority of ["low", "normal", "high"] as const) {
    await database.sql`
      select count(mailchute.send(jsonb_build_object('from', 'shop@example.com', 'to', 'u' || i || '@example.com', 'priority', ${priority}::text,
        'subject', ${priority}::text, 'text', 'Hi')))
      from generate_series(1, ${counts[priority] ?? 0}) i`;
  }
}

/** How many of a claim are of each lane. */
function perLane(messages: readonly ClaimedMessage[]): readonly number[] {
  return [0, 1, 2].map((lane) => messages.filter((message) => message.lane === lane).length);
}

test("a claim of high mail leaves an eighth to normal and a sixteenth to low, from the second one on", async () => {
  await using database = await createDatabase();
  await fillLanes(database, { high: 300, normal: 50, low: 50 });
  const { queue } = await openQueue(database);
  expect(perLane((await queue.claim(64)).messages)).toEqual([64, 0, 0]);
  for (let claims = 0; claims < 3; claims++) {
    const { messages, hasMore } = await queue.claim(64);
    expect(perLane(messages)).toEqual([52, 8, 4]);
    expect(hasMore).toBe(true);
  }
});

test("many claims of one mail each let every lane have its turn", async () => {
  await using database = await createDatabase();
  await fillLanes(database, { high: 40, normal: 40, low: 40 });
  const { queue } = await openQueue(database);
  const taken: ClaimedMessage[] = [];
  for (let claims = 0; claims < 36; claims++) taken.push(...(await queue.claim(1)).messages);
  expect(perLane(taken)).toEqual([30, 4, 2]);
});

test("when the flow of high mail ends, the others have all the room at once, and nothing is claimed twice", async () => {
  await using database = await createDatabase();
  await fillLanes(database, { high: 67, normal: 60, low: 70 });
  const { queue } = await openQueue(database);
  const taken: ClaimedMessage[] = [];
  const claims: unknown[] = [];
  for (let hasMore = true; hasMore;) {
    const claim = await queue.claim(64);
    hasMore = claim.hasMore;
    taken.push(...claim.messages);
    claims.push([perLane(claim.messages), hasMore]);
  }
  expect(claims).toEqual([[[64, 0, 0], true], [[3, 8, 4], true], [[0, 52, 12], true], [[0, 0, 54], false]]);
  expect(new Set(taken.map(({ seq }) => seq)).size).toBe(197);
});

test("a claim locks what it takes and no more", async () => {
  await using database = await createDatabase();
  await fillLanes(database, { high: 10, normal: 50, low: 50 });
  await using connection = openConnection(database);
  await connection.begin(async (tx) => {
    const { queue } = await openQueue({ sql: tx as unknown as Sql });
    expect(perLane((await queue.claim(32)).messages)).toEqual([10, 22, 0]);
    expect(perLane((await queue.claim(32)).messages)).toEqual([0, 28, 2]);
    const free = await database.sql`select seq from mailchute.queue for update skip locked`;
    expect(free).toHaveLength(110 - 62);
  });
});

test("a claim that finds nothing, after one that was filled by high mail and before low mail was asked, says that there may be more", async () => {
  await using database = await createDatabase();
  await fillLanes(database, { high: 8 });
  const { queue } = await openQueue(database);
  expect(perLane((await queue.claim(8)).messages)).toEqual([8, 0, 0]);
  // Normal mail is owed one of eight, and low mail is not asked beside it.
  const second = await queue.claim(8);
  expect([second.messages, second.hasMore]).toEqual([[], true]);
  expect((await queue.claim(8)).hasMore).toBe(false);
});

/** A server that hears what comes in which order, as the subjects tell. */
async function startListeningServer(onMail: (subjects: readonly string[]) => Promise<void> = () => Promise.resolve()) {
  const subjects: string[] = [];
  const server = await startScriptedServer({
    on: {
      content: async (content) => {
        subjects.push(/^Subject: (.*)\r$/m.exec(content)?.[1] as string);
        await onMail(subjects);
        return undefined;
      },
    },
  });
  return { server, subjects };
}

test("a flow of high mail does not starve normal and low mail", async () => {
  await using database = await createDatabase();
  await fillLanes(database, { high: 1_500, normal: 60, low: 30 });
  const { server, subjects } = await startListeningServer();
  await using _server = server;
  await using running = await openTestRelay(database, { smtpPort: server.port });
  await running.relay.runOnce();
  expect(subjects).toHaveLength(1_590);
  // A sixteenth of 480 mails, and as many more as are held.
  expect(subjects.lastIndexOf("low")).toBeLessThan(1_100);
  expect(subjects.lastIndexOf("normal")).toBeLessThan(1_100);
  // And they get no more than their shares.
  expect(subjects.slice(0, 320).filter((subject) => subject === "high").length).toBeGreaterThan(240);
}, 60_000);

test("a high mail that comes while low ones flow goes before those that wait in the relay", async () => {
  await using database = await createDatabase();
  await fillLanes(database, { low: 1_500 });
  let claimedAfter: number | undefined;
  const { server, subjects } = await startListeningServer(async ({ length }) => {
    if (length < 700 || subjects.includes("password")) return;
    if (length === 700) await enqueue(database, { subject: "password", priority: "high" });
    // Each mail takes the server as long as a statement takes, and the relay needs one more for the content of what it
    // has claimed.
    const claimed = await database.sql`select from mailchute.queue where lane = 0 and leased_by is not null`;
    if (claimed.length > 0) claimedAfter ??= length;
  });
  await using _server = server;
  await using running = await openTestRelay(database, { smtpPort: server.port, connections: 1 });
  await running.relay.runOnce();
  expect(subjects).toHaveLength(1_501);
  // It stands behind the three that are under way, and not behind the 75 that were claimed before it.
  expect(subjects.indexOf("password") - (claimedAfter ?? 0)).toBeLessThan(15);
}, 60_000);
