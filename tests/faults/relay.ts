import { expect } from "bun:test";
import { type Clock, systemClock } from "../../relay/time/clock.ts";
import { startDatabaseProxy } from "../database_proxy.ts";
import { createDatabase, type TestDatabase } from "../database.ts";
import { type RelayProcess, startRelayProcess, temporaryDirectory } from "../relay_process.ts";
import { enqueue, enqueueMany, makeDue, openTestRelay, until } from "../relay.ts";
import { type ScriptedServer, startScriptedServer } from "../scripted_server.ts";
import { type DeafServer, PHASES, startDeafServer } from "./deaf_server.ts";
import type { RelayFault } from "./fault.ts";
import { restartUnderNodemailer } from "./nodemailer_alone.ts";

/** What only a whole relay can show, with its database; tests/acceptance has more on crashes and stops. */
export const RELAY_FAULTS: readonly RelayFault[] = [
  {
    id: "S07",
    name: "the server restarts in the middle of 20 mails",
    then: "each is sent once, in its first attempt",
    run: restart,
    nodemailer: restartUnderNodemailer,
  },
  {
    id: "S08",
    name: "the clock is set back by a day, and forward by an hour",
    then: "each mail is sent once",
    run: clockJump,
  },
  {
    id: "S09",
    name: "kill -9 of the relay with a mail in each phase",
    then: "the next relay sends all, and twice only one that is on record as uncertain",
    run: kill,
  },
  {
    id: "S10",
    name: "the database is gone between 250 and its record",
    then: "the mail is recorded as sent once it is back, and sent once",
    run: databaseGone,
  },
  {
    id: "S11",
    name: "SIGTERM with a mail in each phase",
    then: "no mail stays leased, those after the final dot are uncertain, the others are sent once later",
    run: terminate,
  },
];

async function restart(): Promise<void> {
  await using database = await createDatabase();
  await enqueueMany(database, 20);
  const { promise: gone, resolve: leave } = Promise.withResolvers<void>();
  const first = await startScriptedServer({
    on: {
      mail: (_, { count }) => {
        if (count < 8) return undefined;
        leave();
        return { hang: true };
      },
    },
  });
  await using running = await openTestRelay(database, { smtpPort: first.port, connections: 1, pollMs: 50 });
  running.relay.start();
  await gone;
  await first.close();
  await using second = await startScriptedServer({ port: first.port });
  await second.whenMails(13);
  await untilSettled(database);
  expect(copiesIn(first, second)).toEqual(once(20));
  expect(await attemptsOf(database)).toEqual(Object.fromEntries(addresses(20).map((address) => [address, ["sent"]])));
}

async function clockJump(): Promise<void> {
  let offsetMs = 0;
  const clock: Clock = { now: () => systemClock.now() + offsetMs, after: systemClock.after };
  let isOut = true;
  await using server = await startScriptedServer({
    on: {
      connect: () => isOut ? { close: "421 4.3.2 down" } : undefined,
      content: (_, { count }) => {
        if (count === 10) offsetMs += 25 * 3_600_000;
        return undefined;
      },
    },
  });
  await using database = await createDatabase();
  await enqueueMany(database, 20);
  await using running = await openTestRelay(database, { smtpPort: server.port, connections: 1, pollMs: 50, clock });
  running.relay.start();
  // The route is given up for a while that is measured by this clock.
  await server.whenConnections(5);
  offsetMs -= 24 * 3_600_000;
  isOut = false;
  await server.whenMails(20);
  await untilSettled(database);
  expect(copiesIn(server)).toEqual(once(20));
}

/** Mails before those that stay in a phase: a relay opens many connections only to a server that answers. */
const WARM_UP = 20;
const OTHERS = PHASES.map((_, number) => `m${number}@example.com`);

/** Brings a relay to where it has one mail in each phase. */
async function startIntoDeafness(
  database: TestDatabase,
  deaf: DeafServer,
  env: Readonly<Record<string, string>>,
): Promise<RelayProcess> {
  await enqueueMany(database, WARM_UP);
  const relay = startRelayProcess(["run"], env);
  await deaf.server.whenMails(WARM_UP);
  await untilSettled(database);
  await deaf.deafen();
  for (const to of OTHERS) await enqueue(database, { to });
  await deaf.isReached;
  return relay;
}

async function kill(): Promise<void> {
  await using database = await createDatabase();
  const deaf = await startDeafServer();
  await using server = deaf.server;
  using state = temporaryDirectory();
  const env = environment(database, { server, state });
  await using first = await startIntoDeafness(database, deaf, env);
  first.kill("SIGKILL");
  await first.exited;
  expect(server.mails).toHaveLength(WARM_UP + 1);

  expect(await startRelayProcess(["run", "--once"], env).exited).toBe(0);
  const taken = deaf.recipients.get("taken") as string;
  // Those whose final dot was out are on record as uncertain, and wait for five minutes: the journal knows which.
  const waiting = new Set(["content", "taken"].map((phase) => deaf.recipients.get(phase) as string));
  const now = Object.entries(onceAll()).filter(([address]) => address === taken || !waiting.has(address));
  expect(copiesIn(server)).toEqual(Object.fromEntries(now));
  const uncertain = Object.entries(await attemptsOf(database)).filter(([, kinds]) => kinds.includes("uncertain"));
  expect(new Set(uncertain.map(([address]) => address))).toEqual(waiting);
  await makeDue(database);
  expect(await startRelayProcess(["run", "--once"], env).exited).toBe(0);
  expect(copiesIn(server)).toEqual({ ...onceAll(), [taken]: 2 });
  const messageIds = server.mails.filter(({ recipients }) => recipients.includes(taken))
    .map(({ content }) => /^Message-ID: (.*)\r$/m.exec(content)?.[1]);
  expect(new Set(messageIds).size).toBe(1);
  expect(new Set(Object.values(await statesOf(database)))).toEqual(new Set(["sent"]));
}

async function terminate(): Promise<void> {
  await using database = await createDatabase();
  const deaf = await startDeafServer();
  await using server = deaf.server;
  using state = temporaryDirectory();
  const env = { ...environment(database, { server, state }), RELAY_GRACE: "100ms" };
  await using first = await startIntoDeafness(database, deaf, env);
  first.kill("SIGTERM");
  expect(await first.exited).toBe(0);
  const [row] = await database.sql`select count(leased_by)::int as leased, count(*)::int as open from mailchute.queue`;
  expect({ ...row }).toEqual({ leased: 0, open: PHASES.length });
  const attempts = await attemptsOf(database);
  const triedIn = PHASES.filter((phase) => attempts[deaf.recipients.get(phase) as string] !== undefined);
  expect(triedIn).toEqual(["rcpt", "data", "content", "taken"]);
  const outcomes = triedIn.map((phase) => attempts[deaf.recipients.get(phase) as string]?.join());
  expect(outcomes).toEqual(["deferred", "deferred", "uncertain", "uncertain"]);
  // The others had not been begun.
  expect(Object.keys(attempts)).toHaveLength(WARM_UP + 4);

  await makeDue(database);
  expect(await startRelayProcess(["run", "--once"], env).exited).toBe(0);
  expect(copiesIn(server)).toEqual({ ...onceAll(), [deaf.recipients.get("taken") as string]: 2 });
}

function onceAll(): Readonly<Record<string, number>> {
  return { ...once(WARM_UP), ...Object.fromEntries(OTHERS.map((address) => [address, 1])) };
}

async function databaseGone(): Promise<void> {
  await using database = await createDatabase();
  await using proxy = await startDatabaseProxy(database.url);
  await using server = await startScriptedServer({
    on: {
      content: () => {
        proxy.refuse();
        return undefined;
      },
    },
  });
  await enqueue(database, { to: "u1@example.com" });
  await using running = await openTestRelay({ ...database, url: proxy.url }, { smtpPort: server.port, pollMs: 50 });
  running.relay.start();
  await server.whenMails(1);
  expect(await statesOf(database)).toEqual({ "u1@example.com": "sending" });
  proxy.pass();
  await untilSettled(database);
  expect(copiesIn(server)).toEqual(once(1));
  expect(await attemptsOf(database)).toEqual({ "u1@example.com": ["sent"] });
}

function environment(
  database: TestDatabase,
  others: { readonly server: ScriptedServer; readonly state: { readonly path: string } },
): Readonly<Record<string, string>> {
  return {
    DATABASE_URL: database.url,
    SMTP_URL: `smtp://127.0.0.1:${others.server.port}?tls=none`,
    RELAY_CONNECTIONS: String(PHASES.length),
    RELAY_STATE_DIR: others.state.path,
    PORT: "0",
  };
}

/** The recipients of `enqueueMany`. */
function addresses(count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `u${index + 1}@example.com`);
}

function once(count: number): Readonly<Record<string, number>> {
  return Object.fromEntries(addresses(count).map((address) => [address, 1]));
}

/** How often each recipient is in the ledgers. */
function copiesIn(...servers: readonly ScriptedServer[]): Readonly<Record<string, number>> {
  const copies: Record<string, number> = {};
  for (const { mails } of servers) {
    for (const address of mails.flatMap(({ recipients }) => recipients)) copies[address] = (copies[address] ?? 0) + 1;
  }
  return copies;
}

async function untilSettled(database: TestDatabase): Promise<void> {
  await until(async () => (await database.sql`select from mailchute.queue`).count === 0, "settled");
}

async function statesOf(database: TestDatabase): Promise<Readonly<Record<string, string>>> {
  const rows = await database.sql`
    select r.email, (mailchute.status_v1(m.id)->>'state') as state
    from mailchute.recipient r join mailchute.message m using (seq)`;
  return Object.fromEntries(rows.map(({ email, state }) => [email as string, state as string]));
}

/** The outcomes of each recipient's attempts. */
async function attemptsOf(database: TestDatabase): Promise<Readonly<Record<string, readonly string[]>>> {
  const rows = await database.sql`select mailchute.status_v1(id)->'attempts' as attempts from mailchute.message`;
  const all = rows.flatMap(({ attempts }) => attempts as readonly { address: string; outcome: string }[]);
  const outcomes: Record<string, string[]> = {};
  for (const { address, outcome } of all) (outcomes[address] ??= []).push(outcome);
  return outcomes;
}
