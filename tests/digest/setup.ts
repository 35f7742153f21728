import type { TestDatabase } from "../database.ts";
import { enqueue } from "../relay.ts";

/** What `get` tells of items and digests. */
export interface DigestView {
  readonly id: string;
  readonly state: string;
  readonly createdAt: string;
  readonly scheduledAt?: string;
  readonly digest?: { readonly key: string; readonly id?: string; readonly items?: number };
  readonly recipients: readonly { readonly address: string; readonly state: string; readonly reason?: string }[];
  readonly attempts: readonly { readonly outcome: string }[];
  readonly tags: readonly string[];
}

/** Enqueues an item for Ann's digest `replies`, of an hour. @returns the id */
export function enqueueItem(
  database: TestDatabase,
  request: Readonly<Record<string, unknown>> = {},
  digest: Readonly<Record<string, unknown>> = {},
): Promise<string> {
  const window = "at" in digest ? {} : { wait: "1h" };
  return enqueue(database, { ...request, digest: { key: "replies", ...window, ...digest } });
}

/** Moves items that wait, as if they had been enqueued so much earlier. */
export async function age(database: TestDatabase, by: string, ids?: readonly string[]): Promise<void> {
  await database.sql`
    update mailchute.digest_item i set since = i.since - ${by}::text::interval, look_at = i.look_at - ${by}::text::interval
    from mailchute.message m
    where m.seq = i.seq and i.digest is null and (${
    ids === undefined
  } or m.id::text = any (array(select jsonb_array_elements_text(${JSON.stringify(ids ?? [])}::text::jsonb))))`;
}

/**
 * Closes what has ended by then.
 * @returns the number of digests looked at, and how many seconds after that the next may end
 */
export async function closeAt(
  database: TestDatabase,
  later = "0",
): Promise<{ readonly looked: number; readonly nextSeconds: number | null }> {
  const [row] = await database.sql`
    select c.looked, extract(epoch from c.next_at - m.at)::float8 as next
    from (select statement_timestamp() + ${later}::text::interval as at) m cross join lateral mailchute.close_digests(100, m.at) c`;
  return { looked: row?.looked as number, nextSeconds: row?.next as number | null };
}

/** What is known of a mail. */
export async function viewOf(database: TestDatabase, id: string): Promise<DigestView> {
  const [row] = await database.sql`select mailchute.status_v1(${id}) as view`;
  return row?.view as DigestView;
}

/** The digests and lone items so far, oldest first, with the subjects that they show. */
export async function digests(database: TestDatabase): Promise<
  readonly {
    readonly id: string;
    readonly subject: string;
    readonly items: number;
    readonly shown: readonly string[];
  }[]
> {
  const rows = await database.sql`
    select m.id, c.subject, d.items, coalesce(jsonb_path_query_array(c.digest, '$.items[*].subject'), '[]') as shown
    from mailchute.digest d join mailchute.message m on m.seq = d.seq left join mailchute.content c on c.id = m.content_id
    order by d.closed_at, d.seq`;
  return rows.map(({ id, subject, items, shown }) => ({ id, subject, items, shown }));
}
