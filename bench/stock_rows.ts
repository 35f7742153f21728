import { statfsSync } from "node:fs";
import type { Sql } from "postgres";
import { FROM, SUBJECT, TEXT } from "./mail.ts";

// Rows as enqueue and a relay leave them, written past both: ten million mails would take an hour otherwise. They share
// one content.

const CONTENT_ID = "00000000-0000-7000-8000-000000000000";

/** What a finished mail needs on the disk, with its indexes and its share of the log. */
const BYTES_EACH = 1_200;

/**
 * What to write: `finished` mails have a message, a recipient and an attempt; the others a row of the queue instead of
 * the attempt. `scheduled` ones are due in a day, `waiting` ones, which come after them, now.
 */
export interface Stock {
  readonly finished?: number;
  readonly scheduled?: number;
  readonly waiting?: number;
  /** 0 high, 1 normal, 2 low. @default all three in turn */
  readonly lane?: 0 | 1 | 2;
}

/** How many finished mails the disk has room for, at most so many; half of what is free is left. */
export function fitting(directory: string, wanted: number): number {
  const { bavail, bsize } = statfsSync(directory);
  return Math.min(wanted, Math.floor(bavail * bsize / 2 / BYTES_EACH));
}

/** Writes them, and tidies up, so that no vacuum runs into the measurement. */
export async function stockRows(sql: Sql, { finished = 0, scheduled = 0, waiting = 0, lane }: Stock): Promise<void> {
  const [row] = await sql`select coalesce(max(seq), 0)::int as last from mailchute.message`;
  const last = row?.last as number;
  await sql`
    insert into mailchute.content (id, subject, text) values (${CONTENT_ID}, ${SUBJECT}, ${TEXT}) on conflict do nothing`;
  const all = finished + scheduled + waiting;
  await sql.unsafe(
    `insert into mailchute.message (id, app, content_id, from_email, from_name, lane, scheduled_at)
    select lpad(to_hex($1::bigint + i), 32, '0')::uuid, 'bench', '${CONTENT_ID}', $2, $3, coalesce($4::int, i % 3),
      case when i > $6::bigint and i <= $7::bigint then now() + interval '1 day' + i * interval '1 microsecond' end
    from generate_series(1, $5::bigint) i`,
    [last, FROM.email, FROM.name, lane ?? null, all, finished, finished + scheduled],
  );
  await sql.unsafe(
    `insert into mailchute.recipient (seq, position, kind, email, state)
    select $1::bigint + i, 0, 'to', 'reader' || lpad(($1::bigint + i)::text, 9, '0') || '@example.com', case when i <= $2::bigint then 'sent' else 'queued' end
    from generate_series(1, $3::bigint) i`,
    [last, finished, all],
  );
  await sql.unsafe(
    `insert into mailchute.attempt (seq, number, position, outcome, phase, blame, code, enhanced, reply, route, relay)
    select $1::bigint + i, 1, 0, 'sent', 'final', 'recipient', 250, '2.0.0', '2.0.0 Ok: queued', 'default', 1 from generate_series(1, $2::bigint) i`,
    [last, finished],
  );
  await sql.unsafe(
    `insert into mailchute.queue (seq, lane, due)
    select m.seq, m.lane, coalesce(m.scheduled_at, now() - interval '1 minute' + m.seq * interval '1 microsecond') from mailchute.message m where m.seq > $1::bigint`,
    [last + finished],
  );
  await sql.unsafe("vacuum analyze").simple();
}
