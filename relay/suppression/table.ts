import type { Statements } from "../database/statements.ts";

/** A row of the suppression list, as people and files write it. */
export interface SuppressionRow {
  readonly address: string;
  /** `all`, `app:NAME`, `stream:NAME` or `sender:PATTERN`. */
  readonly scope: string;
  /** Undefined: nobody has said; one that is there keeps its own, and a later end, and a new one is `manual`. */
  readonly reason: string | undefined;
  /** Undefined: for good. */
  readonly until: Date | undefined;
  /** Undefined: now. */
  readonly createdAt: Date | undefined;
}

/** One that is stored. */
export interface StoredSuppression extends SuppressionRow {
  readonly reason: string;
  /** The home database (`host/name`) that relays have copied it from; undefined: it was written here. */
  readonly copyOf: string | undefined;
  readonly createdAt: Date;
  readonly createdBy: string;
}

/**
 * Index: suppression_pkey. The database makes the case of the address, as it does when it looks for one. The same
 * address twice in one statement would be an error: the last one counts. Another reason is the word of whoever gives
 * it: an app takes off what it has put there itself, and no complaint that a person has made of it.
 */
const SAVE = `
with saved as (
  insert into mailchute.suppression as s (address, scope, reason, until, created_at)
  select distinct on (1, 2) lower(x.item ->> 0), x.item ->> 1, coalesce(x.item ->> 2, o.reason, 'manual'),
    case when o.until is null and o.reason is not null then null when x.item ->> 3 is not null then greatest((x.item ->> 3)::timestamptz, o.until) end,
    coalesce((x.item ->> 4)::timestamptz, now())
  from jsonb_array_elements($1::text::jsonb) with ordinality as x(item, place)
  left join lateral (
    select s.reason, s.until from mailchute.suppression s
    where x.item ->> 2 is null and s.address = lower(x.item ->> 0) and s.scope = x.item ->> 1 and s.origin = 'here' offset 0
  ) o on true
  order by 1, 2, x.place desc
  on conflict on constraint suppression_pkey do update set reason = excluded.reason, until = excluded.until,
    created_by = case when s.reason = excluded.reason then s.created_by else excluded.created_by end
  returning s.xmax = 0 as is_new
)
select count(*) filter (where is_new)::int as created, count(*)::int as saved from saved`;

/** Index: suppression_pkey. What relays have copied ends where it was written. */
const REMOVE = `
delete from mailchute.suppression s
where s.address in (select lower(a) from jsonb_array_elements_text($1::text::jsonb) as a) and ($2::text is null or s.scope = $2) and s.origin = 'here'
returning s.address, s.scope`;

/** Index: suppression_pkey, in its order. $6: what relays have copied (true), or not (false). */
const LIST = `
select s.address, s.scope, s.reason, s.until, s.created_at, s.created_by, s.origin,
  case when s.origin <> 'here' then coalesce((select c.home from mailchute.suppression_copy c where c.origin = s.origin), s.origin) end as copy_of
from mailchute.suppression s
where (s.address, s.scope, s.origin) > ($1, $2, $7) and ($3::text is null or s.scope = $3)
  and ($4::text is null or s.address in (select lower(a) from jsonb_array_elements_text($4::text::jsonb) as a)) and ($6::boolean is null or (s.origin <> 'here') = $6)
order by s.address, s.scope, s.origin limit $5::int`;

/** Reads the few apps that there are. */
const APPS = "select a.name from mailchute.app a order by 1";

const COPIES = { included: null, excluded: false, only: true } as const;

/** The apps that there are, when a scope is of one that is none of them; undefined: it is, or is of no app. */
export async function appsBeside(sql: Statements, scope: string): Promise<readonly string[] | undefined> {
  if (!scope.startsWith("app:")) return undefined;
  const apps = (await sql.unsafe(APPS)).map(({ name }) => name as string);
  return apps.includes(scope.slice("app:".length)) ? undefined : apps;
}

/** What was taken off. */
export interface RemovedSuppression {
  readonly address: string;
  readonly scope: string;
}

/** A part of the list. */
export interface SuppressionPage {
  readonly rows: readonly StoredSuppression[];
  /** Where the next part begins; undefined: this was the last. */
  readonly next: ListPlace | undefined;
}

/** Where a list begins: behind a row. */
export interface ListPlace {
  readonly address: string;
  readonly scope: string;
  readonly origin: string;
}

/** Puts rows on the list; one that is there gets the new reason and end, where a reason is given. */
export async function saveSuppressions(
  sql: Statements,
  rows: readonly SuppressionRow[],
): Promise<{ readonly created: number; readonly saved: number }> {
  const input = rows.map((
    { address, scope, reason, until, createdAt },
  ) => [address, scope, reason ?? null, until?.toISOString() ?? null, createdAt?.toISOString() ?? null]);
  const [row] = await sql.unsafe(SAVE, [JSON.stringify(input)], { prepare: true });
  return { created: row?.created as number, saved: row?.saved as number };
}

/** Takes addresses off the list that were put on it here. @param scope undefined: in every scope */
export async function removeSuppressions(
  sql: Statements,
  { addresses, scope }: { readonly addresses: readonly string[]; readonly scope: string | undefined },
): Promise<readonly RemovedSuppression[]> {
  return (await sql.unsafe(REMOVE, [JSON.stringify(addresses), scope ?? null])).map((row) => (
    { address: row.address as string, scope: row.scope as string }
  ));
}

/** Reads a part of the list, in the order of addresses. */
export async function listSuppressions(
  sql: Statements,
  { after, addresses, scope, limit, copies }: {
    readonly after?: ListPlace | undefined;
    /** Undefined: all. */
    readonly addresses?: readonly string[] | undefined;
    readonly scope?: string | undefined;
    readonly limit: number;
    /** What relays have copied from their home database. */
    readonly copies: "included" | "excluded" | "only";
  },
): Promise<SuppressionPage> {
  const wanted = addresses === undefined ? null : JSON.stringify(addresses);
  const place = { address: "", scope: "", origin: "", ...after };
  const values = [place.address, place.scope, scope ?? null, wanted, limit, COPIES[copies], place.origin];
  const found = await sql.unsafe(LIST, values, { prepare: true });
  const last = found.length < limit ? undefined : found.at(-1);
  const rows = found.map((row) => ({
    ...{ address: row.address as string, scope: row.scope as string, reason: row.reason as string },
    until: (row.until ?? undefined) as Date | undefined,
    createdAt: row.created_at as Date,
    createdBy: row.created_by as string,
    copyOf: (row.copy_of ?? undefined) as string | undefined,
  }));
  return { rows, next: last as ListPlace | undefined };
}
