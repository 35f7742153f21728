import { expect, test } from "bun:test";
import { beginPause, endPause } from "../../relay/limits/pause_table.ts";
import { createDatabase, type TestDatabase } from "../database.ts";
import { holdIntents, untilLogged, untilSeen } from "../queue/setup.ts";
import { describeMessage, enqueue, enqueueMany, openTestRelay, type TestRelay, until } from "../relay.ts";
import { type ScriptedServer, startScriptedServer } from "../scripted_server.ts";

/** Longer than any of these tests: what is noticed sooner was rung. */
const LONG_POLL_MS = 10 * 60_000;

const BULK = { key: "stream=bulk", reason: "a wrong link" };

/** Enqueues many mails of a stream, to b1@example.com and so on, in one statement. */
async function enqueueBulk(database: TestDatabase, count: number): Promise<void> {
  await database.sql`
    select count(mailchute.send(jsonb_build_object('from', 'shop@example.com', 'to', 'b' || i || '@example.com', 'subject', 'Nr. ' || i,
      'text', 'Hello', 'stream', 'bulk'))) from generate_series(1, ${count}) i`;
}

/** How many messages wait for the end of a pause, how often they were claimed, and what their attempts count. */
async function parked(database: TestDatabase) {
  const [row] = await database.sql`
    select count(*)::int as messages, coalesce(sum(lease), 0)::int as claims, coalesce(sum(attempts), 0)::int as attempts
    from mailchute.queue where throttle like 'paused:%' and leased_by is null`;
  return row as unknown as { readonly messages: number; readonly claims: number; readonly attempts: number };
}

async function untilParked(database: TestDatabase, messages: number): Promise<void> {
  await until(async () => (await parked(database)).messages === messages, `${messages} wait for the end of the pause`);
}

/** Everybody who got a mail, once for each. */
function recipientsOf(server: ScriptedServer, initial = ""): readonly string[] {
  return server.mails.flatMap(({ recipients }) => recipients).filter((address) => address.startsWith(initial)).sort();
}

function names(initial: string, count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `${initial}${index + 1}@example.com`).sort();
}

/** A server whose replies to contents wait until the gate is open, from the given mail on. */
async function startGatedServer(from: number) {
  const gate = Promise.withResolvers<void>();
  const shut = Promise.withResolvers<void>();
  let contents = 0;
  const server = await startScriptedServer({
    on: {
      content: async () => {
        if (++contents < from) return undefined;
        shut.resolve();
        await gate.promise;
        return undefined;
      },
    },
  });
  return { server, open: () => gate.resolve(), shut: shut.promise };
}

async function untilLoggedTimes(database: TestDatabase, { lines }: TestRelay, text: string, times: number) {
  await untilSeen(database, () => lines.filter((line) => line.includes(text)).length >= times, `${times} × ${text}`);
}

test(
  "a stream that is paused while its mails flow: what is on the wire ends, the rest waits and all others flow; resumed, all go once",
  async () => {
    const { server, open, shut } = await startGatedServer(40);
    await using _server = server;
    await using database = await createDatabase();
    await enqueueBulk(database, 200);
    await enqueueMany(database, 200);
    await using running = await openTestRelay(database, {
      ...{ smtpPort: server.port, connections: 2, pollMs: LONG_POLL_MS },
    });
    running.relay.start();
    await shut;
    await beginPause(database.sql, BULK);
    await untilLogged(database, running, '"pause":"stream=bulk"');
    const sentAtPause = recipientsOf(server, "b").length;
    open();
    await untilSeen(database, () => recipientsOf(server, "u").length === 200, "all others are sent");
    await until(async () => (await parked(database)).messages === 200 - recipientsOf(server, "b").length, "parked");
    // Two mails of each connection: one that the server has, and the next one right behind it.
    expect(recipientsOf(server, "b").length).toBeLessThanOrEqual(sentAtPause + 4);
    expect(recipientsOf(server, "b").length).toBeLessThan(100);
    const waiting = await parked(database);
    // What was not begun counts no attempt, and was claimed once or twice: before the pause, and after it.
    expect(waiting.attempts).toBe(0);
    expect(waiting.claims).toBeLessThan(waiting.messages * 2);
    expect(running.relay.pauses.all).toMatchObject([{ ...BULK, by: "postgres" }]);

    await endPause(database.sql, BULK.key);
    await server.whenMails(400);
    expect(recipientsOf(server, "b")).toEqual(names("b", 200));
    expect(recipientsOf(server, "u")).toEqual(names("u", 200));
    await until(async () => (await database.sql`select from mailchute.queue`).length === 0, "all are settled");
    const [attempts] = await database
      .sql`select max(number) as highest, count(*)::int as count from mailchute.attempt where outcome = 'sent'`;
    expect({ ...attempts }).toEqual({ highest: 1, count: 400 });
    const said = running.lines.map((line) => JSON.parse(line)).filter(({ pause }) => pause === BULK.key);
    expect(said.map(({ msg, reason, by }) => [msg, reason, by])).toEqual([
      ["paused", "a wrong link", "postgres"],
      ["resumed", undefined, undefined],
    ]);
  },
  60_000,
);

test("what only waits for a connection is called back when its stream is paused", async () => {
  const { server, open, shut } = await startGatedServer(1);
  await using _server = server;
  await using database = await createDatabase();
  await enqueueBulk(database, 20);
  await using running = await openTestRelay(database, { smtpPort: server.port, connections: 1, pollMs: LONG_POLL_MS });
  running.relay.start();
  await shut;
  await beginPause(database.sql, BULK);
  // The server says nothing, and still all that it does not have goes back.
  await until(async () => (await parked(database)).messages >= 18, "given back");
  open();
  await until(
    async () => (await database.sql`select from mailchute.queue where leased_by is not null`).length === 0,
    "the rest ends",
  );
  expect(server.mails.length).toBeLessThanOrEqual(2);
  expect((await parked(database)).messages).toBe(20 - server.mails.length);
  // We called it back ourselves: that says nothing of the route.
  expect(running.lines.filter((line) => line.includes("route unavailable"))).toEqual([]);
}, 60_000);

test("what is just being made ready is not begun when its stream is paused", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  await using intents = await holdIntents(database);
  await enqueue(database, { stream: "bulk", onUncertain: "hold" });
  await using running = await openTestRelay(database, { smtpPort: server.port, pollMs: LONG_POLL_MS });
  running.relay.start();
  await intents.reached();
  await beginPause(database.sql, BULK);
  await untilLogged(database, running, '"pause":"stream=bulk"');
  await intents.release();
  await untilParked(database, 1);
  expect(server.mails).toHaveLength(0);
});

test(
  "a relay that starts keeps a pause, and what was parked goes out at a start after it has ended while no relay ran",
  async () => {
    await using server = await startScriptedServer();
    await using database = await createDatabase();
    const options = { smtpPort: server.port, pollMs: LONG_POLL_MS };
    await beginPause(database.sql, BULK);
    await enqueueBulk(database, 30);
    for (const round of [1, 2]) {
      await using running = await openTestRelay(database, options);
      running.relay.start();
      await enqueueMany(database, 10);
      await server.whenMails(10 * round);
      await untilParked(database, 30);
      expect(recipientsOf(server, "b")).toEqual([]);
    }
    // Found by the second relay, and left alone.
    expect(await parked(database)).toEqual({ messages: 30, claims: 30, attempts: 0 });
    await endPause(database.sql, BULK.key);
    await using running = await openTestRelay(database, options);
    running.relay.start();
    await server.whenMails(50);
    expect(recipientsOf(server, "b")).toEqual(names("b", 30));
  },
  60_000,
);

test("while all mail is paused nothing is claimed, not even for a moment; resumed, all go", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  await enqueueMany(database, 50);
  await beginPause(database.sql, { key: "all", reason: undefined });
  await using running = await openTestRelay(database, { smtpPort: server.port, pollMs: 50 });
  running.relay.start();
  const turns = new Set<number>();
  await untilSeen(database, () => {
    for (const { drain } of running.relay.stations) turns.add(drain.lastTurnMs);
    return turns.size > 10;
  }, "the loop turns");
  await enqueueMany(database, 10, "example.net");
  const [row] = await database.sql`select sum(lease)::int as claims, count(*)::int as messages from mailchute.queue`;
  expect({ ...row }).toEqual({ claims: 0, messages: 60 });
  await endPause(database.sql, "all");
  await server.whenMails(60);
}, 60_000);

test("when all is paused in the midst, what is not on the wire goes back as it was", async () => {
  const { server, open, shut } = await startGatedServer(1);
  await using _server = server;
  await using database = await createDatabase();
  await enqueueMany(database, 30);
  await using running = await openTestRelay(database, { smtpPort: server.port, connections: 1, pollMs: LONG_POLL_MS });
  running.relay.start();
  await shut;
  await beginPause(database.sql, { key: "all", reason: undefined });
  const given = () =>
    database.sql`select attempts from mailchute.queue where leased_by is null and due <= now() and throttle is null`;
  await until(async () => (await given()).length >= 28, "given back");
  open();
  await until(
    async () => (await database.sql`select from mailchute.queue where leased_by is not null`).length === 0,
    "ended",
  );
  expect(server.mails.length).toBeLessThanOrEqual(2);
  expect((await given()).map(({ attempts }) => attempts)).toEqual(Array(30 - server.mails.length).fill(0));
  await endPause(database.sql, "all");
  await server.whenMails(30);
  expect(recipientsOf(server)).toEqual(names("u", 30));
}, 60_000);

test(
  "of a message to a paused domain and to others, the others get theirs now and the rest without a second attempt",
  async () => {
    await using server = await startScriptedServer();
    await using database = await createDatabase();
    await beginPause(database.sql, { key: "domain=one.example", reason: undefined });
    await beginPause(database.sql, { key: "domain=two.example", reason: undefined });
    const id = await enqueue(database, { to: ["ann@example.com", "bob@One.example", "carl@two.example"] });
    await using running = await openTestRelay(database, { smtpPort: server.port, pollMs: LONG_POLL_MS });
    running.relay.start();
    await server.whenMails(1);
    await untilParked(database, 1);
    expect(recipientsOf(server)).toEqual(["ann@example.com"]);
    const shown = await describeMessage(database, id);
    expect(shown).toMatchObject({
      state: "queued",
      recipients: [
        { state: "sent" },
        { state: "queued", reason: "Paused: domain=one.example,domain=two.example" },
        { state: "queued", reason: "Paused: domain=one.example,domain=two.example" },
      ],
    });
    expect(shown).not.toHaveProperty("nextAttemptAt");
    // Either of them lets its own go, and keeps the other.
    await endPause(database.sql, "domain=two.example");
    await server.whenMails(2);
    await untilParked(database, 1);
    expect(recipientsOf(server)).toEqual(["ann@example.com", "carl@two.example"]);
    await endPause(database.sql, "domain=one.example");
    await server.whenMails(3);
    await until(async () => (await describeMessage(database, id)).state === "sent", "all are settled");
    expect((await describeMessage(database, id)).attempts.map(({ number, address }) => [number, address])).toEqual([
      [1, "ann@example.com"],
      [1, "bob@One.example"],
      [1, "carl@two.example"],
    ]);
  },
  60_000,
);

test("a paused mail expires in time, can be canceled, and one that was deferred says what it waits for", async () => {
  await using server = await startScriptedServer({
    on: { rcpt: (address) => address.startsWith("busy") ? "450 4.2.1 busy" : undefined },
  });
  await using database = await createDatabase();
  const busy = await enqueue(database, { stream: "bulk", to: "busy@example.com" });
  await using running = await openTestRelay(database, { smtpPort: server.port, pollMs: LONG_POLL_MS });
  running.relay.start();
  await until(async () => (await describeMessage(database, busy)).state === "deferred", "deferred");
  await beginPause(database.sql, BULK);
  await untilLogged(database, running, '"msg":"paused"');
  const expiring = await enqueue(database, { stream: "bulk", expiresAt: new Date(Date.now() + 2_000).toISOString() });
  const canceled = await enqueue(database, { stream: "bulk" });
  await database.sql`update mailchute.queue set due = now() where throttle is null`;
  await database.sql`notify mailchute`;
  await untilParked(database, 3);
  expect(await describeMessage(database, busy)).toMatchObject({
    state: "deferred",
    recipients: [{ state: "deferred", reason: "Paused: stream=bulk" }],
    attempts: [{ number: 1 }],
  });
  const [answer] = await database.sql`select mailchute.cancel_v1(${canceled}) as cancel`;
  expect(answer?.cancel).toBe("canceled");
  await until(async () => (await describeMessage(database, expiring)).state === "expired", "it expires");
  expect((await describeMessage(database, expiring)).recipients[0]?.reason).toContain("expiresAt");
  expect(server.mails).toEqual([]);
  const [row] = await database.sql`
    select q.attempts, abs(extract(epoch from q.due - m.expires_at)) < 1 as at_its_end
    from mailchute.queue q join mailchute.message m using (seq)`;
  expect({ ...row }).toEqual({ attempts: 1, at_its_end: true });
}, 60_000);

test(
  "5,000 paused mails cost no claims while others flow: each was claimed once, and nothing is written about them any more",
  async () => {
    await using server = await startScriptedServer();
    await using database = await createDatabase();
    await beginPause(database.sql, BULK);
    await enqueueBulk(database, 5_000);
    await using running = await openTestRelay(database, { smtpPort: server.port, pollMs: 50 });
    running.relay.start();
    await untilParked(database, 5_000);
    expect(await parked(database)).toEqual({ messages: 5_000, claims: 5_000, attempts: 0 });
    const state = async () => {
      const [row] = await database.sql`
        select md5(string_agg(q::text, '' order by seq)) as digest from mailchute.queue q where throttle is not null`;
      return row?.digest as string;
    };
    const before = await state();
    const turns = new Set<number>();
    for (let sent = 20; sent <= 100; sent += 20) {
      await enqueueMany(database, 20);
      await server.whenMails(sent);
    }
    await untilSeen(database, () => {
      for (const { drain } of running.relay.stations) turns.add(drain.lastTurnMs);
      return turns.size > 10;
    }, "the loop turns");
    await running.relay.stations[0]?.drain.discover();
    expect(await state()).toBe(before);
    await endPause(database.sql, BULK.key);
    await server.whenMails(5_100);
    const [row] = await database.sql`select max(number) as highest, count(*)::int as count from mailchute.attempt`;
    await until(async () => (await parked(database)).messages === 0, "none is left");
    expect(row?.highest).toBe(1);
  },
  120_000,
);

test(
  "run --once waits for no pause, and says how many it has left and why; also a run that finds them parked",
  async () => {
    await using server = await startScriptedServer();
    await using database = await createDatabase();
    await beginPause(database.sql, BULK);
    await enqueueBulk(database, 3);
    await enqueueMany(database, 2);
    for (let run = 0; run < 2; run++) {
      await using running = await openTestRelay(database, { smtpPort: server.port });
      expect(await running.relay.runOnce()).toEqual({ waiting: 3, leased: 0, paused: 3, pauses: ["stream=bulk"] });
    }
    expect(server.mails).toHaveLength(2);
    await beginPause(database.sql, { key: "all", reason: undefined });
    await using stopped = await openTestRelay(database, { smtpPort: server.port });
    await enqueueMany(database, 1);
    expect(await stopped.relay.runOnce()).toEqual({
      ...{ waiting: 4, leased: 0, paused: 4, pauses: ["all", "stream=bulk"] },
    });
    await endPause(database.sql, "all");
    await endPause(database.sql, BULK.key);
    await using free = await openTestRelay(database, { smtpPort: server.port });
    expect(await free.relay.runOnce()).toEqual({ waiting: 0, leased: 0 });
    expect(server.mails).toHaveLength(6);
  },
  60_000,
);

test(
  "run --once that has probed a route which was out waits for the mail of that route, and for no pause",
  async () => {
    let lines: readonly string[] = [];
    const isKnown = () => lines.some((line) => line.includes('"msg":"route out"'));
    await using server = await startScriptedServer({
      on: { connect: () => isKnown() ? undefined : { close: undefined } },
    });
    await using database = await createDatabase();
    await beginPause(database.sql, BULK);
    await enqueueBulk(database, 2);
    await enqueueMany(database, 5);
    await using running = await openTestRelay(database, { smtpPort: server.port, connections: 1 });
    lines = running.lines;
    expect(await running.relay.runOnce()).toEqual({ waiting: 2, leased: 0, paused: 2, pauses: ["stream=bulk"] });
    expect(recipientsOf(server)).toEqual(names("u", 5));
  },
  60_000,
);

test("a pause of the home database holds in the others; one in another database holds for nobody here", async () => {
  await using server = await startScriptedServer();
  await using home = await createDatabase();
  await using other = await createDatabase();
  await beginPause(home.sql, BULK);
  await beginPause(other.sql, { key: "all", reason: undefined });
  await enqueueBulk(other, 5);
  await enqueueMany(other, 5);
  await using running = await openTestRelay(home, { smtpPort: server.port, others: { other }, pollMs: LONG_POLL_MS });
  running.relay.start();
  await server.whenMails(5);
  await untilParked(other, 5);
  expect(recipientsOf(server)).toEqual(names("u", 5));
  await endPause(home.sql, BULK.key);
  await server.whenMails(10);
  expect(recipientsOf(server, "b")).toEqual(names("b", 5));
}, 60_000);

test("a pause that nobody has rung for is noticed at the poll, and its end too", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  await using running = await openTestRelay(database, { smtpPort: server.port, pollMs: 200 });
  running.relay.start();
  await untilSeen(database, () => running.relay.stations[0]?.listening === true, "listening");
  await database.sql`insert into mailchute.pause (key) values ('stream=bulk')`;
  await untilLoggedTimes(database, running, '"msg":"paused"', 1);
  await enqueueBulk(database, 1);
  await untilParked(database, 1);
  await database.sql`delete from mailchute.pause`;
  await untilLoggedTimes(database, running, '"msg":"resumed"', 1);
  await server.whenMails(1);
}, 60_000);

for (const [rate, key] of [["60/m", "60/m"], ["domain:example.com=60/m", "domain:example.com=60/m"]] as const) {
  test(`what is paused keeps no token of the limit ${rate} from what waits behind it`, async () => {
    await using server = await startScriptedServer();
    await using database = await createDatabase();
    await enqueueBulk(database, 60);
    const id = await enqueue(database);
    await database.sql`update mailchute.queue set throttle = ${key}, due = now() + interval '1 hour'`;
    await beginPause(database.sql, BULK);
    await using running = await openTestRelay(database, { smtpPort: server.port, rate });
    running.relay.start();
    await until(async () => (await describeMessage(database, id)).state === "sent", "it is sent", 10_000);
    await untilParked(database, 60);
  }, 60_000);
}
