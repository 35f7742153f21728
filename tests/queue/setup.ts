import { randomUUID } from "node:crypto";
import postgres, { type Sql } from "postgres";
import type { RoutedOutcome } from "../../relay/delivery/transport.ts";
import { type ClaimedMessage, Queue, type Settlement } from "../../relay/queue/queue.ts";
import { registerRelay } from "../../relay/queue/relay_row.ts";
import { type Clock, systemClock } from "../../relay/time/clock.ts";
import type { TestDatabase } from "../database.ts";
import { type TestRelay, until } from "../relay.ts";

/** A relay's side of the queue, without a relay around it. */
export interface TestQueue {
  readonly queue: Queue;
  readonly relayId: string;
  readonly instance: string;
}

/** Registers one more relay and gives its queue. */
export async function openQueue(
  database: { readonly sql: Sql },
  options: { readonly leaseMs?: number; readonly instance?: string; readonly clock?: Pick<Clock, "now"> } = {},
): Promise<TestQueue> {
  const { leaseMs = 60_000, instance = randomUUID(), clock = systemClock } = options;
  const relayId = await registerRelay(database.sql, { instance, host: "test", pid: process.pid });
  return { queue: new Queue(database.sql, { relayId, leaseMs, clock }), relayId, instance };
}

/** Enqueues many mails with one statement, to u1@example.com and so on. */
export async function fill(database: TestDatabase, count: number): Promise<void> {
  await database.sql`
    select count(mailchute.send(jsonb_build_object('from', 'shop@example.com', 'to', 'u' || i || '@example.com', 'subject', 'Hi', 'text', 'Hi')))
    from generate_series(1, ${count}) i`;
}

/** One more connection of its own to the database of a test. */
export function openConnection(database: TestDatabase): Sql & AsyncDisposable {
  const sql = postgres(database.url, { max: 1, onnotice: () => {}, fetch_types: false });
  return Object.assign(sql, { [Symbol.asyncDispose]: () => sql.end({ timeout: 1 }) });
}

/** What keeps relays from saying that a final dot may be written. */
export interface HeldIntents extends AsyncDisposable {
  /** A relay is at it: it has made the mail ready, and waits for the database. */
  reached(): Promise<void>;
  release(): Promise<void>;
}

/** Lets no relay say that a final dot may be written, until the test does. */
export async function holdIntents(database: TestDatabase): Promise<HeldIntents> {
  const holder = openConnection(database);
  await holder`select pg_advisory_lock(1)`;
  await database.sql.unsafe(
    "create function hold_intent() returns trigger language plpgsql as 'begin perform pg_advisory_xact_lock(1); return new; end'",
  );
  await database.sql.unsafe(
    "create trigger hold_intent before update on mailchute.queue for each row when (new.intent and not old.intent) execute function hold_intent()",
  );
  return {
    reached: () =>
      until(async () => {
        const waiting = await database
          .sql`select from pg_stat_activity where datname = current_database() and wait_event = 'advisory'`;
        return waiting.length > 0;
      }, "a relay is about to say that a final dot may be written"),
    release: async () => void await holder`select pg_advisory_unlock(1)`,
    [Symbol.asyncDispose]: () => holder.end({ timeout: 1 }),
  };
}

/** What the next hop said to one recipient. */
export function outcome(kind: RoutedOutcome["kind"], position = 0): RoutedOutcome {
  const code = { sent: 250, deferred: 450, bounced: 550, uncertain: undefined }[kind];
  const reason = `The reply that means ${kind}`;
  return {
    position,
    kind,
    phase: "final",
    blame: "recipient",
    reason,
    route: "default",
    ...(code === undefined ? {} : { reply: { code, text: reason } }),
  };
}

/** The settlement of a message all of whose recipients were answered alike. */
export function settlement(
  message: ClaimedMessage,
  kind: RoutedOutcome["kind"],
  next?: Settlement["next"],
): Settlement {
  const { seq, lease, attempt, recipients } = message;
  const state = kind === "uncertain" ? "held" : kind;
  return {
    seq,
    lease,
    attempt,
    next,
    outcomes: recipients.filter(({ open }) => open).map(({ position }) => outcome(kind, position)),
    recipients: recipients.filter(({ open }) => open).map(({ position }) => ({ position, state, reason: undefined })),
  };
}

/** Ends the lease of a message, as time would. */
export async function endLeases(database: TestDatabase): Promise<void> {
  await database.sql`update mailchute.queue set due = now() - interval '1 millisecond' where leased_by is not null`;
}

/** One message's row of the queue; undefined when it has none. */
export async function queueRow(
  database: TestDatabase,
  seq: string,
): Promise<Readonly<Record<string, unknown>> | undefined> {
  const [row] = await database.sql`
    select lease::float8 as lease, attempts, leased_by::text as "leasedBy", due = 'infinity' as held, due <= now() as "isDue"
    from mailchute.queue where seq = ${seq}::bigint`;
  return row === undefined ? undefined : { ...row };
}

/** Everything that is recorded of a message, to be compared before and after. */
export async function everything(database: TestDatabase, seq: string): Promise<string> {
  const [row] = await database.sql`
    select (select to_jsonb(q) from mailchute.queue q where q.seq = ${seq}::bigint) as queue,
      (select jsonb_agg(r order by r.position) from mailchute.recipient r where r.seq = ${seq}::bigint) as recipients,
      (select jsonb_agg(a order by a.number, a.position) from mailchute.attempt a where a.seq = ${seq}::bigint) as attempts`;
  return JSON.stringify(row);
}

/**
 * Resolves when something about a relay in this process is so; each look waits for the database, so that the relay can
 * go on.
 */
export async function untilSeen(database: TestDatabase, seen: () => boolean, what: string): Promise<void> {
  await until(async () => {
    await database.sql`select`;
    return seen();
  }, what);
}

/** Resolves when a relay has logged this. */
export async function untilLogged(database: TestDatabase, running: TestRelay, text: string): Promise<void> {
  await untilSeen(database, () => running.lines.some((line) => line.includes(text)), `logged: ${text}`);
}

/** Resolves when so many statements on this database wait for a lock. */
export async function waitForLocks(database: TestDatabase, count: number): Promise<void> {
  await until(async () => {
    const [row] = await database.sql`
      select count(*)::int as waiting from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
    return row?.waiting >= count;
  }, `${count} wait for a lock`);
}
