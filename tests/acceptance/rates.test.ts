import { expect, test } from "bun:test";
import { capacityOf, type Limit, tokenMs } from "../../relay/limits/throttle.ts";
import { startDatabaseProxy } from "../database_proxy.ts";
import { createDatabase, type TestDatabase } from "../database.ts";
import { describeMessage, enqueue, enqueueMany, openTestRelay, until } from "../relay.ts";
import { type ScriptedServer, startScriptedServer } from "../scripted_server.ts";

/** 10 in a second, at first 18 at once. */
const RATE = "20/2s";
const LIMIT: Limit = { count: 20, periodMs: 2_000 };

/** A server that notes when each mail came, by the subject's number. */
async function startClockedServer(): Promise<{ readonly server: ScriptedServer; readonly atMs: number[] }> {
  const atMs: number[] = [];
  const server = await startScriptedServer({
    on: { mail: () => (atMs.push(performance.now()), undefined) },
  });
  return { server, atMs };
}

/**
 * How many mails came too early, if the limit's bucket was full at the start. A slow machine makes mails late and lets
 * some come together, which no count from the start minds.
 */
function early(atMs: readonly number[], startMs: number, limit: Limit = LIMIT): number {
  return atMs.filter((time, index) => index + 1 > capacityOf(limit) + (time - startMs) / tokenMs(limit) + 1).length;
}

/** Counts how often rows of the queue are written, from now on: each claim is one, each giving back another. */
async function countWrites(database: TestDatabase): Promise<() => Promise<number>> {
  await database.sql.unsafe(`
    create table written (times integer);
    create function count_write() returns trigger language plpgsql as $$ begin insert into public.written values (1); return null; end $$;
    create trigger count_write after update on mailchute.queue for each row execute function count_write()`).simple();
  return async () => (await database.sql`select count(*)::int as times from written`)[0]?.times as number;
}

async function waiting(database: TestDatabase): Promise<number> {
  const [row] = await database.sql`
    select count(*)::int as messages from mailchute.queue where throttle is not null and leased_by is null`;
  return row?.messages as number;
}

function subjects(server: ScriptedServer): readonly string[] {
  return server.mails.map(({ content }) => /^Subject: (.*)\r$/m.exec(content)?.[1] as string);
}

test(
  "run --once waits for a limit of all mail: none comes early, each is claimed once and in order, and all are sent",
  async () => {
    const { server, atMs } = await startClockedServer();
    await using _server = server;
    await using database = await createDatabase();
    await enqueueMany(database, 45);
    const writes = await countWrites(database);
    await using running = await openTestRelay(database, { smtpPort: server.port, connections: 1, rate: RATE });
    const startMs = performance.now();
    expect(await running.relay.runOnce()).toEqual({ waiting: 0, leased: 0 });
    expect(server.mails).toHaveLength(45);
    expect(early(atMs, startMs)).toBe(0);
    // What was claimed for a token that was not there any more goes back: few.
    expect(await writes()).toBeLessThanOrEqual(60);
    const numbers = subjects(server).map((subject) => Number(subject.slice(4)));
    for (const [index, number] of numbers.entries()) expect(Math.abs(number - 1 - index)).toBeLessThan(8);
    const [attempts] = await database.sql`select max(number) as highest, count(*)::int as count from mailchute.attempt`;
    expect({ ...attempts }).toEqual({ highest: 1, count: 45 });
  },
  60_000,
);

test("two relays keep a limit together, and both take part", async () => {
  const { server, atMs } = await startClockedServer();
  await using _server = server;
  await using database = await createDatabase();
  const options = { smtpPort: server.port, rate: RATE };
  await using one = await openTestRelay(database, options);
  await using other = await openTestRelay(database, options);
  const startMs = performance.now();
  one.relay.start();
  other.relay.start();
  await enqueueMany(database, 60);
  await server.whenMails(60);
  expect(early(atMs, startMs)).toBe(0);
  const relays = await database.sql`select relay, count(*)::int as mails from mailchute.attempt group by relay`;
  expect(relays.map(({ mails }) => mails > 5)).toEqual([true, true]);
}, 60_000);

test("mail to a domain whose limit is reached goes back once and waits there; all other mail goes out", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  await enqueueMany(database, 300, "slow.example");
  await enqueueMany(database, 50, "fast.example");
  const writes = await countWrites(database);
  await using running = await openTestRelay(database, { smtpPort: server.port, rate: "domain:slow.example=2/h" });
  running.relay.start();
  await server.whenMails(52);
  await until(async () => await waiting(database) === 298, "all that waits is given back");
  expect(server.mails.filter(({ recipients }) => recipients[0]?.endsWith("@slow.example"))).toHaveLength(2);
  const before = await writes();
  // Each was claimed once, and 298 given back once.
  expect(before).toBeWithin(350 + 298, 350 + 298 + 30);
  const [row] = await database.sql`
    select q.attempts, m.id, isfinite(q.due) as finite from mailchute.queue q join mailchute.message m using (seq) limit 1`;
  expect({ attempts: row?.attempts, finite: row?.finite }).toEqual({ attempts: 0, finite: true });
  const shown = await describeMessage(database, row?.id as string);
  expect(shown).toMatchObject({
    state: "queued",
    recipients: [{ state: "queued", reason: "Waits for its turn: the limit is domain:slow.example=2/h" }],
  });
  expect(shown).not.toHaveProperty("nextAttemptAt");
  expect(running.relay.reachedLimits().map(({ limit }) => limit)).toEqual(["domain:slow.example=2/h"]);
  // New mail for others still goes out at once, and nothing is written about those that wait.
  await enqueueMany(database, 10, "fast.example");
  await server.whenMails(62);
  expect(await writes()).toBeLessThanOrEqual(before + 12);

  // Without the limit, another run sends them at once.
  await running.relay.stop();
  await using free = await openTestRelay(database, { smtpPort: server.port });
  expect(await free.relay.runOnce()).toEqual({ waiting: 0, leased: 0 });
  expect(server.mails).toHaveLength(360);
}, 60_000);

test("what waits for a limit goes in order, an urgent mail first, and a relay that starts anew finds it", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  await enqueueMany(database, 40, "slow.example");
  const options = { smtpPort: server.port, connections: 1, rate: "domain:*=20/2s" };
  const first = await openTestRelay(database, options);
  first.relay.start();
  await until(async () => await waiting(database) > 5, "mail waits for the limit");
  await first.relay.stop();
  const sent = server.mails.length;
  await enqueue(database, { to: "u0@slow.example", subject: "Urgent", priority: "high" });
  await using second = await openTestRelay(database, options);
  expect(await second.relay.runOnce()).toEqual({ waiting: 0, leased: 0 });
  expect(server.mails).toHaveLength(41);
  const order = subjects(server).slice(sent);
  expect(order.indexOf("Urgent")).toBeLessThan(4);
  const numbers = subjects(server).filter((subject) => subject !== "Urgent").map((subject) => Number(subject.slice(4)));
  // What the first relay held when it was stopped waits for no limit, and may come behind what does.
  for (const [index, number] of numbers.entries()) expect(Math.abs(number - 1 - index)).toBeLessThan(20);
}, 60_000);

test(
  "of a message over two routes, one of which is limited, the others get theirs now, and the rest without a second attempt",
  async () => {
    await using internal = await startScriptedServer();
    await using provider = await startScriptedServer();
    await using database = await createDatabase();
    const routes = { internal: internal.port, provider: provider.port };
    const rules = "to:corp.example=internal, *=provider";
    await using running = await openTestRelay(database, { routes, rules, rate: "route:provider=1/3s" });
    running.relay.start();
    await enqueue(database, { to: "a@example.net" });
    await provider.whenMails(1);
    const id = await enqueue(database, { to: ["ann@corp.example", "bob@example.net"] });
    await internal.whenMails(1);
    await until(
      async () => (await describeMessage(database, id)).recipients[0]?.state === "sent",
      "the first recipient is settled",
    );
    expect((await describeMessage(database, id)).recipients[1]).toMatchObject({
      state: "queued",
      reason: "Waits for its turn: the limit is route:provider=1/3s",
    });
    await provider.whenMails(2);
    await until(async () => (await describeMessage(database, id)).state === "sent", "all are settled");
    expect((await describeMessage(database, id)).attempts.map(({ number, outcome }) => [number, outcome]))
      .toEqual([[1, "sent"], [1, "sent"]]);
    expect(internal.mails).toHaveLength(1);
  },
  60_000,
);

test(
  "a mail that waits for a limit expires in time, can be canceled, and goes to another time when it is moved there",
  async () => {
    await using server = await startScriptedServer();
    await using database = await createDatabase();
    await using running = await openTestRelay(database, { smtpPort: server.port, rate: "domain:*=1/d" });
    await enqueue(database);
    const expiresAt = new Date(Date.now() + 1_500).toISOString();
    const expiring = await enqueue(database, { expiresAt });
    const canceled = await enqueue(database);
    const moved = await enqueue(database);
    running.relay.start();
    await until(async () => await waiting(database) === 3, "three wait");
    const answers = await database.sql`
    select mailchute.cancel_v1(${canceled}) as cancel, mailchute.reschedule_v1(${moved}, now() + interval '1 day') as move`;
    expect({ ...answers[0] }).toEqual({ cancel: "canceled", move: "rescheduled" });
    expect((await describeMessage(database, moved)).state).toBe("scheduled");
    await until(async () => (await describeMessage(database, expiring)).state === "expired", "it expires");
    expect((await describeMessage(database, expiring)).recipients[0]?.reason).toContain("expiresAt");
    expect(await waiting(database)).toBe(0);
  },
  60_000,
);

test("a database with ten mails waits for no database with thousands, without a limit and with one", async () => {
  for (const rate of [undefined, "50/s"]) {
    await using server = await startScriptedServer();
    await using large = await createDatabase();
    await using small = await createDatabase();
    await enqueueMany(large, rate === undefined ? 5_000 : 120, "large.example");
    await using running = await openTestRelay(large, {
      smtpPort: server.port,
      others: { small },
      ...(rate && { rate }),
    });
    running.relay.start();
    await server.whenMails(rate === undefined ? 200 : 60);
    await enqueueMany(small, 10, "small.example");
    const ofSmall = () =>
      server.mails.flatMap(({ recipients }, index) => recipients[0]?.endsWith("@small.example") ? [index] : []);
    await server.whenMails(rate === undefined ? 2_500 : 110);
    expect({ rate, count: ofSmall().length }).toEqual({ rate, count: 10 });
    // Side by side: with the limit, hardly more than one of the others to each.
    const [first = 0, last = Infinity] = [ofSmall().at(0), ofSmall().at(-1)];
    if (rate !== undefined) expect(last - first).toBeLessThan(35);
  }
}, 60_000);

test(
  "while the home database is away, mail of another database goes out at this relay's share of the limit, and the log says so",
  async () => {
    const { server, atMs } = await startClockedServer();
    await using _server = server;
    await using home = await createDatabase();
    await using other = await createDatabase();
    await using proxy = await startDatabaseProxy(home.url);
    await using running = await openTestRelay({ ...home, url: proxy.url }, {
      ...{ smtpPort: server.port, others: { other }, rate: RATE },
    });
    running.relay.start();
    await enqueueMany(other, 5);
    await server.whenMails(5);
    proxy.refuse();
    const awayMs = performance.now();
    await enqueueMany(other, 20);
    await server.whenMails(25);
    // The share of the only relay is the whole rate, and begins empty; what it had taken ahead, it may use.
    const alone = atMs.slice(5);
    expect(early(alone, awayMs, { count: 6, periodMs: 600 })).toBe(0);
    const said = (text: string) => running.lines.filter((line) => line.includes(text));
    expect(said("limits are kept by this relay's share")).toHaveLength(1);
    proxy.pass();
    await until(async () => {
      await enqueueMany(other, 1);
      return said("limits are kept by all relays together again").length === 1;
    }, "home is asked again");
  },
  60_000,
);

for (const [what, rate] of [["domain", "domain:*=20/s"], ["stream", "stream:bulk=20/s"]] as const) {
  test(
    `run --once ends while a route is out, though its mail waits for the limit of a ${what}, and takes all other mail along`,
    async () => {
      await using server = await startScriptedServer();
      await using gone = await startScriptedServer({ on: { connect: () => ({ close: "421 4.3.2 not now" }) } });
      await using database = await createDatabase();
      const send = (to: string) => enqueue(database, { to, stream: "bulk" });
      for (let number = 1; number <= 25; number++) await send(`u${number}@out.example`);
      {
        await using running = await openTestRelay(database, { smtpPort: gone.port, rate });
        expect(await running.relay.runOnce()).toEqual({ waiting: 25, leased: 0 });
      }
      for (let number = 1; number <= 25; number++) await send(`u${number}@example.com`);
      await database.sql`update mailchute.queue set due = now() where throttle is null`;
      const routes = { out: gone.port, up: server.port };
      await using running = await openTestRelay(database, { routes, rules: "to:out.example=out, *=up", rate });
      expect(await running.relay.runOnce()).toEqual({ waiting: 25, leased: 0 });
      expect(server.mails).toHaveLength(25);
    },
    60_000,
  );
}
