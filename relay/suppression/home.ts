import type { Statements } from "../database/statements.ts";
import type { HomeHead, PagePlace, Pass } from "./pass.ts";

// What the home database says of its suppressions of scope `all`. Rows are handed on as the JSON text that the database
// has written, and never become objects here: a list may have a million of them.

/** Rung in the home database when its list has changed. */
export const SUPPRESSION_CHANNEL = "mailchute_suppression";

/**
 * Rows of one page, as `[[address, reason, until, created_at, created_by], …]`; without a reason: it is not on the list
 * any more.
 */
export interface Page {
  readonly rows: string;
  readonly count: number;
  /** Undefined: there are no more. */
  readonly last: PagePlace | undefined;
}

const MAKE = "insert into mailchute.suppression_home default values on conflict do nothing";

const ID = "select id::text as id from mailchute.suppression_home";

/** The rows of home's own list, and the record of removals: who wrote them, and from where. */
const WRITTEN = {
  stamp: "s.changed",
  rows: "mailchute.suppression s where s.scope = 'all' and s.origin = 'here' and",
} as const;
const REMOVED = { stamp: "s.removed", rows: "mailchute.suppression_removal s where" } as const;

/**
 * Whether there is anything that the snapshot $1 did not see: of a transaction that ran then, or began later. (Stamps
 * that a restored dump has brought along are above all that runs now, and were copied with the rest.) Not asked with
 * pg_visible_in_snapshot: while a transaction stays open, that would be called for each row of all that came after it.
 */
const hasUnseen = ({ stamp, rows }: typeof WRITTEN | typeof REMOVED): string =>
  `exists (select from pg_snapshot_xip($1::pg_snapshot) x(id) where (select true from ${rows} ${stamp} = x.id limit 1))
  or (select true from ${rows} ${stamp} >= pg_snapshot_xmax($1::pg_snapshot) and ${stamp} < pg_snapshot_xmax(pg_current_snapshot()) limit 1) is true`;

/**
 * The newest removal that is recorded no more. A restored dump may have brought one along that is above all that runs
 * now: of the life before, which another epoch tells of. Taken as it is, no copy would ever have seen it, and each look
 * would compare the whole list.
 */
const FORGOTTEN = "case when h.forgotten < pg_snapshot_xmax(pg_current_snapshot()) then h.forgotten else '0'::xid8 end";

/** Index: suppression_changed, suppression_removal_pkey. $1: what was seen last, or null. */
export const LOOK_AT_HOME: string = `
select mailchute.suppression_epoch() as epoch, (${FORGOTTEN})::text as forgotten, pg_current_snapshot()::text as snapshot, $1::text is null
  or ${hasUnseen(WRITTEN)}
  or ${hasUnseen(REMOVED)} as is_changed
from mailchute.suppression_home h`;

/** One row by its key. Said so that suppression_changed, in which its address comes second, is not taken for it. */
const IS_ROW_OF = "s.scope = 'all' and s.origin || '' = 'here' and s.address";

/** Of a page of addresses: their rows as they are now. `offset 0` keeps the lookups by key from becoming a join. */
const PAGE_OF_TOUCHED = `
select t.count, t.at, t.address, (select (${FORGOTTEN})::text from mailchute.suppression_home h) as forgotten, (
    select coalesce(json_agg(json_build_array(u.address, s.reason, s.until, s.created_at, s.created_by)), '[]')::text
    from touched u left join lateral (
      select s.reason, s.until, s.created_at, s.created_by from mailchute.suppression s
      where ${IS_ROW_OF} = u.address offset 0) s on true
  ) as rows
from (select count(*)::int as count, (array_agg(at::text order by at desc, address desc))[1] as at,
  (array_agg(address order by at desc, address desc))[1] as address from touched) t`;

/** Index: suppression_changed, suppression_pkey. Everything, behind $1 and $2. */
export const READ_ALL: string = `
with touched as materialized (
  select s.changed as at, s.address from mailchute.suppression s
  where s.scope = 'all' and s.origin = 'here' and (s.changed, s.address) > ($1::xid8, $2::text)
  order by s.changed, s.address limit $3::int
)${PAGE_OF_TOUCHED}`;

/**
 * The next addresses that the snapshot $4 did not see, up to the end of $5; those of each transaction that ran then by
 * themselves, so that none is sorted.
 */
const unseen = ({ stamp, rows }: typeof WRITTEN | typeof REMOVED): string => {
  const next = `and (${stamp}, s.address) > ($1::xid8, $2::text) order by ${stamp}, s.address limit $3::int`;
  return `(select u.at, u.address from pg_snapshot_xip($4::pg_snapshot) x(id)
    cross join lateral (select ${stamp} as at, s.address from ${rows} ${stamp} = x.id ${next}) u)
  union all
  (select ${stamp}, s.address from ${rows} ${stamp} >= pg_snapshot_xmax($4::pg_snapshot) and ${stamp} < pg_snapshot_xmax($5::pg_snapshot)
    ${next})`;
};

/**
 * Index: suppression_changed, suppression_removal_pkey, suppression_pkey. What was written or removed, behind $1 and
 * $2.
 */
export const READ_NEW: string = `
with touched as materialized (
  ${unseen(WRITTEN)}
  union all
  ${unseen(REMOVED)}
  order by 1, 2 limit $3::int
)${PAGE_OF_TOUCHED}`;

/** Index: suppression_pkey. Which of these addresses have no row. */
export const MISSING_AT_HOME: string = `
select coalesce(json_agg(json_build_array(a.address)), '[]')::text as rows from jsonb_array_elements_text($1::text::jsonb) as a(address)
where (select true from mailchute.suppression s where ${IS_ROW_OF} = a.address) is null`;

/** Index: suppression_removal_at. A copy of which nobody was able to write for 30 days is compared as a whole. */
const FORGET = `
with gone as (
  delete from mailchute.suppression_removal where at < now() - interval '30 days' returning removed
)
update mailchute.suppression_home h set forgotten = greatest(${FORGOTTEN}, g.removed)
from (select removed from gone where removed < pg_snapshot_xmax(pg_current_snapshot()) order by removed desc limit 1) g`;

/** Forgets removals of long ago. */
export async function forgetRemovals(sql: Statements): Promise<void> {
  await sql.unsafe(FORGET);
}

/**
 * The list of the home database, for all who copy it. One statement at a time: the claims at home need the connections.
 */
export class SuppressionHome {
  /** `host/name`. */
  readonly display: string;
  readonly #sql: Statements;
  #turn: Promise<unknown> = Promise.resolve();
  #id: string | undefined;

  constructor({ sql, display }: { readonly sql: Statements; readonly display: string }) {
    this.#sql = sql;
    this.display = display;
  }

  /** By which copies know it. */
  async id(): Promise<string> {
    if (this.#id !== undefined) return this.#id;
    const [known] = await this.#ask(ID);
    if (known === undefined) await this.#ask(MAKE);
    const [row] = known === undefined ? await this.#ask(ID) : [known];
    return this.#id = row?.id as string;
  }

  /** Looks whether there is something that a snapshot has not seen. */
  async look(seen: string | null): Promise<HomeHead> {
    const [row] = await this.#ask(LOOK_AT_HOME, [seen]);
    if (row === undefined) {
      this.#id = undefined;
      throw new Error("Cannot copy suppressions: the home database has forgotten that it is one");
    }
    const { epoch, snapshot, forgotten } = row as Record<string, string>;
    return { epoch, snapshot, forgotten, isChanged: row.is_changed } as HomeHead;
  }

  /** Reads the next page of a pass, and what was forgotten by then. */
  async read({ from, upto, after }: Pass, limit: number): Promise<Page & Pick<HomeHead, "forgotten">> {
    const place = [after.at, after.address, limit];
    const [row] = from === null ? await this.#ask(READ_ALL, place) : await this.#ask(READ_NEW, [...place, from, upto]);
    const { rows, count, at, address, forgotten } = row as Record<string, unknown>;
    const last = (count as number) < limit ? undefined : { at: at as string, address: address as string };
    return { rows: rows as string, count: count as number, last, forgotten: forgotten as string };
  }

  /** Finds which of these addresses, a JSON text, are not on the list. @returns rows without a reason */
  async missing(addresses: string): Promise<string> {
    const [row] = await this.#ask(MISSING_AT_HOME, [addresses]);
    return row?.rows as string;
  }

  #ask(text: string, values: (string | number | null)[] = []): Promise<readonly Readonly<Record<string, unknown>>[]> {
    const asked = this.#turn.then(() => this.#sql.unsafe(text, values, { prepare: true }));
    this.#turn = asked.catch(() => undefined);
    return asked;
  }
}
