import type { TransactionSql } from "postgres";
import type { Statements } from "./statements.ts";

// DESIGN: messages are walked in the order of their numbers, a window at a time, from the oldest. `seq` and
// `created_at` grow together, so the walk ends at the first window that is too young; a message that stays open for
// long is stepped over and seen again in the next walk. The items of a digest go with it, since it says what became of
// them.

/** How long things stay after the end. */
export interface RetentionRules {
  /** Final messages, with their recipients and attempts. */
  readonly messagesMs: number;
  /** Subject, text, HTML and attachments. */
  readonly contentMs: number;
}

/** Which of them. */
export interface PurgeFilter {
  /** Messages in these final states. @default {all of them} */
  readonly states?: readonly string[];
  /** Messages to this address, whoever else has them. @default {to anybody} */
  readonly to?: string;
}

/**
 * Whether a message $4 lets through: a filter as JSON, or null for all. Index: recipient_pkey. Its state is looked up
 * only when somebody asks for some.
 */
const isWanted = (seq: string, filter = "$4"): string =>
  `(${filter}::text is null or (
    (${filter}::text::jsonb -> 'to' is null or exists (
      select from mailchute.recipient r where r.seq = ${seq} and lower(r.email) = lower(${filter}::text::jsonb ->> 'to')))
    and (${filter}::text::jsonb -> 'states' is null or (
      select mailchute.message_state(array_agg(r.state)) from mailchute.recipient r where r.seq = ${seq}
    ) = any (array(select jsonb_array_elements_text(${filter}::text::jsonb -> 'states'))))))`;

/**
 * Index: message_pkey (the window), queue_pkey and recipient_pkey (is it final, and since when), digest_item_pkey (is
 * it an item). Locks what is past its time against a retry, which locks it too: what is found final by the next
 * statement stays so until it is gone.
 */
const FIND_OLD = `
with seen as materialized (
  select m.seq, m.created_at from mailchute.message m where m.seq > $1::bigint order by m.seq limit 2000
), old as materialized (
  select s.seq from seen s
  where not exists (select from mailchute.queue q where q.seq = s.seq)
    and not exists (select from mailchute.recipient r where r.seq = s.seq
      and r.changed_at >= now() - make_interval(secs => least($2::float8, $3::float8) / 1000))
    and not exists (select from mailchute.digest_item i where i.seq = s.seq and i.digest <> s.seq)
    and ${isWanted("s.seq")}
), locked as materialized (
  select m.seq, m.batch from mailchute.message m where m.seq = any (array(select seq from old)) for update skip locked
)
select (select max(seq)::text from seen) as last, coalesce((select json_agg(seq::text) from locked), '[]') as old,
  coalesce((select json_agg(distinct batch::text) from locked where batch is not null), '[]') as batches,
  (select max(created_at) < now() - make_interval(secs => least($2::float8, $3::float8) / 1000) from seen) as goes_on`;

/**
 * Index: batch_pkey. Locks batches against who adds to them, who would not be seen by the next statement and need the
 * content. One that is just being added to keeps it.
 */
const LOCK_BATCHES = `
with locked as materialized (
  select b.seq from mailchute.batch b
  where b.seq = any (array(select value::bigint from jsonb_array_elements_text($1::text::jsonb))) for update skip locked
)
select coalesce(json_agg(seq::text), '[]') as batches from locked`;

/** Whether a message m needs its content yet: it is open, or has ended lately, or is none of those that are to go. */
const NEEDS_CONTENT = `(
        exists (select from mailchute.queue q where q.seq = m.seq)
        or not ${isWanted("m.seq")}
        or exists (select from mailchute.recipient r where r.seq = m.seq and r.changed_at >= now() - make_interval(secs => $3::float8 / 1000)))`;

/**
 * Index: queue_pkey, recipient_pkey, digest_item_digest, message_batch and message_borrowed (is the content shared with
 * one that still needs it). The content of a batch goes with the last of its messages, or with the batch, and never
 * with a test of it. $5: contents of batches that this walk has found to be needed, as a JSON array: to look at all
 * messages of a batch once in a walk is enough. $6: the batches that are locked.
 */
const DELETE_OLD = `
with old as materialized (
  select m.seq, m.content_id, m.batch, m.batch is null and m.variables is not null as is_borrowed, (select max(r.changed_at) from mailchute.recipient r where r.seq = m.seq) as ended_at
  from mailchute.message m
  where m.seq = any (array(select value::bigint from jsonb_array_elements_text($1::text::jsonb)))
    and not exists (select from mailchute.queue q where q.seq = m.seq)
), ended_long_ago as materialized (
  select seq from old where ended_at < now() - make_interval(secs => $2::float8 / 1000)
), gone as materialized (
  select seq from ended_long_ago
  union select i.seq from mailchute.digest_item i where i.digest = any (array(select seq from ended_long_ago))
), ended as materialized (
  select distinct o.content_id, o.batch from old o
  where not o.is_borrowed and o.ended_at < now() - make_interval(secs => $3::float8 / 1000)
    and o.content_id <> all (array(select value::uuid from jsonb_array_elements_text($5::text::jsonb)))
    and (o.batch is null or o.batch = any (array(select value::bigint from jsonb_array_elements_text($6::text::jsonb))))
    and (select true from mailchute.content c where c.id = o.content_id)
), stale as materialized (
  select o.content_id from ended o
  where o.batch is null or not exists (select from mailchute.message m where m.batch = o.batch and ${NEEDS_CONTENT})
      and not exists (select from mailchute.message m where m.content_id = o.content_id and m.batch is null and m.variables is not null and ${NEEDS_CONTENT})
), deleted_attachments as (
  delete from mailchute.attachment where content_id = any (array(select content_id from stale))
), deleted_contents as (
  delete from mailchute.content where id = any (array(select content_id from stale)) returning 1
), deleted_attempts as (
  delete from mailchute.attempt where seq = any (array(select seq from gone))
), deleted_feedback as (
  delete from mailchute.feedback where seq = any (array(select seq from gone))
), deleted_recipients as (
  delete from mailchute.recipient where seq = any (array(select seq from gone))
), deleted_items as (
  delete from mailchute.digest_item where seq = any (array(select seq from gone))
), deleted_digests as (
  delete from mailchute.digest where seq = any (array(select seq from gone))
), deleted_messages as (
  delete from mailchute.message where seq = any (array(select seq from gone)) returning 1
)
select (select count(*)::int from deleted_messages) as messages, (select count(*)::int from deleted_contents) as contents,
  (select coalesce(json_agg(e.content_id), '[]') from ended e where e.batch is not null and e.content_id <> all (array(select content_id from stale))) as needed`;

/**
 * Index: message_batch, message_borrowed. Batches that no message is left of, or never was, with what they would have
 * said. One that is being added to is locked.
 */
const DELETE_BATCHES = `
with gone as (
  delete from mailchute.batch where seq = any (array(
    select b.seq from mailchute.batch b
    where b.created_at < now() - make_interval(secs => $1::float8 / 1000) and (select true from mailchute.message m where m.batch = b.seq limit 1) is null
      and (select true from mailchute.message m where m.content_id = b.content_id and m.batch is null and m.variables is not null
        and exists (select from mailchute.queue q where q.seq = m.seq) limit 1) is null
    for update skip locked))
  returning content_id
), deleted_attachments as (
  delete from mailchute.attachment where content_id = any (array(select content_id from gone))
)
delete from mailchute.content where id = any (array(select content_id from gone))`;

/** What one window of the walk has come to. */
interface Window {
  /** Where the next one begins; undefined: this was the last. */
  readonly next: string | undefined;
  readonly messages: number;
  readonly contents: number;
  /** Contents of batches that are needed yet. */
  readonly needed: readonly string[];
}

/** What runs transactions. */
interface Transactions {
  begin(options: string, work: (tx: TransactionSql) => Promise<Window>): Promise<Window>;
}

/** What was deleted. */
export interface Purged {
  readonly messages: number;
  readonly contents: number;
}

/** Deletes what is past its time, in one walk. @param onWindow is told after each part of it what was deleted so far */
export async function purge(
  sql: Transactions,
  rules: RetentionRules,
  filter: PurgeFilter = {},
  onWindow: (purged: Purged) => void = () => {},
): Promise<Purged> {
  const { messagesMs, contentMs } = rules;
  const wanted = wantedOf(filter);
  let messages = 0;
  let contents = 0;
  const needed: string[] = [];
  for (let from: string | undefined = "0"; from !== undefined;) {
    const after: string = from;
    const window = await sql.begin("isolation level read committed", async (tx) => {
      const [found] = await tx.unsafe(FIND_OLD, [after, messagesMs, contentMs, wanted]);
      const [locked] = await tx.unsafe(LOCK_BATCHES, [JSON.stringify(found?.batches)]);
      const [deleted] = await tx.unsafe(DELETE_OLD, [
        JSON.stringify(found?.old),
        messagesMs,
        contentMs,
        wanted,
        JSON.stringify(needed),
        JSON.stringify(locked?.batches),
      ]);
      const next = found?.goes_on ? found.last as string : undefined;
      return { next, messages: deleted?.messages, contents: deleted?.contents, needed: deleted?.needed };
    });
    messages += window.messages;
    contents += window.contents;
    needed.push(...window.needed);
    from = window.next;
    onWindow({ messages, contents });
  }
  return { messages, contents };
}

/** Deletes the records of bulk sends whose messages are all deleted. */
export async function purgeBatches(sql: Statements, { messagesMs }: RetentionRules): Promise<void> {
  await sql.unsafe(DELETE_BATCHES, [messagesMs]);
}

/**
 * Reads the whole history, and locks nothing. $2: who must have content to count. An item goes when its digest goes,
 * and by what that has become (DELETE_OLD): it ended when its window closed, which says nothing of the mail that it is
 * in.
 */
const COUNT_OLD = `
select x.state, count(*)::int as messages
from mailchute.message m
cross join lateral (
  select coalesce((select i.digest from mailchute.digest_item i where i.seq = m.seq and i.digest <> m.seq), m.seq) as seq offset 0
) carrier
cross join lateral (select mailchute.message_state(array_agg(r.state)) as state from mailchute.recipient r where r.seq = m.seq) x
where (select max(r.changed_at) from mailchute.recipient r where r.seq = carrier.seq) < now() - make_interval(secs => $1::float8 / 1000)
  and not exists (select from mailchute.queue q where q.seq = carrier.seq)
  and (not $2::boolean or exists (select from mailchute.content c where c.id = m.content_id))
  and ${isWanted("carrier.seq", "$3")}
group by 1 order by 1`;

/** Counts what `purge` would delete now, by state; with `contentOnly` those of whose content something is left. */
export async function countOld(
  sql: Statements,
  { contentMs }: RetentionRules,
  filter: PurgeFilter & { readonly contentOnly: boolean },
): Promise<readonly { readonly state: string; readonly messages: number }[]> {
  const rows = await sql.unsafe(COUNT_OLD, [contentMs, filter.contentOnly, wantedOf(filter)]);
  return rows.map(({ state, messages }) => ({ state: state as string, messages: messages as number }));
}

function wantedOf({ states, to }: PurgeFilter): string | null {
  return states === undefined && to === undefined ? null : JSON.stringify({ states, to });
}

/**
 * Relays that stopped an hour ago, or have been silent for a day. Every enqueue reads that table. Kept while a message
 * carries their lease: by these rows a relay knows its dead predecessors. The queue is read as a whole, and only when
 * there is a relay to forget.
 */
const FORGET_RELAYS = `
with old as materialized (
  select r.id from mailchute.relay r
  where r.id <> $1::bigint and (r.stopped_at < now() - interval '1 hour' or r.heartbeat_at < now() - interval '1 day')
), needed as materialized (
  select distinct q.leased_by as id from mailchute.queue q where q.leased_by is not null and exists (select from old)
)
delete from mailchute.relay r
where r.id = any (array(select id from old)) and not exists (select from needed n where n.id = r.id)
returning r.id`;

/** Deletes the records of relays that are no more. @returns how many */
export async function forgetRelays(sql: Statements, relayId: string): Promise<number> {
  return (await sql.unsafe(FORGET_RELAYS, [relayId])).length;
}

/** Index: bounce_at. No rule counts over more than 90 days. */
const FORGET_BOUNCES = `delete from mailchute.bounce where at < now() - interval '90 days'`;

/** Deletes what RELAY_ON_BOUNCE counts no more. */
export async function forgetBounces(sql: Statements): Promise<void> {
  await sql.unsafe(FORGET_BOUNCES);
}
