import { expect, test } from "bun:test";
import type { Statements } from "../../relay/database/statements.ts";
import { StateCounts } from "../../relay/queue/state_counts.ts";
import { createDatabase } from "../database.ts";
import { enqueueItem } from "../digest/setup.ts";
import { ManualClock } from "../manual_clock.ts";
import { enqueue, until } from "../relay.ts";
import { startRelayProcess, temporaryDirectory } from "../relay_process.ts";
import { startScriptedServer } from "../scripted_server.ts";
import { on, run } from "../command.ts";
import { fill } from "./setup.ts";

const NONE = { scheduled: 0, queued: 0, sending: 0, deferred: 0, held: 0 };

test(
  "/metrics says how many mails stand in the queue in which state: held for a person, tried and waiting, paused, and items of a digest",
  async () => {
    const hangs = Promise.withResolvers<void>();
    await using server = await startScriptedServer({
      on: {
        rcpt: (address) => {
          if (address.startsWith("busy")) return "450 4.2.1 busy";
          if (!address.startsWith("slow")) return undefined;
          hangs.resolve();
          return { hang: true };
        },
        content: (content) => content.includes("Subject: Lost") ? { acceptAndClose: true } : undefined,
      },
    });
    await using database = await createDatabase();
    await run(["pause", "--stream", "bulk"], on(database));
    for (const to of ["busy1@example.com", "busy2@example.com", "slow@example.com"]) await enqueue(database, { to });
    await enqueue(database, { to: "lost@example.com", subject: "Lost", onUncertain: "hold" });
    await enqueue(database, { to: "later@example.com", scheduledAt: new Date(Date.now() + 86_400_000).toISOString() });
    await enqueueItem(database);
    for (let count = 0; count < 4; count++) await enqueue(database, { stream: "bulk" });
    using state = temporaryDirectory();
    await using relay = startRelayProcess(["run"], {
      ...on(database),
      SMTP_URL: `smtp://127.0.0.1:${server.port}?tls=none`,
      ...{ RELAY_STATE_DIR: state.path, PORT: "0" },
    });
    await relay.printed('"serving"');
    await hangs.promise;
    await until(async () => {
      const [row] = await database.sql`
      select count(*) filter (where state = 'deferred')::int as deferred, count(*) filter (where state = 'held')::int as held from mailchute.recipient`;
      const [paused] = await database
        .sql`select count(*)::int as mails from mailchute.queue where throttle like 'paused:%'`;
      return row?.deferred === 2 && row?.held === 1 && paused?.mails === 4;
    }, "the relay has tried them");

    const url = /"status":"([^"]+)"/.exec(relay.output())?.[1] as string;
    const text = await (await fetch(new URL("/metrics", url))).text();
    expect(text.split("\n").filter((line) => line.startsWith("mailchute_queue_messages"))).toEqual([
      'mailchute_queue_messages{database="home",state="scheduled"} 2',
      'mailchute_queue_messages{database="home",state="queued"} 4',
      'mailchute_queue_messages{database="home",state="sending"} 1',
      'mailchute_queue_messages{database="home",state="deferred"} 2',
      'mailchute_queue_messages{database="home",state="held"} 1',
    ]);
  },
  60_000,
);

test("however often somebody asks, it is counted once a minute, and a thousand times more seldom than it takes", async () => {
  await using database = await createDatabase();
  const clock = new ManualClock();
  let counts = 0;
  let takesMs = 0;
  const sql: Statements = {
    unsafe: (text, values, options) => {
      counts++;
      clock.pass(takesMs);
      return database.sql.unsafe(text, values, options);
    },
  };
  const states = new StateCounts({ sql, clock });
  expect(await states.read()).toEqual(NONE);
  await fill(database, 3);
  clock.pass(59_999);
  expect([await states.read(), counts]).toEqual([NONE, 1]);
  clock.pass(1);
  takesMs = 100;
  expect([(await states.read())?.queued, counts]).toEqual([3, 2]);
  // 100 s from its begin.
  clock.pass(99_899);
  await states.read();
  expect(counts).toBe(2);
  clock.pass(1);
  await states.read();
  expect(counts).toBe(3);
});

test("a count that takes long keeps nobody who asks: they get the one before, and all together begin no second one", async () => {
  const clock = new ManualClock();
  const gate = Promise.withResolvers<void>();
  let begun = 0;
  const sql: Statements = {
    unsafe: async () => {
      if (++begun === 2) await gate.promise;
      return [{ ...NONE, held: begun }];
    },
  };
  const states = new StateCounts({ sql, clock });
  expect((await states.read())?.held).toBe(1);
  clock.pass(60_000);
  const asked = [states.read(), states.read()];
  clock.pass(1_000);
  expect((await Promise.all(asked)).map((each) => each?.held)).toEqual([1, 1]);
  gate.resolve();
  expect([(await states.read())?.held, begun]).toEqual([2, 2]);
});

test("a database that does not answer has no numbers, rather than old ones", async () => {
  const clock = new ManualClock();
  let isAway = false;
  const sql: Statements = {
    unsafe: () => isAway ? Promise.reject(new Error("away")) : Promise.resolve([{ ...NONE, held: 7 }]),
  };
  const states = new StateCounts({ sql, clock });
  expect((await states.read())?.held).toBe(7);
  isAway = true;
  clock.pass(60_000);
  expect(await states.read()).toBeUndefined();
});
