import type { Sql } from "postgres";
import { formatMailbox } from "../../src/address.ts";
import { messageId } from "../../src/mime/message_id.ts";
import { merge, type Values } from "../../src/template.ts";

/** Who a message is from, what it is called in the logs of servers, and its subject, for whoever may read that. */
export interface MessageHead {
  readonly from: string;
  readonly messageId: string;
  /** Undefined: this role may not read contents, or retention has deleted it. */
  readonly subject?: string;
}

/** Index: message_pkey. */
const FROM = `
select m.id::text as id, m.from_email, m.from_name, m.content_id::text as content_id, m.variables, has_table_privilege('mailchute.content', 'select') as may_read
from mailchute.message m where m.seq = $1::bigint`;

/** Index: content_pkey. A statement of its own: a role without the right could not even ask. */
const SUBJECT = "select subject from mailchute.content where id = $1::uuid";

/** Reads the head of a message; the subject of a bulk mail with its values. */
export async function readHead(sql: Sql, seq: string): Promise<MessageHead> {
  const [row] = await sql.unsafe(FROM, [seq]);
  const name = (row?.from_name ?? undefined) as string | undefined;
  const email = row?.from_email as string;
  const from = formatMailbox(name === undefined ? { email } : { email, name });
  const head = { from, messageId: messageId({ id: row?.id as string, from: { email } }) };
  const [content] = row?.may_read ? await sql.unsafe(SUBJECT, [row.content_id]) : [];
  if (content === undefined) return head;
  const subject = content.subject as string;
  return { ...head, subject: row?.variables === null ? subject : merge(subject, row?.variables as Values) };
}
