import type { Sql } from "postgres";
import { FROM, SUBJECT, TEXT } from "./mail.ts";

/** As many mails as its first parameter says; the others are From, subject and text. */
export const SEND_MANY = `
select count(mailchute.send(jsonb_build_object('from', $2::text, 'to', 'reader' || n || '@example.com', 'subject', $3::text, 'text', $4::text)))
from generate_series(1, $1::int) as n`;

/**
 * Puts mails into the queue by the SQL function, in one transaction, and tidies up, so that no vacuum runs into the
 * measurement.
 */
export async function stockMails(sql: Sql, count: number): Promise<void> {
  await sql.unsafe(SEND_MANY, [count, `${FROM.name} <${FROM.email}>`, SUBJECT, TEXT]);
  await sql.unsafe("vacuum analyze").simple();
}

/** @throws {Error} when a recipient is not `sent`: what was measured was not the whole work */
export async function checkAllSent(sql: Sql): Promise<void> {
  const [row] = await sql`select count(*)::int as left from mailchute.recipient where state <> 'sent'`;
  const [queued] = await sql`select count(*)::int as left from mailchute.queue`;
  if (row?.left !== 0 || queued?.left !== 0) {
    throw new Error(
      `Cannot take the figure: ${row?.left} recipients are not sent, ${queued?.left} messages are queued`,
    );
  }
}
