import type { Content, Contents, EncodedSlot, StoredAttachment } from "./contents.ts";

/** What lies in memory for the mails of bulk sends: a few contents with their attachments, as they stand in a mail. */
const MAX_BYTES = 16 * 1024 * 1024;
/** A content that takes more is read for each of its mails. */
const MAX_CONTENT_BYTES = MAX_BYTES * 3 / 4;

/** A content that many mails share. */
interface Entry {
  readonly content: Promise<Content | undefined>;
  attachments: Promise<readonly StoredAttachment[]> | undefined;
  /** By the place of the attachment, as it stands in a mail. */
  readonly encoded: Map<number, readonly Uint8Array[]>;
  bytes: number;
}

/** The contents of bulk sends: read once for many mails, and forgotten when others need the room. */
export class SharedContents {
  readonly #contents: Pick<Contents, "get" | "attachments" | "encoded">;
  /** The one that was used last comes last. */
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;

  constructor(contents: Pick<Contents, "get" | "attachments" | "encoded">) {
    this.#contents = contents;
  }

  /** The content; undefined when retention has deleted it. */
  async get(id: string): Promise<Content | undefined> {
    const entry = this.#entry(id);
    try {
      const content = await entry.content;
      if (content === undefined) this.#drop(id, entry);
      else if (entry.bytes === 0) this.#grow(id, entry, (content.text?.length ?? 0) + (content.html?.length ?? 0) + 1);
      return content;
    } catch (error) {
      // The next mail asks anew.
      this.#drop(id, entry);
      throw error;
    }
  }

  /** Its attachments; see `Contents`. */
  async attachments(id: string): Promise<readonly StoredAttachment[]> {
    const entry = this.#entry(id);
    entry.attachments ??= this.#contents.attachments(id).then((attachments) => {
      this.#grow(id, entry, attachments.reduce((sum, { content }) => sum + (content?.length ?? 0), 0));
      return attachments;
    });
    try {
      return await entry.attachments;
    } catch (error) {
      this.#drop(id, entry);
      throw error;
    }
  }

  /** One of them as it stands in a mail, piece by piece. */
  async *encoded(id: string, slot: EncodedSlot): AsyncGenerator<Uint8Array> {
    const entry = this.#entry(id);
    const kept = entry.encoded.get(slot.position);
    if (kept !== undefined) return yield* kept;
    const isKept = slot.sizeBytes <= MAX_CONTENT_BYTES / 2;
    const pieces: Uint8Array[] = [];
    for await (const piece of this.#contents.encoded(id, slot)) {
      if (isKept) pieces.push(piece);
      yield piece;
    }
    // Another mail may have come first.
    if (!isKept || entry.encoded.has(slot.position)) return;
    const bytes = pieces.reduce((sum, { length }) => sum + length, 0);
    if (entry.bytes + bytes > MAX_CONTENT_BYTES) return;
    entry.encoded.set(slot.position, pieces);
    this.#grow(id, entry, bytes);
  }

  #entry(id: string): Entry {
    const known = this.#entries.get(id);
    if (known !== undefined) {
      this.#entries.delete(id);
      this.#entries.set(id, known);
      return known;
    }
    const content = this.#contents.get(id);
    // Its error is for who asks for it.
    content.catch(() => undefined);
    const entry: Entry = { content, attachments: undefined, encoded: new Map(), bytes: 0 };
    this.#entries.set(id, entry);
    return entry;
  }

  #grow(id: string, entry: Entry, bytes: number): void {
    if (this.#entries.get(id) !== entry) return;
    entry.bytes += bytes;
    this.#bytes += bytes;
    for (const [other, oldest] of this.#entries) {
      if (this.#bytes <= MAX_BYTES) return;
      if (oldest !== entry) this.#drop(other, oldest);
    }
  }

  #drop(id: string, entry: Entry): void {
    if (this.#entries.get(id) !== entry) return;
    this.#entries.delete(id);
    this.#bytes -= entry.bytes;
  }
}
