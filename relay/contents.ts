import type { Sql } from "postgres";
import { attachmentOf, type WholeAttachment } from "../src/mime/attachment.ts";

/** What a mail says, without its attachments' bytes. */
export interface Content {
  readonly subject: string;
  readonly text: string | null;
  readonly html: string | null;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly hasAttachments: boolean;
}

/** Larger texts are fetched when their mail is sent, so that a claimed batch stays small. */
const INLINE_BYTES = 64 * 1024;

/** Keeps the contents that several claimed messages share. */
const CACHE_BYTES = 8 * 1024 * 1024;

/** Index: content_pkey, attachment_pkey. */
const SMALL_CONTENTS = `
select c.id, c.subject, c.text, c.html, c.headers, exists (select from mailchute.attachment a where a.content_id = c.id) as has_attachments
from mailchute.content c
where c.id = any (array(select value::uuid from jsonb_array_elements_text($1::text::jsonb)))
  and coalesce(octet_length(c.text), 0) + coalesce(octet_length(c.html), 0) + octet_length(c.headers::text) <= ${INLINE_BYTES}`;

const CONTENT = `
select c.id, c.subject, c.text, c.html, c.headers, exists (select from mailchute.attachment a where a.content_id = c.id) as has_attachments
from mailchute.content c where c.id = $1::uuid`;

const ATTACHMENTS = `
select filename, content_type, cid, encode(bytes, 'base64') as base64 from mailchute.attachment where content_id = $1::uuid order by position`;

/** The contents of one database: small ones fetched in batches and cached, large ones and attachments when needed. */
export class Contents {
  readonly #sql: Sql;
  readonly #cache = new Map<string, Content>();
  #cachedBytes = 0;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** Fetches the small contents of these that are not cached yet, in one statement. */
  async prefetch(ids: Iterable<string>): Promise<void> {
    const missing = [...new Set(ids)].filter((id) => !this.#cache.has(id));
    if (missing.length === 0) return;
    const rows = await this.#sql.unsafe(SMALL_CONTENTS, [JSON.stringify(missing)], { prepare: true });
    for (const row of rows) this.#remember(row.id as string, toContent(row));
  }

  /** One content; undefined when retention has deleted it. */
  async get(id: string): Promise<Content | undefined> {
    const cached = this.#cache.get(id);
    if (cached !== undefined) return cached;
    const [row] = await this.#sql.unsafe(CONTENT, [id], { prepare: true });
    return row === undefined ? undefined : toContent(row);
  }

  /** The attachments of one content, with their bytes. */
  async attachments(id: string): Promise<readonly WholeAttachment[]> {
    const rows = await this.#sql.unsafe(ATTACHMENTS, [id], { prepare: true });
    return rows.map((row) =>
      attachmentOf({
        filename: row.filename as string,
        contentType: row.content_type as string,
        ...(row.cid === null ? {} : { contentId: row.cid as string }),
        // Not the bytea itself: its text form is a setting of the database (bytea_output), and twice its size.
        content: Buffer.from(row.base64 as string, "base64"),
      })
    );
  }

  #remember(id: string, content: Content): void {
    this.#cache.set(id, content);
    this.#cachedBytes += sizeOf(content);
    for (const [oldest, old] of this.#cache) {
      if (this.#cachedBytes <= CACHE_BYTES) break;
      this.#cache.delete(oldest);
      this.#cachedBytes -= sizeOf(old);
    }
  }
}

function sizeOf(content: Content): number {
  const headers = content.headers.reduce((sum, [name, value]) => sum + name.length + value.length, 0);
  return 200 + headers + content.subject.length + (content.text?.length ?? 0) + (content.html?.length ?? 0);
}

function toContent(row: Record<string, unknown>): Content {
  return {
    subject: row.subject as string,
    text: row.text as string | null,
    html: row.html as string | null,
    headers: row.headers as Content["headers"],
    hasAttachments: row.has_attachments as boolean,
  };
}
