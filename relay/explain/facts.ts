import { messageId } from "../../src/mime/message_id.ts";
import type { Statements } from "../database/statements.ts";
import { isServing } from "../queue/relay_row.ts";
import { COUNTS } from "../suppression/rule.ts";
import {
  type ExplainedMail,
  type ExplainedRecipient,
  MOST_AHEAD,
  type SuppressionRow,
  type Surroundings,
} from "./explained_mail.ts";

/** What the database tells of a mail and of who serves it. */
export interface MailFacts {
  readonly mail: ExplainedMail;
  /** From whom it is. */
  readonly from: string;
  readonly now: Date;
  readonly relays: Surroundings["relays"];
}

/**
 * Index: message_id, queue_pkey, queue_due, relay_pkey, recipient_pkey, suppression_pkey.
 */
const FACTS = `
select mailchute.describe(m.seq) as message, m.from_email, now() as now, q.seq is not null as is_open, case when isfinite(q.due) then q.due end as due,
  q.throttle, q.crashes, b.id as batch,
  r.host, r.pid, ${isServing("r")} as is_alive, coalesce(r.stopped_at, r.heartbeat_at) as seen_at,
  (select count(*)::int from (
    select from mailchute.queue w where w.lane = q.lane and w.due <= now() and (w.due, w.seq) < (q.due, q.seq) and w.leased_by is null limit ${MOST_AHEAD}) w) as ahead,
  (select jsonb_agg(jsonb_strip_nulls(jsonb_build_object('address', s.address, 'scope', s.scope, 'reason', s.reason, 'by', s.created_by,
      'createdAt', s.created_at, 'until', s.until)) order by s.address, s.scope)
    from mailchute.suppression s
    where s.address = any (array(select lower(x.email) from mailchute.recipient x where x.seq = m.seq))
      and ${COUNTS}
  ) as suppressions
from mailchute.message m
left join mailchute.queue q on q.seq = m.seq
left join mailchute.relay r on r.id = q.leased_by
left join mailchute.batch b on b.seq = m.batch
where m.id = $1::uuid order by m.seq`;

/** A handful of rows. */
const RELAYS = `
select count(*) filter (where ${isServing("r")})::int as alive,
  max(coalesce(stopped_at, heartbeat_at)) as seen_at, (array_agg(host order by coalesce(stopped_at, heartbeat_at) desc))[1] as host,
  max(full_until) filter (where full_until > now()) as full_until, now() as now
from mailchute.relay r where heartbeat_at > now() - interval '1 day'`;

/** Index: throttle_pkey. */
const THROTTLE = "select full_at from mailchute.throttle where key = $1";

interface Described {
  readonly id: string;
  readonly app: string;
  readonly state: string;
  readonly stream?: string;
  readonly scheduledAt?: string;
  readonly expiresAt?: string;
  readonly overrideSuppression?: boolean;
  readonly digest?: NonNullable<ExplainedMail["digest"]>;
  readonly recipients: readonly ExplainedRecipient[];
  readonly attempts: ExplainedMail["attempts"];
}

/** Reads what there is to know about the messages of an id: two apps may have used the same. */
export async function readMailFacts(sql: Statements, id: string): Promise<readonly MailFacts[]> {
  const rows = await sql.unsafe(FACTS, [id]);
  if (rows.length === 0) return [];
  const { relays } = await readRelays(sql);
  return rows.map((row) => {
    const described = row.message as Described;
    const holder = row.host === null || row.host === undefined ? undefined : {
      ...{ host: row.host as string, pid: row.pid as number },
      ...{ isAlive: row.is_alive as boolean, seenAt: row.seen_at as Date },
    };
    const queued = {
      due: (row.due ?? undefined) as Date | undefined,
      throttle: (row.throttle ?? undefined) as string | undefined,
      crashes: row.crashes as number,
      ahead: row.ahead as number,
      holder,
    };
    const mail = {
      ...described,
      messageId: messageId({ id: described.id, from: { email: row.from_email as string } }),
      batchId: (row.batch ?? undefined) as string | undefined,
      row: row.is_open ? queued : undefined,
      suppressions: (row.suppressions ?? []) as readonly SuppressionRow[],
    };
    return { mail, from: row.from_email as string, now: row.now as Date, relays };
  });
}

/** Who serves a database, and until when it refuses what apps enqueue (undefined: it does not). */
export async function readRelays(
  sql: Statements,
): Promise<
  { readonly relays: Surroundings["relays"]; readonly fullUntil: Date | undefined; readonly now: Date }
> {
  const [row] = await sql.unsafe(RELAYS);
  const last = row?.seen_at === null ? undefined : { host: row?.host as string, at: row?.seen_at as Date };
  return {
    relays: { alive: row?.alive as number, last },
    fullUntil: (row?.full_until ?? undefined) as Date | undefined,
    now: row?.now as Date,
  };
}

/** When the bucket of a throttle will be full, by the home database; undefined: it is. */
export async function readThrottle(home: Statements, key: string): Promise<Date | undefined> {
  const [row] = await home.unsafe(THROTTLE, [key]);
  return (row?.full_at ?? undefined) as Date | undefined;
}
