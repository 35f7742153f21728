import type { LoadedAttachment } from "./attachment.ts";
import { listOf } from "./field.ts";
import { LIMITS } from "./limits.ts";

/** Refuses what cannot be read. */
export type Failed = (path: string) => (cause: unknown) => void;

/** Reads what has to be waited for: Blobs and streams. No more is read than a mail may have. */
export async function loadAttachments(
  value: readonly unknown[],
  failed: Failed,
): Promise<readonly LoadedAttachment[] | undefined> {
  let path = "attachments";
  try {
    const list = listOf(value).map((item): LoadedAttachment =>
      item instanceof Blob ? { filename: (item as File).name, content: item } : Object(item)
    );
    const blobBytes = list.reduce((sum, { content }) => sum + (content instanceof Blob ? content.size : 0), 0);
    // One after the other: all together may be no larger than one.
    let leftBytes = LIMITS.attachmentsBytes - blobBytes;
    const loaded: LoadedAttachment[] = [];
    for (const [index, item] of list.entries()) {
      path = `attachments.${index}.content`;
      const bytes = await bytesOf(item.content, leftBytes);
      if (bytes instanceof Uint8Array && item.content instanceof ReadableStream) leftBytes -= bytes.length;
      loaded.push({ ...item, contentType: typeOf(item), content: bytes });
    }
    return loaded;
  } catch (cause) {
    failed(path)(cause);
    return undefined;
  }
}

/** What a stream or a Blob has, unless it is too large; anything else as it is. */
async function bytesOf(content: unknown, leftBytes: number): Promise<unknown> {
  if (content instanceof ReadableStream) return await readStream(content, leftBytes);
  return content instanceof Blob && leftBytes >= 0 ? new Uint8Array(await content.arrayBuffer()) : content;
}

function typeOf({ content, contentType, encoding }: LoadedAttachment): LoadedAttachment["contentType"] {
  const type = contentType ?? (content instanceof Blob && content.type !== "" ? content.type : undefined);
  // A text of which nothing else is said is ASCII to its reader (RFC 2046 section 4.1.2).
  return encoding === "utf-8" && typeof type === "string" ? type.replace(/^text\/[^;]+$/i, "$&; charset=utf-8") : type;
}

/** Returns the bytes of a stream, at least one more than the limit when it has more; the stream itself when it gives something else. */
async function readStream(stream: ReadableStream<unknown>, limitBytes: number): Promise<unknown> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    const isOdd = !done && !(value instanceof Uint8Array);
    if (value instanceof Uint8Array) {
      chunks.push(value);
      bytes += value.length;
    }
    if (isOdd || bytes > limitBytes) {
      // Whoever fills it is told; what comes of that is not ours.
      reader.cancel().catch(() => undefined);
      if (isOdd) return stream;
    }
    if (done || bytes > limitBytes) return joined(chunks, bytes);
  }
}

function joined(chunks: readonly Uint8Array[], bytes: number): Uint8Array {
  const whole = new Uint8Array(bytes);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}
