import type { Statements } from "./statements.ts";

/** A row of the suppression list, as people and files write it. */
export interface SuppressionRow {
  readonly address: string;
  /** `all`, `app:NAME`, `stream:NAME` or `sender:PATTERN`. */
  readonly scope: string;
  readonly reason: string;
  /** Undefined: for good. */
  readonly until: Date | undefined;
  /** Undefined: now. */
  readonly createdAt: Date | undefined;
}

/** One that is stored. */
export interface StoredSuppression extends SuppressionRow {
  readonly createdAt: Date;
  readonly createdBy: string;
}

/**
 * Index: suppression_pkey. The database makes the case of the address, as it does when it looks for one. The same address twice in one statement would be
 * an error: the last one counts.
 */
const SAVE = `
with saved as (
  insert into mailchute.suppression as s (address, scope, reason, until, created_at)
  select distinct on (1, 2) lower(x.item ->> 0), x.item ->> 1, x.item ->> 2, (x.item ->> 3)::timestamptz, coalesce((x.item ->> 4)::timestamptz, now())
  from jsonb_array_elements($1::text::jsonb) with ordinality as x(item, place) order by 1, 2, x.place desc
  on conflict on constraint suppression_pkey do update set reason = excluded.reason, until = excluded.until
  returning s.xmax = 0 as is_new
)
select count(*) filter (where is_new)::int as created, count(*)::int as saved from saved`;

/** Index: suppression_pkey. */
const REMOVE = `
delete from mailchute.suppression s
where s.address in (select lower(a) from jsonb_array_elements_text($1::text::jsonb) as a) and ($2::text is null or s.scope = $2)
returning s.address, s.scope`;

/** Index: suppression_pkey, in its order. */
const LIST = `
select s.address, s.scope, s.reason, s.until, s.created_at, s.created_by from mailchute.suppression s
where (s.address, s.scope) > ($1, $2) and ($3::text is null or s.scope = $3)
  and ($4::text is null or s.address in (select lower(a) from jsonb_array_elements_text($4::text::jsonb) as a))
order by s.address, s.scope limit $5::int`;

/** Where a list begins: behind the row before. */
export interface ListPlace {
  readonly address: string;
  readonly scope: string;
}

/** Puts rows on the list; one that is there gets the new reason and end. */
export async function saveSuppressions(
  sql: Statements,
  rows: readonly SuppressionRow[],
): Promise<{ readonly created: number; readonly saved: number }> {
  const input = rows.map((
    { address, scope, reason, until, createdAt },
  ) => [address, scope, reason, until?.toISOString() ?? null, createdAt?.toISOString() ?? null]);
  const [row] = await sql.unsafe(SAVE, [JSON.stringify(input)], { prepare: true });
  return { created: row?.created as number, saved: row?.saved as number };
}

/** Takes addresses off the list. @param scope undefined: in every scope */
export async function removeSuppressions(
  sql: Statements,
  { addresses, scope }: { readonly addresses: readonly string[]; readonly scope: string | undefined },
): Promise<readonly ListPlace[]> {
  return (await sql.unsafe(REMOVE, [JSON.stringify(addresses), scope ?? null])).map((row) => (
    { address: row.address as string, scope: row.scope as string }
  ));
}

/** Reads a part of the list, in the order of addresses. */
export async function listSuppressions(
  sql: Statements,
  { after, addresses, scope, limit }: {
    readonly after?: ListPlace | undefined;
    /** Undefined: all. */
    readonly addresses?: readonly string[] | undefined;
    readonly scope?: string | undefined;
    readonly limit: number;
  },
): Promise<readonly StoredSuppression[]> {
  const wanted = addresses === undefined ? null : JSON.stringify(addresses);
  const values = [after?.address ?? "", after?.scope ?? "", scope ?? null, wanted, limit];
  return (await sql.unsafe(LIST, values, { prepare: true })).map((row) => ({
    ...{ address: row.address as string, scope: row.scope as string, reason: row.reason as string },
    until: (row.until ?? undefined) as Date | undefined,
    createdAt: row.created_at as Date,
    createdBy: row.created_by as string,
  }));
}
