import type { Sql } from "postgres";

/** One mail as the database knows it at the end. */
export interface MailRow {
  readonly seq: string;
  readonly id: string;
  readonly token: string;
  /** Its row in the queue; undefined: it has none. */
  readonly queued:
    | { readonly isHeld: boolean; readonly leasedBy: string | null; readonly attempts: number }
    | undefined;
  readonly recipients: readonly {
    readonly position: number;
    readonly email: string;
    readonly state: string;
    readonly reason: string | null;
  }[];
  readonly attempts: readonly AttemptRow[];
}

/** What the next hop said to one recipient in one attempt. */
export interface AttemptRow {
  readonly number: number;
  readonly position: number;
  readonly outcome: "sent" | "deferred" | "bounced" | "uncertain";
  readonly phase: string;
  readonly reply: string;
  readonly relay: string;
  readonly atMs: number;
}

/** All that the database knows. */
export interface DatabaseRows {
  readonly mails: readonly MailRow[];
  /** The app's own rows. */
  readonly orders: ReadonlySet<string>;
}

const MAILS = `
select m.seq::text, m.id::text, split_part(m.from_email, '@', 1) as token,
  (select jsonb_build_object('isHeld', q.due = 'infinity', 'leasedBy', q.leased_by::text, 'attempts', q.attempts)
    from mailchute.queue q where q.seq = m.seq) as queued,
  (select coalesce(jsonb_agg(jsonb_build_object('position', r.position, 'email', r.email, 'state', r.state, 'reason', r.reason) order by r.position), '[]')
    from mailchute.recipient r where r.seq = m.seq) as recipients,
  (select coalesce(jsonb_agg(jsonb_build_object('number', a.number, 'position', a.position, 'outcome', a.outcome, 'phase', a.phase,
      'reply', a.reply, 'relay', a.relay::text, 'atMs', extract(epoch from a.at) * 1000) order by a.number, a.position), '[]')
    from mailchute.attempt a where a.seq = m.seq) as attempts
from mailchute.message m`;

/** Reads all mails with their recipients and attempts. */
export async function readRows(sql: Sql): Promise<DatabaseRows> {
  const mails = await sql.unsafe(MAILS);
  const orders = await sql`select token from public.orders`;
  return {
    mails: mails.map((row) => ({ ...row, queued: row.queued ?? undefined }) as unknown as MailRow),
    orders: new Set(orders.map(({ token }) => token as string)),
  };
}
