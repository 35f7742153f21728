import type { Statements } from "../database/statements.ts";
import { PROGRAM_VERSION } from "../version.ts";

// The row by which others know a relay: who holds what, and whether it is alive.

// Conditions in SQL on a row of mailchute.relay, by its alias: whoever asks whether a relay lives says one of these.
// Texts, since a function would take a right for each role. Whether enqueue rings for one is another question, with a
// longer limit (`sleeps` of 003_enqueue.sql). A heart beats every 15 s.

/** It has been heard of within four heartbeats, or rests and is due later. */
export function isHeard(relay: string): string {
  return `${relay}.heartbeat_at > now() - interval '1 minute'`;
}

/** It takes mail: heard of, and not stopped or between two runs of a Worker. */
export function isServing(relay: string): string {
  return `(${relay}.stopped_at is null and ${isHeard(relay)})`;
}

/**
 * People are told whether it lives: it has not stopped (but as a Worker between two runs), no other has started in its
 * state directory, and it is not of yesterday.
 */
export function isExpected(relay: string): string {
  return `${relay}.heartbeat_at > now() - interval '1 day' and (${relay}.stopped_at is null or ${relay}.heartbeat_at > now())
    and not exists (select from mailchute.relay later where later.instance = ${relay}.instance and later.id > ${relay}.id)`;
}

/** Who a relay is. */
export interface RelayIdentity {
  /** Of its state directory. */
  readonly instance: string;
  readonly host: string;
  readonly pid: number;
}

/** Records this start. @returns the relay's id in this database */
export async function registerRelay(sql: Statements, relay: RelayIdentity): Promise<string> {
  const [row] = await sql.unsafe(
    "insert into mailchute.relay (instance, host, pid, version) values ($1::uuid, $2, $3::int, $4) returning id::text as id",
    [relay.instance, relay.host, relay.pid, PROGRAM_VERSION],
  );
  return row?.id as string;
}

/**
 * Says that the relay is alive; `asleep` as the claim loop left it, and so the end of a rest that has just been said.
 * Who did not reach the database for a day has been forgotten by the others, and comes back under the id that its
 * leases carry.
 * @returns the database's time, in milliseconds since 1970
 */
export async function beat(sql: Statements, relay: RelayIdentity & { readonly relayId: string }): Promise<number> {
  const [row] = await sql.unsafe(
    `insert into mailchute.relay (id, instance, host, pid, version) overriding system value values ($1::bigint, $2::uuid, $3, $4::int, $5)
    on conflict (id) do update set heartbeat_at = greatest(relay.heartbeat_at, now())
    returning extract(epoch from clock_timestamp())::float8 * 1000 as now_ms`,
    [relay.relayId, relay.instance, relay.host, relay.pid, PROGRAM_VERSION],
  );
  return Number(row?.now_ms);
}

/** Tells enqueue whether it has to ring. @param silentMs no heartbeat comes before that is over */
export async function setAsleep(sql: Statements, relayId: string, asleep: boolean, silentMs = 0): Promise<void> {
  await sql.unsafe(
    `update mailchute.relay set asleep = $2::boolean, heartbeat_at = now() + make_interval(secs => $3::float8 / 1000)
    where id = $1::bigint`,
    [relayId, asleep, silentMs],
  );
}

/** Says that it serves again after all. */
export async function markServing(sql: Statements, relayId: string): Promise<void> {
  await sql.unsafe("update mailchute.relay set stopped_at = null, heartbeat_at = now() where id = $1::bigint", [
    relayId,
  ]);
}

/** Records the end of this run. */
export async function markStopped(sql: Statements, relayId: string): Promise<void> {
  await sql.unsafe("update mailchute.relay set stopped_at = now(), asleep = false where id = $1::bigint", [relayId]);
}

/** Records the end of this run; it is known to live until the next one, which comes within `restMs`. */
export async function markResting(sql: Statements, relayId: string, restMs: number): Promise<void> {
  await sql.unsafe(
    `update mailchute.relay set stopped_at = now(), asleep = false, heartbeat_at = now() + make_interval(secs => $2::float8 / 1000)
    where id = $1::bigint`,
    [relayId, restMs],
  );
}

/**
 * Deletes the records of earlier runs that have ended, and so hold nothing; and those that were lost a day ago, whose
 * leases have ended too.
 */
export async function forgetEarlierRuns(sql: Statements, relayId: string, instance: string): Promise<void> {
  await sql.unsafe(
    `delete from mailchute.relay
    where instance = $2::uuid and id < $1::bigint and (stopped_at is not null or heartbeat_at < now() - interval '1 day')`,
    [relayId, instance],
  );
}
