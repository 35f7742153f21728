import type { Statements } from "../database/statements.ts";
import type { CopyState, Pass } from "./pass.ts";

/** The state of a copy, with the fence that its next write names. */
export interface StoredCopy extends CopyState {
  readonly version: string;
}

/** Whose copy it is. */
export interface Origin {
  /** The id of the home database. */
  readonly id: string;
  /** `host/name`. */
  readonly display: string;
}

const READ =
  "select epoch, seen, pass::text as pass, version::text as version from mailchute.suppression_copy where origin = $1";

const BEGIN = "insert into mailchute.suppression_copy (origin, home) values ($1, $2) on conflict do nothing";

/**
 * Index: suppression_copy_pkey, suppression_pkey. Nothing is written unless this is the version that was read, and the
 * lock on that row keeps others from writing meanwhile, so copies of one home never wait for each other crosswise.
 * `lower` is this database's own: home may have another locale.
 */
export const WRITE_COPY: string = `
with mine as materialized (
  update mailchute.suppression_copy c
  set version = c.version + 1, home = $3, epoch = $4, seen = $5, pass = $6::text::jsonb, changed_at = now()
  where c.origin = $1 and c.version = $2::bigint
  returning c.version::text as version
), input as materialized (
  select distinct on (1) lower(x.item ->> 0) as address, x.item ->> 1 as reason, (x.item ->> 2)::timestamptz as until,
    (x.item ->> 3)::timestamptz as created_at, x.item ->> 4 as created_by
  from jsonb_array_elements($7::text::jsonb) as x(item) where exists (select from mine)
  order by 1, x.item ->> 1 is null
), removed as (
  delete from mailchute.suppression s
  where s.address = any (array(select i.address from input i where i.reason is null)) and s.scope = 'all' and s.origin = $1
), saved as (
  insert into mailchute.suppression as s (address, scope, origin, reason, until, created_at, created_by)
  select i.address, 'all', $1, i.reason, i.until, i.created_at, i.created_by from input i where i.reason is not null order by i.address
  on conflict on constraint suppression_pkey do update
  set reason = excluded.reason, until = excluded.until, created_at = excluded.created_at, created_by = excluded.created_by
  where (s.reason, s.until, s.created_at, s.created_by)
    is distinct from (excluded.reason, excluded.until, excluded.created_at, excluded.created_by)
)
select version from mine`;

/** Index: suppression_pkey, in its order. */
export const LIST_COPIED: string = `
select count(*)::int as count, coalesce(json_agg(p.address), '[]')::text as addresses, max(p.address) as last from (
  select s.address from mailchute.suppression s
  where s.address > $2 and s.scope = 'all' and s.origin = $1 order by s.address limit $3::int) p`;

/** Reads how far a copy is. */
export async function readCopy(sql: Statements, { id, display }: Origin): Promise<StoredCopy> {
  const [known] = await sql.unsafe(READ, [id]);
  if (known !== undefined) return toCopy(known);
  await sql.unsafe(BEGIN, [id, display]);
  const [row] = await sql.unsafe(READ, [id]);
  return toCopy(row as Record<string, unknown>);
}

/**
 * Writes a page of rows, as home has written it, and how far the copy is then.
 * @returns undefined: another relay was faster, and nothing was written
 */
export async function writeCopy(
  sql: Statements,
  { id, display }: Origin,
  page: { readonly version: string; readonly state: CopyState; readonly rows: string },
): Promise<StoredCopy | undefined> {
  const { version, state, rows } = page;
  const { epoch, seen, pass } = state;
  const values = [id, version, display, epoch, seen, pass === null ? null : JSON.stringify(pass), rows];
  const [row] = await sql.unsafe(WRITE_COPY, values, { prepare: true });
  return row === undefined ? undefined : { ...state, version: row.version as string };
}

/** Reads a page of the addresses that stand here as copies, as JSON. */
export async function listCopied(
  sql: Statements,
  { id }: Origin,
  { after, limit }: { readonly after: string; readonly limit: number },
): Promise<{ readonly addresses: string; readonly last: string | undefined }> {
  const [row] = await sql.unsafe(LIST_COPIED, [id, after, limit], { prepare: true });
  const isFull = row?.count === limit;
  return { addresses: row?.addresses as string, last: isFull ? row?.last as string : undefined };
}

function toCopy(row: Readonly<Record<string, unknown>>): StoredCopy {
  return {
    ...{ epoch: row.epoch as string | null, seen: row.seen as string | null, version: row.version as string },
    pass: row.pass === null ? null : JSON.parse(row.pass as string) as Pass,
  };
}
