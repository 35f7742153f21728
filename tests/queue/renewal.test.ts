import { expect, test } from "bun:test";
import { type Clock, systemClock } from "../../relay/time/clock.ts";
import { createDatabase, type TestDatabase } from "../database.ts";
import { startHeldServer } from "../held_server.ts";
import { describeMessage, enqueue, openTestRelay, until } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";
import { openQueue, untilSeen } from "./setup.ts";

const LEASE_MS = 2_000;

test("the lease of a dialogue that takes longer is renewed, so that nobody else claims its message", async () => {
  await using server = await startHeldServer();
  await using database = await createDatabase();
  const id = await enqueue(database);
  await using running = await openTestRelay(database, { smtpPort: server.port, leaseMs: LEASE_MS });
  running.relay.start();
  await server.reached;
  const [first] = await database.sql`select due::text as ends, lease::int from mailchute.queue`;
  const other = await openQueue(database, { leaseMs: LEASE_MS });

  // The first lease and one more have ended by the clock of the database.
  await until(async () => {
    expect((await other.queue.claim(1)).messages).toEqual([]);
    const [row] = await database.sql`select now() > ${first
      ?.ends as string}::timestamptz + interval '1 second' as over`;
    return row?.over === true;
  }, "over");
  const [renewed] = await database.sql`select lease::int, attempts, due > now() as valid from mailchute.queue`;
  expect({ ...renewed }).toEqual({ lease: first?.lease as number, attempts: 1, valid: true });

  server.release();
  await until(async () => (await describeMessage(database, id)).state === "sent", "sent");
  expect(server.mails).toHaveLength(1);
  expect(running.relay.counters.settledStale).toBe(0);
}, 60_000);

test("run --once waits for the leases of relays that stopped or have been silent for a minute, and for no others", async () => {
  await using database = await createDatabase();
  const [own, other] = [await openQueue(database), await openQueue(database, { leaseMs: LEASE_MS })];
  await enqueue(database);
  expect((await other.queue.claim(1)).messages).toHaveLength(1);
  expect(await own.queue.deadLeaseMs()).toBeUndefined();
  for (const is of ["stopped_at = now()", "heartbeat_at = now() - interval '61 seconds'"]) {
    await database.sql`update mailchute.relay set stopped_at = null, heartbeat_at = now()`;
    await database.sql.unsafe(`update mailchute.relay set ${is}`);
    const waitMs = await own.queue.deadLeaseMs() ?? Number.NaN;
    expect(waitMs).toBeWithin(-60_000, LEASE_MS + 1);
    // It does not wait for itself.
    expect(await other.queue.deadLeaseMs()).toBeUndefined();
  }
});

test("a relay that has lost a lease lets the dialogue end, writes nothing and counts it", async () => {
  await using server = await startHeldServer();
  await using database = await createDatabase();
  const id = await enqueue(database);
  await using running = await openTestRelay(database, { smtpPort: server.port });
  running.relay.start();
  await server.reached;
  // As after a relay that was frozen past its lease.
  const other = await openQueue(database);
  await database
    .sql`update mailchute.queue set leased_by = ${other.relayId}::bigint, lease = lease + 1, attempts = attempts + 1, due = now() + interval '1 minute'`;
  server.release();
  await untilSeen(database, () => running.relay.counters.settledStale === 1, "counted");
  expect(await describeMessage(database, id)).toMatchObject({ state: "sending", attempts: [] });
  expect(running.lines.some((line) => line.includes("another relay has taken these messages over"))).toBe(true);
});

test("a mail that is answered while its relay claims it again, and does not know its new lease yet, is settled and not sent again", async () => {
  await using server = await startHeldServer();
  await using database = await createDatabase();
  const id = await enqueue(database);
  await using running = await openTestRelay(database, { smtpPort: server.port });
  running.relay.start();
  await server.reached;
  // What the claim looks up before it is done has to wait.
  const blocker = await database.sql.reserve();
  await blocker`begin`;
  await blocker`lock table mailchute.content in access exclusive mode`;
  await database.sql`update mailchute.queue set due = now()`;
  await database.sql`notify mailchute`;
  await until(
    async () => (await database.sql`select from mailchute.queue where lease = 2`).count === 1,
    "claimed again",
  );
  server.release();
  // The settlement names the lease that it knows, and is refused.
  await until(
    async () =>
      (await database
        .sql`select from pg_stat_activity where query like '%delete from mailchute.queue%' and datname = current_database()
      and pid <> pg_backend_pid() and state = 'idle'`).count > 0,
    "refused",
  );
  await blocker`rollback`;
  blocker.release();
  await until(async () => (await describeMessage(database, id)).state === "sent", "sent");
  const { attempts } = await describeMessage(database, id);
  expect(attempts.map(({ number, outcome }) => [number, outcome])).toEqual([[1, "sent"]]);
  expect(server.mails).toHaveLength(1);
  expect(running.relay.counters.settledStale).toBe(0);
});

test("a relay that claims its own message again, its lease having ended under way, does not send it again", async () => {
  await using server = await startHeldServer();
  await using database = await createDatabase();
  const id = await enqueue(database);
  await using running = await openTestRelay(database, { smtpPort: server.port });
  running.relay.start();
  await server.reached;
  // As after an outage of the database that was longer than the lease.
  await database.sql`update mailchute.queue set due = now()`;
  await database.sql`notify mailchute`;
  await until(
    async () => (await database.sql`select from mailchute.queue where lease = 2`).count === 1,
    "claimed again",
  );
  server.release();
  await until(async () => (await describeMessage(database, id)).state === "sent", "sent");
  const { attempts } = await describeMessage(database, id);
  expect(attempts.map(({ number, outcome }) => [number, outcome])).toEqual([[1, "sent"]]);
  expect(server.mails).toHaveLength(1);
  expect(running.relay.counters.settledStale).toBe(0);
});

/**
 * A relay whose leases nobody renews: the clock of its timers stands still, and that of the time is set by the test.
 */
function stillClock(): { readonly clock: Clock; pass(ms: number): void } {
  let passedMs = 0;
  const startedMs = systemClock.now();
  return {
    clock: {
      now: () => startedMs + passedMs,
      after: (delayMs, callback) => delayMs > 1_000 ? () => undefined : systemClock.after(delayMs, callback),
    },
    pass: (ms) => void (passedMs += ms),
  };
}

const LONG_LEASE_MS = 120_000;
const LAST_QUARTER_MS = LONG_LEASE_MS * 3 / 4;

/** One mail, and a server that lets time pass in one phase of its dialogue. */
async function deliverWhile(database: TestDatabase, phase: "rcpt" | "content", passMs: number) {
  const time = stillClock();
  const id = await enqueue(database);
  let hasPassed = false;
  const pass = () => {
    if (!hasPassed) time.pass(passMs);
    hasPassed = true;
    return undefined;
  };
  const server = await startScriptedServer({ on: { [phase]: pass } });
  const running = await openTestRelay(database, { smtpPort: server.port, leaseMs: LONG_LEASE_MS, clock: time.clock });
  return { id, server, running };
}

for (
  const [what, passMs, brokenOff] of [
    ["a lease that has a quarter left", LAST_QUARTER_MS - 1_000, 0],
    ["a lease in its last quarter", LAST_QUARTER_MS, 1],
  ] as const
) {
  test(`on ${what} the final dot is ${brokenOff ? "not " : ""}written, and the mail is sent once`, async () => {
    await using database = await createDatabase();
    const { id, server, running } = await deliverWhile(database, "rcpt", passMs);
    await using _server = server;
    await using _running = running;
    running.relay.start();
    await until(async () => (await describeMessage(database, id)).state === "sent", "sent");
    const broken = running.lines.filter((line) => line.includes("Its lease was not renewed while it was being sent"));
    expect(broken).toHaveLength(brokenOff);
    expect(server.mails).toHaveLength(1);
    const { attempts } = await describeMessage(database, id);
    expect(attempts.map(({ number, outcome }) => [number, outcome])).toEqual([[1, "sent"]]);
  });
}

test("a mail that has waited for its connection until the last quarter of its lease is given back, and not begun", async () => {
  const time = stillClock();
  await using database = await createDatabase();
  const ids = [await enqueue(database), await enqueue(database)];
  const claimed = Promise.withResolvers<void>();
  await using server = await startScriptedServer({
    offer: [],
    on: {
      content: async () => {
        // The second waits behind the first, on the only connection.
        if (server.mails.length > 0) return undefined;
        await claimed.promise;
        time.pass(LAST_QUARTER_MS);
        return undefined;
      },
    },
  });
  await using running = await openTestRelay(database, {
    ...{ smtpPort: server.port, connections: 1, leaseMs: LONG_LEASE_MS, clock: time.clock },
  });
  running.relay.start();
  await server.whenSaid("DATA");
  await untilSeen(database, () => running.relay.stations[0]?.drain.inFlight === 2, "both are held");
  claimed.resolve();
  await until(async () => {
    for (const id of ids) if ((await describeMessage(database, id)).state !== "sent") return false;
    return true;
  }, "both are sent");
  expect(server.mails).toHaveLength(2);
  const said = server.transcripts.map(({ client }) => client).join("");
  expect(said.match(/^MAIL /gm)).toHaveLength(2);
  expect(running.lines.filter((line) => line.includes("delivery failed"))).toEqual([]);
  const [second] = await database.sql`select count(*)::int as attempts, max(number) as number from mailchute.attempt`;
  expect({ ...second }).toEqual({ attempts: 2, number: 1 });
});
