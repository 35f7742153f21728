import type { Statements } from "../database/statements.ts";

/** One bulk send. */
export interface Batch {
  readonly id: string;
  readonly app: string;
  /** Undefined: its app gave it no name, and the id stands for it. */
  readonly name: string | undefined;
  readonly createdAt: Date;
}

/** How far it is. */
export interface BatchProgress {
  /** Its messages by state, of those that retention has left. */
  readonly states: Readonly<Record<string, number>>;
  /** Messages that ended by an attempt within the last minute. */
  readonly lastMinute: number;
  /** How long ago the first of them did. */
  readonly lastMinuteMs: number;
}

/** What a test mail is merged from. */
export interface BatchTemplate {
  readonly names: readonly string[];
  /** Its content is still stored. */
  readonly hasContent: boolean;
}

const COLUMNS = "b.id::text as id, b.app, b.name, b.created_at";

/** Index: batch_pkey backwards. */
const LIST =
  `select ${COLUMNS} from mailchute.batch b where $2::text is null or b.app = $2 order by b.seq desc limit $1::int`;

/** Walks the batches: a few hundred. */
const FIND = `
select ${COLUMNS} from mailchute.batch b
where (b.name = $1 or b.id::text = lower($1)) and ($2::text is null or b.app = $2) order by b.seq desc`;

/** Index: message_batch, recipient_pkey, queue_pkey. */
const PROGRESS = `
select mailchute.shown_state(r.state, q.leased_by is not null, m.scheduled_at, coalesce(q.attempts, 0)) as state, count(*)::int as messages,
  count(*) filter (where r.state in ('sent', 'bounced') and r.changed_at > now() - interval '1 minute')::int as last_minute,
  extract(epoch from now() - min(r.changed_at) filter (where r.state in ('sent', 'bounced') and r.changed_at > now() - interval '1 minute'))::float8 * 1000
    as last_minute_ms
from mailchute.batch b
join mailchute.message m on m.batch = b.seq
join mailchute.recipient r on r.seq = m.seq
left join mailchute.queue q on q.seq = m.seq
where b.id = $1::uuid and b.app = $2
group by 1 order by 1`;

/** Index: batch_id, message_batch, feedback_pkey. */
const EVENTS = `
select f.kind, count(*)::int as messages
from mailchute.batch b
join mailchute.message m on m.batch = b.seq
join mailchute.feedback f on f.seq = m.seq
where b.id = $1::uuid and b.app = $2
group by 1 order by 1`;

/** Index: batch_id, content_pkey. */
const TEMPLATE = `
select to_jsonb(b.names) as names, exists (select from mailchute.content c where c.id = b.content_id) as has_content
from mailchute.batch b where b.id = $1::uuid and b.app = $2`;

/**
 * Index: batch_id. One message more with the content of the batch, and not of the batch: it counts nowhere, and goes
 * out while the batch is paused. At once, and before others.
 */
const TEST = `
with test as (
  insert into mailchute.message (id, app, content_id, variables, from_email, from_name, reply_to, return_path, unsubscribe, tags, metadata, lane, stream)
  select $3::uuid, b.app, b.content_id, $5::text::jsonb, b.mail -> 'from' ->> 'email', b.mail -> 'from' ->> 'name',
    coalesce(nullif(b.mail -> 'replyTo', 'null'), '[]'), b.mail ->> 'returnPath', b.mail ->> 'unsubscribe', array['batch-test'], '{}', 0, b.mail ->> 'stream'
  from mailchute.batch b where b.id = $1::uuid and b.app = $2
  returning seq
), addressed as (
  insert into mailchute.recipient (seq, position, kind, email) select t.seq, 0, 'to', $4 from test t
)
insert into mailchute.queue (seq, lane, due) select t.seq, 0, now() from test t`;

const RING = "select pg_notify('mailchute', '')";

/** Reads the newest batches. @param app undefined: of all */
export async function listBatches(
  sql: Statements,
  { limit, app }: { readonly limit: number; readonly app: string | undefined },
): Promise<readonly Batch[]> {
  return (await sql.unsafe(LIST, [limit, app ?? null])).map(toBatch);
}

/** Finds batches by their name or id: each app may have one of that name. */
export async function findBatches(
  sql: Statements,
  { name, app }: { readonly name: string; readonly app: string | undefined },
): Promise<readonly Batch[]> {
  return (await sql.unsafe(FIND, [name, app ?? null])).map(toBatch);
}

/** Counts the messages of a batch. */
export async function readProgress(sql: Statements, { id, app }: Batch): Promise<BatchProgress> {
  const rows = await sql.unsafe(PROGRESS, [id, app]);
  return {
    states: Object.fromEntries(rows.map((row) => [row.state as string, row.messages as number])),
    lastMinute: rows.reduce((sum, row) => sum + (row.last_minute as number), 0),
    lastMinuteMs: Math.max(0, ...rows.map((row) => (row.last_minute_ms ?? 0) as number)),
  };
}

/** Counts the messages of a batch of which a report has come back, by what it said. */
export async function readEvents(sql: Statements, { id, app }: Batch): Promise<Readonly<Record<string, number>>> {
  const rows = await sql.unsafe(EVENTS, [id, app]);
  return Object.fromEntries(rows.map((row) => [row.kind as string, row.messages as number]));
}

/** Reads what a test mail of a batch needs. */
export async function readTemplate(sql: Statements, { id, app }: Batch): Promise<BatchTemplate> {
  const [row] = await sql.unsafe(TEMPLATE, [id, app]);
  return { names: row?.names as readonly string[], hasContent: row?.has_content as boolean };
}

/** Puts a test mail of a batch into the queue. */
export async function sendTest(
  sql: Statements,
  { id, app }: Batch,
  mail: { readonly id: string; readonly to: string; readonly variables: Readonly<Record<string, string>> },
): Promise<void> {
  await sql.unsafe(TEST, [id, app, mail.id, mail.to, JSON.stringify(mail.variables)]);
  await sql.unsafe(RING);
}

function toBatch(row: Record<string, unknown>): Batch {
  return {
    ...{ id: row.id as string, app: row.app as string, createdAt: row.created_at as Date },
    name: (row.name ?? undefined) as string | undefined,
  };
}

/** Index: batch_id. */
const NAMES = `
select b.id::text as id, b.name from mailchute.batch b
where b.id = any (array(select value::uuid from jsonb_array_elements_text($1::text::jsonb))) and b.name is not null`;

/** What apps call these batches, by their ids; those that are not here or have no name are left out. */
export async function readBatchNames(sql: Statements, ids: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const rows = await sql.unsafe(NAMES, [JSON.stringify(ids)]);
  return new Map(rows.map(({ id, name }) => [id as string, name as string]));
}
