import { attachmentOf, isMessage, type MailAttachment } from "../../src/mime/attachment.ts";
import { digestBody, type DigestContent } from "../../src/mime/digest_body.ts";
import { needsContent } from "../../src/mime/invite.ts";
import { SevenBitScan } from "../../src/mime/seven_bit.ts";
import { isOfConnection, type Rows, type Statements } from "../database/statements.ts";
import { SharedContents } from "./shared_contents.ts";

/** What a mail says, without its attachments' bytes. */
export interface Content {
  readonly subject: string;
  readonly text: string | null;
  readonly html: string | null;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly hasAttachments: boolean;
}

/** An attachment of a content, with its place in it. */
export type StoredAttachment = MailAttachment & { readonly position: number };

/** Larger texts are fetched when their mail is sent, so that a claimed batch stays small. */
const INLINE_BYTES = 64 * 1024;

/**
 * Kept: what claimed messages are about to need, until each of them has. What nobody comes for (its message waits, or
 * is another's now) goes with the older half of all, at once.
 */
const HALF_CACHE_BYTES = 4 * 1024 * 1024;

/** Index: content_pkey, attachment_pkey. */
const SMALL_CONTENTS = `
select c.id, c.subject, c.text, c.html, nullif(c.headers, '[]') as headers, c.digest, exists (select from mailchute.attachment a where a.content_id = c.id) as has_attachments
from mailchute.content c
where c.id = any (array(select value::uuid from jsonb_array_elements_text($1::text::jsonb)))
  and coalesce(octet_length(c.text), 0) + coalesce(octet_length(c.html), 0) + octet_length(c.headers::text) + coalesce(octet_length(c.digest::text), 0) <= ${INLINE_BYTES}`;

const CONTENT = `
select c.id, c.subject, c.text, c.html, nullif(c.headers, '[]') as headers, c.digest, exists (select from mailchute.attachment a where a.content_id = c.id) as has_attachments
from mailchute.content c where c.id = $1::uuid`;

/** Index: attachment_pkey. The size comes from the row alone: nothing of the bytes is read (storage external). */
const ATTACHMENTS = `
select position, filename, content_type, cid, octet_length(bytes) as size_bytes from mailchute.attachment where content_id = $1::uuid order by position`;

/**
 * Index: attachment_pkey. Reads only what it returns, since the bytes are stored uncompressed. As base64, which is what
 * a mail wants; the bytea itself comes in a text form that is a setting of the database (bytea_output).
 */
const SLICE = `
select encode(substring(bytes from $3::int + 1 for $4::int), 'base64') as base64 from mailchute.attachment
where content_id = $1::uuid and position = $2::smallint`;

/** Attachments up to here, all of a mail together, are held. Larger ones are read while the server takes them. */
const WHOLE_BYTES = 48_000;

const encoder = new TextEncoder();

/** Whole lines of base64: slices of it join up. */
const UNIT_BYTES = 57 * 512;

/** How contents are read. */
export interface ContentsOptions {
  /** How much of an attachment one statement reads, in units of 29,184 bytes. @default {1} */
  readonly sliceUnits?: number;
}

/** The contents of one database: small ones fetched in batches and cached, large ones and attachments when needed. */
export class Contents {
  /** For mails of bulk sends. */
  readonly shared: SharedContents = new SharedContents(this);
  readonly #sql: Statements;
  readonly #sliceBytes: number;
  #newer = new Map<string, Kept>();
  #older = new Map<string, Kept>();
  #newerBytes = 0;

  constructor(sql: Statements, { sliceUnits = 1 }: ContentsOptions = {}) {
    this.#sql = sql;
    this.#sliceBytes = sliceUnits * UNIT_BYTES;
  }

  /**
   * Fetches the small contents of these messages that are not cached yet, in one statement. Each of them will come for
   * its own.
   */
  async prefetch(ids: Iterable<string>): Promise<void> {
    const missing = new Map<string, number>();
    for (const id of ids) {
      const known = this.#cached(id);
      if (known === undefined) missing.set(id, (missing.get(id) ?? 0) + 1);
      else known.messages++;
    }
    if (missing.size === 0) return;
    const rows = await this.#read(SMALL_CONTENTS, [JSON.stringify([...missing.keys()])]);
    for (const row of rows) {
      const id = row.id as string;
      this.#remember(id, { content: toContent(row), messages: missing.get(id) ?? 1 });
    }
  }

  /** The content of one message; undefined when retention has deleted it. */
  async get(id: string): Promise<Content | undefined> {
    const cached = this.#cached(id);
    if (cached !== undefined) {
      cached.messages--;
      if (cached.messages === 0) this.#forget(id, cached);
      return cached.content;
    }
    const [row] = await this.#read(CONTENT, [id]);
    return row === undefined ? undefined : toContent(row);
  }

  /** The attachments of one content: with their bytes when they are small, else for {@linkcode encoded}. */
  async attachments(id: string): Promise<readonly StoredAttachment[]> {
    const rows = await this.#read(ATTACHMENTS, [id]);
    const isSmall = rows.reduce((sum, row) => sum + (row.size_bytes as number), 0) <= WHOLE_BYTES;
    const attachments: StoredAttachment[] = [];
    let hasInvite = false;
    for (const row of rows) {
      const contentType = row.content_type as string;
      const sizeBytes = row.size_bytes as number;
      const facts = {
        filename: row.filename as string,
        contentType,
        ...(row.cid === null ? {} : { contentId: row.cid as string }),
      };
      // An invitation stands in the mail a second time, as text; of several, the first.
      const isInvite: boolean = !hasInvite && needsContent({ ...facts, sizeBytes });
      hasInvite ||= isInvite;
      const position = row.position as number;
      if (isSmall || isInvite) {
        const content = new Uint8Array(sizeBytes);
        let at = 0;
        for await (const base64 of this.#slices({ id, position, sizeBytes })) {
          const slice = fromBase64(base64);
          content.set(slice, at);
          at += slice.length;
        }
        attachments.push({ ...attachmentOf({ ...facts, content }), position });
      } else if (isMessage(contentType)) {
        const isSevenBit = await this.#isSevenBit({ id, position, sizeBytes });
        attachments.push({ ...facts, position, sizeBytes, isSevenBit });
      } else {
        attachments.push({ ...facts, position, sizeBytes });
      }
    }
    return attachments;
  }

  /**
   * Reads one attachment of a content as it stands in a mail, a slice at a time.
   *
   * @throws {Error} when it is no longer there
   */
  async *encoded(
    id: string,
    { position, sizeBytes, encoding }: EncodedSlot,
  ): AsyncGenerator<Uint8Array> {
    for await (const base64 of this.#slices({ id, position, sizeBytes })) {
      // Postgres breaks base64 after 76 characters as MIME does (RFC 2045 section 6.8), with LF; one follows a full
      // last line.
      if (encoding === "7bit") yield fromBase64(base64);
      else yield encoder.encode(`${base64.trimEnd().replaceAll("\n", "\r\n")}\r\n`);
    }
  }

  async #isSevenBit(attachment: Slices): Promise<boolean> {
    const scan = new SevenBitScan();
    for await (const base64 of this.#slices(attachment)) scan.push(fromBase64(base64));
    return scan.result;
  }

  /** The next slice is under way while the last one is used. */
  async *#slices({ id, position, sizeBytes }: Slices): AsyncGenerator<string> {
    const read = async (from: number): Promise<string> => {
      const [row] = await this.#read(SLICE, [id, position, from, this.#sliceBytes]);
      if (row === undefined) throw new Error("Cannot read an attachment: it is no longer stored");
      return row.base64 as string;
    };
    let next: Promise<string> | undefined = sizeBytes === 0 ? undefined : read(0);
    for (let from = this.#sliceBytes; next !== undefined; from += this.#sliceBytes) {
      const slice: string = await next;
      next = from < sizeBytes ? read(from) : undefined;
      // Read ahead, and perhaps never asked for.
      next?.catch(() => undefined);
      yield slice;
    }
  }

  /**
   * A connection that was cut, or fell silent under a mail that is on the wire, is no reason to break that off: a
   * second one will do.
   */
  async #read(text: string, values: (string | number)[]): Promise<Rows> {
    try {
      return await this.#sql.unsafe(text, values, { prepare: true });
    } catch (error) {
      if (!isOfConnection(error)) throw error;
      return await this.#sql.unsafe(text, values, { prepare: true });
    }
  }

  #cached(id: string): Kept | undefined {
    const known = this.#newer.get(id);
    if (known !== undefined) return known;
    const old = this.#older.get(id);
    if (old === undefined) return undefined;
    this.#older.delete(id);
    this.#remember(id, old);
    return old;
  }

  #remember(id: string, kept: Kept): void {
    const bytes = sizeOf(kept.content);
    if (this.#newerBytes + bytes > HALF_CACHE_BYTES) {
      this.#older = this.#newer;
      this.#newer = new Map();
      this.#newerBytes = 0;
    }
    this.#newer.set(id, kept);
    this.#newerBytes += bytes;
  }

  #forget(id: string, { content }: Kept): void {
    this.#newer.delete(id);
    this.#newerBytes -= sizeOf(content);
  }
}

/** A content, and how many messages will come for it yet. */
interface Kept {
  readonly content: Content;
  messages: number;
}

/** Which attachment of a content, and how it stands in the mail. */
export interface EncodedSlot extends Omit<Slices, "id"> {
  readonly encoding: "7bit" | "base64";
}

interface Slices {
  readonly id: string;
  readonly position: number;
  readonly sizeBytes: number;
}

function fromBase64(base64: string): Uint8Array {
  return Uint8Array.fromBase64(base64);
}

function sizeOf(content: Content): number {
  const headers = content.headers.reduce((sum, [name, value]) => sum + name.length + value.length, 0);
  return 200 + headers + content.subject.length + (content.text?.length ?? 0) + (content.html?.length ?? 0);
}

function toContent(row: Record<string, unknown>): Content {
  const { text, html } = row.digest === null ? row : digestBody(row.digest as DigestContent);
  return {
    subject: row.subject as string,
    text: text as string | null,
    html: html as string | null,
    headers: (row.headers ?? []) as Content["headers"],
    hasAttachments: row.has_attachments as boolean,
  };
}
