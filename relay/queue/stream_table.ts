import type { Statements } from "../database/statements.ts";

/** What a mail of a stream has that does not say otherwise; undefined: as without a stream. */
export interface StreamSettings {
  readonly priority: Priority | undefined;
  /** From when a mail is due. */
  readonly expiresAfterMs: number | undefined;
  /** The waits after the first, second, … attempt; the last one repeats. */
  readonly backoffMs: readonly number[] | undefined;
  readonly onUncertain: "retry" | "hold" | undefined;
  /** Whether its mails may wait for a digest. */
  readonly digest: boolean;
}

/** Where the settings of a stream hold. */
export interface StreamKey {
  readonly name: string;
  /** `all`, or `app:NAME`. */
  readonly scope: string;
}

/** The settings of a stream as they are stored. */
export interface StoredStream extends StreamKey, StreamSettings {
  readonly changedAt: Date;
  readonly changedBy: string;
}

/** Of a stream without settings. */
export const NO_SETTINGS: StreamSettings = {
  ...{ priority: undefined, expiresAfterMs: undefined, backoffMs: undefined, onUncertain: undefined },
  digest: true,
};

/** In the order of the lanes. */
export const PRIORITIES = ["high", "normal", "low"] as const;

export type Priority = (typeof PRIORITIES)[number];

/** A handful of rows. */
const LIST = `
select s.name, s.scope, s.lane, s.expires_after, to_json(s.backoff) as backoff, s.on_uncertain, s.digest, s.changed_at, s.changed_by
from mailchute.stream s where $1::text is null or s.name = $1 order by s.name, s.scope`;

/** Index: stream_pkey. `is_new`: it had none. */
const SAVE = `
insert into mailchute.stream as s (name, scope, lane, expires_after, backoff, on_uncertain, digest)
select $1, $2, (v.input ->> 'lane')::smallint, (v.input ->> 'expires')::int,
  case when v.input ->> 'backoff' is not null then array(
    select w.wait::int from jsonb_array_elements_text(v.input -> 'backoff') with ordinality as w(wait, place) order by w.place) end,
  v.input ->> 'onUncertain', (v.input ->> 'digest')::boolean
from (select $3::text::jsonb as input) v
on conflict on constraint stream_pkey do update
set lane = excluded.lane, expires_after = excluded.expires_after, backoff = excluded.backoff, on_uncertain = excluded.on_uncertain,
  digest = excluded.digest, changed_at = now(), changed_by = excluded.changed_by
returning s.xmax = 0 as is_new`;

/** Index: stream_pkey. Reads the history to its end where no mail has had it: for a person who asks. */
const IS_KNOWN = `
select exists (select from mailchute.stream s where s.name = $1) or exists (select from mailchute.message m where m.stream = $1) as is_known`;

/** As save_template looks for one. */
const IS_APP = "select mailchute.is_app($1) as is_app";

/** Index: stream_pkey. */
const REMOVE = "delete from mailchute.stream s where s.name = $1 and s.scope = $2 returning s.name";

/** Reads the streams that have settings, by their names. @param name undefined: all */
export async function listStreams(sql: Statements, name?: string): Promise<readonly StoredStream[]> {
  return (await sql.unsafe(LIST, [name ?? null])).map((row) => ({
    ...{ name: row.name as string, scope: row.scope as string, digest: row.digest as boolean },
    priority: row.lane === null ? undefined : PRIORITIES[row.lane as number],
    expiresAfterMs: row.expires_after === null ? undefined : Number(row.expires_after) * 1_000,
    backoffMs: (row.backoff as readonly number[] | null)?.map((seconds) => seconds * 1_000),
    onUncertain: (row.on_uncertain ?? undefined) as StreamSettings["onUncertain"],
    ...{ changedAt: row.changed_at as Date, changedBy: row.changed_by as string },
  }));
}

/** Tells whether a stream has settings or has had a mail in this database: any other name may be a slip of the pen. */
export async function isStreamKnown(sql: Statements, name: string): Promise<boolean> {
  const [row] = await sql.unsafe(IS_KNOWN, [name]);
  return row?.is_known === true;
}

/** Tells whether somebody may send as this app. */
export async function isApp(sql: Statements, name: string): Promise<boolean> {
  const [row] = await sql.unsafe(IS_APP, [name]);
  return row?.is_app === true;
}

/** Writes all settings of a stream; in the table they are in seconds. @returns whether it had none */
export async function saveStream(
  sql: Statements,
  { name, scope, priority, expiresAfterMs, backoffMs, onUncertain, digest }: StreamKey & StreamSettings,
): Promise<boolean> {
  const input = {
    ...{ onUncertain, digest, backoff: backoffMs?.map((ms) => ms / 1_000) },
    lane: priority === undefined ? undefined : PRIORITIES.indexOf(priority),
    expires: expiresAfterMs === undefined ? undefined : expiresAfterMs / 1_000,
  };
  const [row] = await sql.unsafe(SAVE, [name, scope, JSON.stringify(input)]);
  return row?.is_new === true;
}

/** Takes away the settings of a stream: what remains is its name. @returns whether it had any */
export async function removeStream(sql: Statements, { name, scope }: StreamKey): Promise<boolean> {
  return (await sql.unsafe(REMOVE, [name, scope])).length > 0;
}
