import type { Sql } from "postgres";

// DESIGN: messages are walked in the order of their numbers, a window at a time, from the oldest. `seq` and `created_at` grow together, so
// the walk ends at the first window that is too young; a message that stays open for long is stepped over and seen again in the next walk.

/** How long things stay after the end. */
export interface RetentionRules {
  /** Final messages, with their recipients and attempts. */
  readonly messagesMs: number;
  /** Subject, text, HTML and attachments. */
  readonly contentMs: number;
}

/** Index: message_pkey (the window), queue_pkey and recipient_pkey (is it final, and since when), message_content (is the content shared). */
const PURGE_WINDOW = `
with seen as materialized (
  select m.seq, m.content_id, m.created_at from mailchute.message m where m.seq > $1::bigint order by m.seq limit 2000
), ended as materialized (
  select s.seq, s.content_id, (select max(r.changed_at) from mailchute.recipient r where r.seq = s.seq) as at
  from seen s where not exists (select from mailchute.queue q where q.seq = s.seq)
), gone as materialized (
  select seq, content_id from ended where at < now() - make_interval(secs => $2::float8 / 1000)
), stale as materialized (
  select distinct e.content_id from ended e
  where e.at < now() - make_interval(secs => $3::float8 / 1000)
    and not exists (
      select from mailchute.message m where m.content_id = e.content_id and (
        exists (select from mailchute.queue q where q.seq = m.seq)
        or exists (select from mailchute.recipient r where r.seq = m.seq and r.changed_at >= now() - make_interval(secs => $3::float8 / 1000))))
), deleted_attachments as (
  delete from mailchute.attachment where content_id in (select content_id from stale)
), deleted_contents as (
  delete from mailchute.content where id in (select content_id from stale) returning 1
), deleted_attempts as (
  delete from mailchute.attempt where seq in (select seq from gone)
), deleted_recipients as (
  delete from mailchute.recipient where seq in (select seq from gone)
), deleted_messages as (
  delete from mailchute.message where seq in (select seq from gone) returning 1
)
select (select max(seq)::text from seen) as last, (select count(*)::int from deleted_messages) as messages,
  (select count(*)::int from deleted_contents) as contents,
  (select max(created_at) < now() - make_interval(secs => least($2::float8, $3::float8) / 1000) from seen) as older`;

/** Deletes what is past its time, in one walk. @returns what was deleted */
export async function purge(
  sql: Sql,
  rules: RetentionRules,
  signal?: AbortSignal,
): Promise<{ readonly messages: number; readonly contents: number }> {
  let last = "0";
  let messages = 0;
  let contents = 0;
  while (signal?.aborted !== true) {
    const [row] = await sql.unsafe(PURGE_WINDOW, [last, rules.messagesMs, rules.contentMs]);
    messages += row?.messages as number;
    contents += row?.contents as number;
    if (!row?.older) break;
    last = row.last as string;
  }
  return { messages, contents };
}
