import type { Sql } from "postgres";
import type { Outcome } from "./transport.ts";

// DESIGN: every SQL that names a lease. A row of `queue` belongs to whoever's id and lease number it carries; each statement here
// names both, and its answer says which rows were still ours. A row that is not answered has been taken over: its outcome is not
// written, since the new holder writes its own.

/** A message that this relay holds, with all it takes to compose and send it but the content. */
export interface ClaimedMessage {
  readonly seq: string;
  readonly lease: string;
  /** The number of the attempt that may begin now. */
  readonly attempt: number;
  /** True when the lease of another relay had run out. */
  readonly takenOver: boolean;
  readonly id: string;
  readonly contentId: string;
  readonly from: { readonly email: string; readonly name: string | null };
  readonly replyTo: readonly { readonly email: string; readonly name?: string | null }[];
  readonly returnPath: string | null;
  readonly unsubscribe: string | null;
  readonly onUncertain: "retry" | "hold" | null;
  /** Epoch milliseconds: the later of enqueue and schedule. */
  readonly firstDueMs: number;
  readonly expiresAtMs: number | null;
  /** Epoch milliseconds: when a person last asked to try it again. */
  readonly retriedAtMs: number | null;
  /** All of them: To and Cc for the headers, the open ones for the envelope. */
  readonly recipients: readonly ClaimedRecipient[];
}

export interface ClaimedRecipient {
  readonly position: number;
  readonly kind: "to" | "cc" | "bcc";
  readonly email: string;
  readonly name: string | null;
  /** True while it waits for an attempt; false once final, and while held. */
  readonly open: boolean;
  /** True while it waits for a person. */
  readonly held: boolean;
}

/** What becomes of one claimed message. */
export interface Settlement {
  readonly seq: string;
  readonly lease: string;
  readonly attempt: number;
  /** The wait before the next attempt; `"held"` without end; undefined: all recipients are final. */
  readonly next: number | "held" | undefined;
  /** What the attempt brought; empty when there was none (expired before it began). */
  readonly outcomes: readonly Outcome[];
  readonly recipients: readonly {
    readonly position: number;
    readonly state: string;
    readonly reason: string | undefined;
  }[];
}

/** What is left when nothing more can be done. */
export interface Remaining {
  /** Messages that are due, or were given back because the route was out. */
  readonly waiting: number;
  /** Messages that relays hold. */
  readonly leased: number;
}

export interface Claim {
  readonly messages: readonly ClaimedMessage[];
  /** The database's clock at the claim. */
  readonly nowMs: number;
}

/**
 * Index: queue_due, one range of it per lane. `= any(array(…))` and not a join: under a generic plan the join becomes a hash join over
 * the whole queue. `offset 0` keeps the planner from turning the lookups by key into one.
 */
export const CLAIM = `
with pick as materialized (
  select x.seq, x.leased_by, v.lane
  from (values (0::smallint), (1::smallint), (2::smallint)) as v(lane)
  cross join lateral (
    select q.seq, q.leased_by from mailchute.queue q
    where q.lane = v.lane and q.due <= now()
    order by q.due, q.seq
    limit $3::int
    for update skip locked
  ) x
  limit $3::int
), claimed as (
  update mailchute.queue q
  set due = now() + make_interval(secs => $2::float8 / 1000), lease = q.lease + 1, leased_by = $1::bigint, attempts = q.attempts + 1
  where q.seq = any (array(select seq from pick))
  returning q.seq, q.lease, q.attempts, q.retried_at
)
select c.seq::text, c.lease::text, c.attempts, extract(epoch from c.retried_at) * 1000 as retried_at_ms, p.leased_by is not null as taken_over, m.*, r.recipients,
  extract(epoch from now()) * 1000 as now_ms
from claimed c
join pick p on p.seq = c.seq
cross join lateral (
  select m.id, m.content_id, m.from_email, m.from_name, m.reply_to, m.return_path, m.unsubscribe, m.on_uncertain,
    extract(epoch from greatest(m.created_at, m.scheduled_at)) * 1000 as first_due_ms, extract(epoch from m.expires_at) * 1000 as expires_at_ms
  from mailchute.message m where m.seq = c.seq offset 0
) m
cross join lateral (
  select json_agg(json_build_object('position', r.position, 'kind', r.kind, 'email', r.email, 'name', r.name,
    'open', r.state in ('queued', 'deferred'), 'held', r.state = 'held') order by r.position) as recipients
  from mailchute.recipient r where r.seq = c.seq offset 0
) r
order by p.lane, c.seq`;

/**
 * Index: the primary keys. Only rows that carry our id and the lease that we name; a row without delay that is not held ends. `= any` as in
 * CLAIM, beside the join that compares the leases: by the join alone, a plan made for a small queue reads all of a large one.
 */
export const SETTLE = `
with input as materialized (
  select * from jsonb_to_recordset($2::text::jsonb) as i(seq bigint, lease bigint, attempt integer, delay float8, held boolean, outcomes jsonb, recipients jsonb)
), ended as (
  delete from mailchute.queue q using input i
  where q.seq = any (array(select seq from input)) and q.seq = i.seq and q.lease = i.lease and q.leased_by = $1::bigint
    and i.delay is null and not i.held
  returning q.seq
), kept as (
  update mailchute.queue q
  set leased_by = null, attempts = i.attempt, due = case when i.held then 'infinity' else now() + make_interval(secs => i.delay / 1000) end
  from input i
  where q.seq = any (array(select seq from input)) and q.seq = i.seq and q.lease = i.lease and q.leased_by = $1::bigint
    and (i.held or i.delay is not null)
  returning q.seq
), ours as materialized (
  select i.* from input i where i.seq in (select seq from ended union all select seq from kept)
), noted as (
  insert into mailchute.attempt (seq, number, position, outcome, phase, blame, code, enhanced, reply, route, relay)
  select o.seq, o.attempt, x.position, x.kind, x.phase, x.blame, x.code, x.enhanced, x.reply, $3, $1::bigint
  from ours o cross join lateral jsonb_to_recordset(o.outcomes)
    as x(position smallint, kind text, phase text, blame text, code smallint, enhanced text, reply text)
  returning 1
), moved as (
  update mailchute.recipient r set state = x.state, reason = x.reason, changed_at = now()
  from ours o cross join lateral jsonb_to_recordset(o.recipients) as x(position smallint, state text, reason text)
  where r.seq = any (array(select seq from ours)) and r.seq = o.seq and r.position = x.position
  returning 1
)
select seq::text from ours`;

/** Index: queue_pkey. Gives claims back as if they had not been: nothing of them was started. `delay`: how long the route is expected to be out. */
export const RELEASE = `
with input as materialized (select * from jsonb_to_recordset($2::text::jsonb) as i(seq bigint, lease bigint, attempt integer))
update mailchute.queue q
set leased_by = null, due = now() + make_interval(secs => $3::float8 / 1000), attempts = i.attempt - 1
from input i
where q.seq = any (array(select seq from input)) and q.seq = i.seq and q.lease = i.lease and q.leased_by = $1::bigint
returning q.seq::text as seq`;

/** Index: queue_pkey. Prolongs leases; a row that is not answered is no longer ours. */
export const RENEW = `
with input as materialized (select * from jsonb_to_recordset($2::text::jsonb) as i(seq bigint, lease bigint))
update mailchute.queue q set due = now() + make_interval(secs => $3::float8 / 1000)
from input i
where q.seq = any (array(select seq from input)) and q.seq = i.seq and q.lease = i.lease and q.leased_by = $1::bigint
returning q.seq::text as seq`;

/** Makes due at once what the dead predecessors of this relay (same state directory) still held. Runs once, at the start. */
export const TAKE_BACK = `
update mailchute.queue q set leased_by = null, due = now(), lease = q.lease + 1, attempts = q.attempts - 1
where q.leased_by in (select r.id from mailchute.relay r where r.instance = $2::uuid and r.id <> $1::bigint)
returning q.seq::text as seq`;

/** Index: queue_due, its first entry per lane. Held rows are due at infinity. */
export const NEXT_DUE = `
select min(x.due) as due, extract(epoch from min(x.due) - now()) * 1000 as wait_ms
from (values (0::smallint), (1::smallint), (2::smallint)) as v(lane)
cross join lateral (
  select q.due from mailchute.queue q where q.lane = v.lane and q.due < 'infinity' order by q.due, q.seq limit 1
) x`;

/** Leases of relays that stopped or whose heart has not beaten for a minute. Reads the whole queue: only `run --once` asks, at its end. */
export const DEAD_LEASES = `
select extract(epoch from min(q.due) - now()) * 1000 as wait_ms
from mailchute.queue q join mailchute.relay r on r.id = q.leased_by
where r.id <> $1::bigint and (r.stopped_at is not null or r.heartbeat_at < now() - interval '1 minute')`;

/** What waits though it was due: also what was given back for a route that was out. Counted for the last words of `run --once`. */
export const REMAINING = `
select count(*) filter (where leased_by is null and (due <= now() or seq = any (array(select value::bigint from jsonb_array_elements_text($1::text::jsonb)))))::int as waiting,
  count(*) filter (where leased_by is not null)::int as leased
from mailchute.queue where due < 'infinity'`;

/** A message and the lease that we hold on it. */
export type Held = Pick<ClaimedMessage, "seq" | "lease">;

/** What is given back, with the attempt that it has not had. */
export type Unstarted = Pick<ClaimedMessage, "seq" | "lease" | "attempt">;

/** The queue of one database, as seen by one relay. */
export class Queue {
  readonly #sql: Sql;
  readonly #relayId: string;
  readonly #leaseMs: number;

  constructor(sql: Sql, options: { readonly relayId: string; readonly leaseMs: number }) {
    this.#sql = sql;
    this.#relayId = options.relayId;
    this.#leaseMs = options.leaseMs;
  }

  /** Claims at most `limit` due messages, high before normal before low, oldest first. */
  async claim(limit: number): Promise<Claim> {
    const rows = await this.#sql.unsafe(CLAIM, [this.#relayId, this.#leaseMs, limit], { prepare: true });
    return { messages: rows.map(toClaimed), nowMs: Number(rows[0]?.now_ms ?? Number.NaN) };
  }

  /** Writes outcomes and next states. @returns the messages that were still ours */
  async settle(settlements: readonly Settlement[], route: string): Promise<ReadonlySet<string>> {
    const input = JSON.stringify(settlements.map(toInput));
    return seqs(await this.#sql.unsafe(SETTLE, [this.#relayId, input, route], { prepare: true }));
  }

  /** Gives back what was not started. @returns the messages that were still ours */
  async release(held: readonly Unstarted[], delayMs: number): Promise<ReadonlySet<string>> {
    const input = JSON.stringify(held.map(({ seq, lease, attempt }) => ({ seq, lease, attempt })));
    return seqs(await this.#sql.unsafe(RELEASE, [this.#relayId, input, delayMs], { prepare: true }));
  }

  /** Prolongs leases by their full length. @returns the messages that are still ours */
  async renew(held: readonly Held[]): Promise<ReadonlySet<string>> {
    return seqs(await this.#sql.unsafe(RENEW, [this.#relayId, toPairs(held), this.#leaseMs], { prepare: true }));
  }

  /** Takes back what dead predecessors held. @returns how many messages */
  async takeBack(instance: string): Promise<number> {
    return (await this.#sql.unsafe(TAKE_BACK, [this.#relayId, instance])).length;
  }

  /** Milliseconds until the next row falls due (a schedule, a retry or the end of a lease); 0 or less: now; undefined: none. */
  async nextDueMs(): Promise<number | undefined> {
    const [row] = await this.#sql.unsafe(NEXT_DUE, [], { prepare: true });
    return row?.wait_ms === null || row?.wait_ms === undefined ? undefined : Number(row.wait_ms);
  }

  /** Milliseconds until the first lease of a dead relay ends; undefined: there is none. */
  async deadLeaseMs(): Promise<number | undefined> {
    const [row] = await this.#sql.unsafe(DEAD_LEASES, [this.#relayId]);
    return row?.wait_ms === null || row?.wait_ms === undefined ? undefined : Number(row.wait_ms);
  }

  /** Counts what waits though it is due, or was due and is one of `givenBack`; and what relays hold. */
  async remaining(givenBack: Iterable<string>): Promise<Remaining> {
    const [row] = await this.#sql.unsafe(REMAINING, [JSON.stringify([...givenBack])]);
    return { waiting: row?.waiting as number, leased: row?.leased as number };
  }
}

function toClaimed(row: Record<string, unknown>): ClaimedMessage {
  return {
    seq: row.seq as string,
    lease: row.lease as string,
    attempt: row.attempts as number,
    takenOver: row.taken_over as boolean,
    id: row.id as string,
    contentId: row.content_id as string,
    from: { email: row.from_email as string, name: row.from_name as string | null },
    replyTo: row.reply_to as ClaimedMessage["replyTo"],
    returnPath: row.return_path as string | null,
    unsubscribe: row.unsubscribe as string | null,
    onUncertain: row.on_uncertain as ClaimedMessage["onUncertain"],
    firstDueMs: Number(row.first_due_ms),
    expiresAtMs: row.expires_at_ms === null ? null : Number(row.expires_at_ms),
    retriedAtMs: row.retried_at_ms === null ? null : Number(row.retried_at_ms),
    recipients: row.recipients as readonly ClaimedRecipient[],
  };
}

function toInput(settlement: Settlement): Record<string, unknown> {
  const { seq, lease, attempt, next, outcomes, recipients } = settlement;
  return {
    ...{ seq, lease, attempt },
    delay: typeof next === "number" ? next : null,
    held: next === "held",
    recipients,
    outcomes: outcomes.map(({ position, kind, phase, blame, reply, reason }) => ({
      position,
      kind,
      phase,
      blame,
      code: reply?.code ?? null,
      enhanced: reply?.enhanced ?? null,
      reply: reason,
    })),
  };
}

function toPairs(held: readonly Held[]): string {
  return JSON.stringify(held.map(({ seq, lease }) => ({ seq, lease })));
}

function seqs(rows: readonly Record<string, unknown>[]): ReadonlySet<string> {
  return new Set(rows.map((row) => row.seq as string));
}
