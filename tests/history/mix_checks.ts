import type { Sql } from "postgres";

/** Recipients for whom something is to be done. */
const OPEN = "('queued', 'deferred', 'held')";

/** What no row may be when all is quiet, whatever has been done at once; each statement finds those that are. */
const MUST_NOT_BE: Readonly<Record<string, string>> = {
  "a recipient is open, and the mail is not in the queue": `
    select r.* from mailchute.recipient r where r.state in ${OPEN} and not exists (select from mailchute.queue q where q.seq = r.seq)`,
  "a mail is in the queue, and nobody is held for a person": `
    select q.* from mailchute.queue q where not exists (select from mailchute.recipient r where r.seq = q.seq and r.state = 'held')`,
  "a mail that nobody sends has a lease, or waits for a limit": `
    select q.* from mailchute.queue q where q.leased_by is not null or q.throttle is not null or q.intent`,
  "a recipient has ended without a reason": `
    select r.* from mailchute.recipient r where r.state in ('suppressed', 'canceled', 'failed', 'expired') and r.reason is null
      and not exists (select from mailchute.attempt a where a.seq = r.seq and a.position = r.position)`,
  "a recipient is sent, and no attempt was": `
    select r.* from mailchute.recipient r where r.state = 'sent'
      and not exists (select from mailchute.attempt a where a.seq = r.seq and a.position = r.position and a.outcome = 'sent')`,
  "a report says that the only attempt came back, and the recipient is sent": `
    select r.* from mailchute.recipient r join mailchute.feedback f on f.seq = r.seq and f.position = r.position and f.kind = 'bounced'
    where r.state = 'sent' and (select count(*) from mailchute.attempt a where a.seq = r.seq and a.position = r.position) = 1`,
  "a digest has not the items that it counts": `
    select d.* from mailchute.digest d where d.items <> (select count(*) from mailchute.digest_item i where i.digest = d.seq)`,
  "an item is in a digest and has an end of its own, or the other way round": `
    select r.*, i.digest from mailchute.recipient r left join mailchute.digest_item i on i.seq = r.seq
    where (r.state = 'digested') <> coalesce(i.digest <> i.seq, false)`,
  "an item waits for its digest for ever": `
    select i.* from mailchute.digest_item i join mailchute.recipient r on r.seq = i.seq where i.digest is null and r.state <> 'canceled'`,
  "content is stored for nobody": `
    select c.id from mailchute.content c where not exists (select from mailchute.message m where m.content_id = c.id)
      and not exists (select from mailchute.batch b where b.content_id = c.id)`,
  "a batch counts other mails than it has": `
    select b.name from mailchute.batch b
    where (mailchute.batch_status_v1(b.name) ->> 'total')::int <> (select count(*) from mailchute.message m where m.batch = b.seq)`,
};

/** Looks for rows that must not be. @returns what was found, each with a row */
export async function checkRows(sql: Sql): Promise<readonly string[]> {
  const findings: string[] = [];
  for (const [what, statement] of Object.entries(MUST_NOT_BE)) {
    const rows = await sql.unsafe(statement);
    if (rows.length > 0) findings.push(`${what} (${rows.length}): ${JSON.stringify(rows[0])}`);
  }
  return findings;
}

/** What the server has taken of one mail for one recipient. */
export interface MixCopy {
  readonly id: string;
  readonly email: string;
}

/** Counts copies against attempts. @returns those that no attempt tells of */
export async function checkCopies(sql: Sql, copies: readonly MixCopy[]): Promise<readonly string[]> {
  const rows = await sql`
    select m.id::text, r.email, count(a.seq)::int as told from mailchute.message m join mailchute.recipient r on r.seq = m.seq
    left join mailchute.attempt a on a.seq = r.seq and a.position = r.position and a.outcome in ('sent', 'uncertain') group by 1, 2`;
  const told = new Map(rows.map(({ id, email, told }) => [`${id} ${email}`, told as number]));
  const taken = new Map<string, number>();
  for (const { id, email } of copies) taken.set(`${id} ${email}`, (taken.get(`${id} ${email}`) ?? 0) + 1);
  return [...taken].filter(([key, count]) => count > (told.get(key) ?? 0))
    .map(([key, count]) => `${key} was taken ${count} times, and ${told.get(key) ?? 0} attempts tell of it`);
}
