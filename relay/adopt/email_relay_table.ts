import type { Rows, Statements } from "../database/statements.ts";

// The table of django-email-relay as its apps write it, and which of its rows are here (mailchute.adopted). `T` stands
// for its name.
//
// A row is looked at by what its relay would change: status, retry_count and updated_at, which Django sets at every
// save.

/** As `Status` of django-email-relay counts them. */
export const STATUS = { queued: 1, deferred: 2, failed: 3, sent: 4 } as const;

/** A row as it was seen. */
export interface Seen {
  readonly id: string;
  readonly status: number;
  readonly retries: number;
  readonly updatedAt: string;
}

/** A row that is here and no longer as it was left. */
export interface Changed {
  readonly id: string;
  /** Somebody has deleted it. */
  readonly isGone: boolean;
}

/** A row that is to be sent. */
export interface Waiting extends Seen {
  readonly priority: number;
}

/** What has happened to the mail of a row since it was written there last. */
export interface News {
  readonly id: string;
  readonly seq: string | undefined;
  /** Attempts so far, and those of them that did not come to an end. */
  readonly attempts: number;
  readonly retries: number;
  /** Undefined while it is open. */
  readonly state: string | undefined;
  /** What is wrong, one clause for each recipient. */
  readonly log: string;
}

/** What is written into a row. */
export interface Written {
  readonly id: string;
  readonly status: number;
  readonly attempts: number;
  readonly retries: number;
  /** Empty: as it was. */
  readonly log: string;
  /** It is no longer ours. */
  readonly isLast: boolean;
}

/** So many rows are watched before the first is taken: those that the other relay would take first. */
const WATCHED = 1_000;

const OPEN = `select t.id::text, t.status, t.retry_count as retries, t.updated_at::text from T t
where t.status in (1, 2) and not exists (select from mailchute.adopted a where a.source = $1 and a.row_id = t.id)
order by t.priority desc, t.created_at limit ${WATCHED}`;

const AGAIN = `select t.id::text, t.status, t.retry_count as retries, t.updated_at::text from T t
where t.id = any (array(select value::bigint from jsonb_array_elements_text($1::text::jsonb)))`;

const CHANGED =
  `select a.row_id::text as id, t.id is null as is_gone from mailchute.adopted a left join T t on t.id = a.row_id
where a.source = $1 and (t.id is null or (t.status, t.retry_count, t.updated_at) is distinct from (a.status, a.retry_count, a.updated_at))`;

/** Rows from $2 on. What another relay is sending is locked by it, and left alone. */
const TAKEABLE = `select t.id::text, t.status, t.retry_count as retries, t.updated_at::text, t.priority from T t
where t.id = any (array(
  select c.id from T c where c.status in (1, 2) and c.id >= $2::bigint
    and not exists (select from mailchute.adopted a where a.source = $1 and a.row_id = c.id)
  order by c.priority desc, c.created_at limit $3::int))
order by t.priority desc, t.created_at
for update skip locked`;

/** The times never leave the database: a driver has only milliseconds of them. */
const TAKE =
  `insert into mailchute.adopted (source, row_id, app, message_id, status, retry_count, updated_at, first_retries)
select $1, t.id, m.app, m.id, t.status, t.retry_count, t.updated_at, t.retry_count from T t
join mailchute.message m on m.seq = (select max(n.seq) from mailchute.message n where n.id = $3::uuid)
where t.id = $2::bigint`;

const NEWS = `
select a.row_id::text as id, m.seq::text, coalesce(t.attempts, 0) as attempts, a.first_retries + coalesce(t.retries, 0) as retries,
  case when q.seq is null and m.seq is not null then mailchute.message_state(r.states) end as state, coalesce(r.log, '') as log
from mailchute.adopted a
left join mailchute.message m on m.id = a.message_id and m.app = a.app
left join mailchute.queue q on q.seq = m.seq
left join lateral (
  select max(number) as attempts, count(distinct number) filter (where outcome in ('deferred', 'uncertain'))::int as retries
  from mailchute.attempt where seq = m.seq) t on true
left join lateral (
  select array_agg(r.state::text) as states,
    string_agg(r.email || ': ' || coalesce(r.reason, l.said, r.state), '; ' order by r.position) filter (where r.state <> 'sent') as log
  from mailchute.recipient r
  left join lateral (select concat_ws(' ', x.code, x.enhanced, x.reply) as said from mailchute.attempt x
    where x.seq = r.seq and x.position = r.position order by x.number desc limit 1) l on true
  where r.seq = m.seq) r on true
where a.source = $1 and (q.seq is null or (q.leased_by is null and coalesce(t.attempts, 0) > a.attempts))
limit 500`;

/** Changes nothing when the row is no longer as it was left. */
const WRITE = `
with written as (
  update T t set status = $3::smallint, retry_count = least($4::int, 32767), updated_at = now(),
    log = case when $5 = '' then t.log else $5 end, sent_at = case when $3 = 4 then now() else t.sent_at end
  from mailchute.adopted a
  where a.source = $1 and a.row_id = $2::bigint and t.id = $2::bigint
    and (t.status, t.retry_count, t.updated_at) is not distinct from (a.status, a.retry_count, a.updated_at)
  returning t.id, t.status, t.retry_count, t.updated_at
), ended as (
  delete from mailchute.adopted a using written w where a.source = $1 and a.row_id = w.id and $7::boolean returning 1
), noted as (
  update mailchute.adopted a set status = w.status, retry_count = w.retry_count, updated_at = w.updated_at, attempts = $6::int
  from written w where a.source = $1 and a.row_id = w.id and not $7::boolean returning 1
)
select count(*)::int as rows from written`;

const REFUSE = `update T t set status = 3, log = $2, updated_at = now() where t.id = $1::bigint`;

/** Those that have not ended; uncertain ones the server may have. */
const HELD = `
select a.row_id::text as id, m.seq::text, a.retry_count as retries, a.attempts,
  exists (select from mailchute.attempt x where x.seq = m.seq and x.outcome = 'uncertain') as is_uncertain
from mailchute.adopted a join mailchute.message m on m.id = a.message_id and m.app = a.app
where a.source = $1`;

/** The table, over a connection or a transaction. */
export class EmailRelayTable {
  readonly #sql: Statements;
  readonly #source: string;

  /** @param source its name with its schema, quoted where it must be */
  constructor(sql: Statements, source: string) {
    this.#sql = sql;
    this.#source = source;
  }

  /** Finds the table. @returns its name with its schema; undefined: there is none */
  static async find(sql: Statements): Promise<string | undefined> {
    const [row] = await sql.unsafe(`select format('%I.%I', n.nspname, c.relname) as name from pg_class c
      join pg_namespace n on n.oid = c.relnamespace where c.oid = to_regclass('email_relay_message')`);
    return row?.name as string | undefined;
  }

  /** Rows that wait and are not here: at most 1,000, the first that a relay would take. */
  async open(): Promise<readonly Seen[]> {
    return (await this.#ask(OPEN, [this.#source])).map(toSeen);
  }

  /** These rows as they are now. */
  async look(ids: readonly string[]): Promise<readonly Seen[]> {
    return (await this.#ask(AGAIN, [JSON.stringify(ids)])).map(toSeen);
  }

  /** Rows that are here, and that somebody else has changed. */
  async changed(): Promise<readonly Changed[]> {
    const rows = await this.#ask(CHANGED, [this.#source]);
    return rows.map((row) => ({ id: row.id as string, isGone: row.is_gone as boolean }));
  }

  /** Locks rows that wait, from this id on; in a transaction. */
  async takeable(from: string, most: number): Promise<readonly Waiting[]> {
    const rows = await this.#ask(TAKEABLE, [this.#source, from, most]);
    return rows.map((row) => ({ ...toSeen(row), priority: row.priority as number }));
  }

  /** What a row says: one at a time, since it holds its attachments. */
  async payload(id: string): Promise<unknown> {
    const [row] = await this.#ask("select t.data::text from T t where t.id = $1::bigint", [id]);
    return JSON.parse(row?.data as string);
  }

  /** Notes that the mail of a row is in the queue, in the transaction that put it there. */
  async take(id: string, messageId: string): Promise<void> {
    await this.#ask(TAKE, [this.#source, id, messageId]);
  }

  /** Writes that a row cannot be sent. */
  async refuse(id: string, reason: string): Promise<void> {
    await this.#ask(REFUSE, [id, reason]);
  }

  /** What is to be written, at most 500 rows. */
  async news(): Promise<readonly News[]> {
    return (await this.#ask(NEWS, [this.#source])).map((row) => ({
      id: row.id as string,
      seq: (row.seq ?? undefined) as string | undefined,
      attempts: row.attempts as number,
      retries: row.retries as number,
      state: (row.state ?? undefined) as string | undefined,
      log: row.log as string,
    }));
  }

  /** Writes a row that is as it was left. @returns false when it is not */
  async write({ id, status, retries, log, attempts, isLast }: Written): Promise<boolean> {
    const [row] = await this.#ask(WRITE, [this.#source, id, status, retries, log, attempts, isLast]);
    return row?.rows === 1;
  }

  /** The rows that are here, with their messages. */
  async held(): Promise<
    readonly (Pick<News, "id" | "retries" | "attempts"> & { readonly seq: string; readonly isUncertain: boolean })[]
  > {
    return (await this.#ask(HELD, [this.#source])).map((row) => ({
      id: row.id as string,
      seq: row.seq as string,
      retries: row.retries as number,
      attempts: row.attempts as number,
      isUncertain: row.is_uncertain as boolean,
    }));
  }

  /** How many rows are here whose mail was not tried yet. */
  async countUntried(): Promise<number> {
    const text = "select count(*)::int as rows from mailchute.adopted where source = $1 and attempts = 0";
    const [row] = await this.#ask(text, [this.#source]);
    return row?.rows as number;
  }

  /** How many rows are here, and how many wait there; reads the whole table. */
  async count(): Promise<{ readonly here: number; readonly there: number }> {
    const [row] = await this.#ask(
      `select (select count(*)::int from mailchute.adopted where source = $1) as here,
        (select count(*)::int from T t where t.status in (1, 2)
          and not exists (select from mailchute.adopted a where a.source = $1 and a.row_id = t.id)) as there`,
      [this.#source],
    );
    return { here: row?.here as number, there: row?.there as number };
  }

  /** Forgets a row. */
  async drop(id: string): Promise<void> {
    await this.#ask("delete from mailchute.adopted where source = $1 and row_id = $2::bigint", [this.#source, id]);
  }

  /** Takes a row's mail out of the queue and forgets the row. @returns false when it is being sent, or was */
  async takeBack(id: string, why: string): Promise<boolean> {
    const [row] = await this.#ask(
      `select mailchute.cancel_message(m.seq, $3) as answer from mailchute.message m
       where m.seq = (select n.seq from mailchute.adopted a join mailchute.message n on n.id = a.message_id and n.app = a.app
         where a.source = $1 and a.row_id = $2::bigint)`,
      [this.#source, id, why],
    );
    if (row !== undefined && row.answer !== "canceled") return false;
    await this.drop(id);
    return true;
  }

  /** The same for a row that is no longer ours to write: also when its mail has ended. */
  async disown(id: string, why: string): Promise<void> {
    if (await this.takeBack(id, why)) return;
    await this.#ask(
      `delete from mailchute.adopted a where a.source = $1 and a.row_id = $2::bigint and not exists (
        select from mailchute.message m join mailchute.queue q on q.seq = m.seq where m.id = a.message_id and m.app = a.app)`,
      [this.#source, id],
    );
  }

  async #ask(text: string, values: (string | number | boolean | null)[]): Promise<Rows> {
    return await this.#sql.unsafe(text.replaceAll(/\bT\b/g, this.#source), values);
  }
}

function toSeen(row: Readonly<Record<string, unknown>>): Seen {
  return {
    id: row.id as string,
    status: row.status as number,
    retries: row.retries as number,
    updatedAt: row.updated_at as string,
  };
}
