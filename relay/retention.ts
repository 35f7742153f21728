import type { TransactionSql } from "postgres";

// DESIGN: messages are walked in the order of their numbers, a window at a time, from the oldest. `seq` and `created_at` grow together, so
// the walk ends at the first window that is too young; a message that stays open for long is stepped over and seen again in the next walk.

/** How long things stay after the end. */
export interface RetentionRules {
  /** Final messages, with their recipients and attempts. */
  readonly messagesMs: number;
  /** Subject, text, HTML and attachments. */
  readonly contentMs: number;
}

/**
 * Index: message_pkey (the window), queue_pkey and recipient_pkey (is it final, and since when). Locks what is past its time against a retry,
 * which locks it too: what is found final by the next statement stays so until it is gone.
 */
const FIND_OLD = `
with seen as materialized (
  select m.seq, m.created_at from mailchute.message m where m.seq > $1::bigint order by m.seq limit 2000
), old as materialized (
  select s.seq from seen s
  where not exists (select from mailchute.queue q where q.seq = s.seq)
    and not exists (select from mailchute.recipient r where r.seq = s.seq
      and r.changed_at >= now() - make_interval(secs => least($2::float8, $3::float8) / 1000))
), locked as materialized (
  select m.seq from mailchute.message m where m.seq = any (array(select seq from old)) for update skip locked
)
select (select max(seq)::text from seen) as last, coalesce((select json_agg(seq::text) from locked), '[]') as old,
  (select max(created_at) < now() - make_interval(secs => least($2::float8, $3::float8) / 1000) from seen) as goes_on`;

/** Index: queue_pkey, recipient_pkey, and message_content (is the content shared with one that still needs it). */
const DELETE_OLD = `
with old as materialized (
  select m.seq, m.content_id, (select max(r.changed_at) from mailchute.recipient r where r.seq = m.seq) as ended_at
  from mailchute.message m
  where m.seq = any (array(select value::bigint from jsonb_array_elements_text($1::text::jsonb)))
    and not exists (select from mailchute.queue q where q.seq = m.seq)
), gone as materialized (
  select seq from old where ended_at < now() - make_interval(secs => $2::float8 / 1000)
), stale as materialized (
  select distinct o.content_id from old o
  where o.ended_at < now() - make_interval(secs => $3::float8 / 1000)
    and not exists (
      select from mailchute.message m where m.content_id = o.content_id and (
        exists (select from mailchute.queue q where q.seq = m.seq)
        or exists (select from mailchute.recipient r where r.seq = m.seq and r.changed_at >= now() - make_interval(secs => $3::float8 / 1000))))
), deleted_attachments as (
  delete from mailchute.attachment where content_id = any (array(select content_id from stale))
), deleted_contents as (
  delete from mailchute.content where id = any (array(select content_id from stale)) returning 1
), deleted_attempts as (
  delete from mailchute.attempt where seq = any (array(select seq from gone))
), deleted_recipients as (
  delete from mailchute.recipient where seq = any (array(select seq from gone))
), deleted_messages as (
  delete from mailchute.message where seq = any (array(select seq from gone)) returning 1
)
select (select count(*)::int from deleted_messages) as messages, (select count(*)::int from deleted_contents) as contents`;

/** What one window of the walk has come to. */
interface Window {
  /** Where the next one begins; undefined: this was the last. */
  readonly next: string | undefined;
  readonly messages: number;
  readonly contents: number;
}

/** What runs transactions. */
interface Transactions {
  begin(options: string, work: (tx: TransactionSql) => Promise<Window>): Promise<Window>;
}

/** Deletes what is past its time, in one walk. @returns what was deleted */
export async function purge(
  sql: Transactions,
  rules: RetentionRules,
): Promise<{ readonly messages: number; readonly contents: number }> {
  const { messagesMs, contentMs } = rules;
  let messages = 0;
  let contents = 0;
  for (let from: string | undefined = "0"; from !== undefined;) {
    const after: string = from;
    const window = await sql.begin("isolation level read committed", async (tx) => {
      const [found] = await tx.unsafe(FIND_OLD, [after, messagesMs, contentMs]);
      const [deleted] = await tx.unsafe(DELETE_OLD, [JSON.stringify(found?.old), messagesMs, contentMs]);
      const next = found?.goes_on ? found.last as string : undefined;
      return { next, messages: deleted?.messages as number, contents: deleted?.contents as number };
    });
    messages += window.messages;
    contents += window.contents;
    from = window.next;
  }
  return { messages, contents };
}
