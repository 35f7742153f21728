import type { LoadedAttachment } from "./attachment.ts";
import { MailchuteError } from "./error.ts";
import { listOf } from "./field.ts";
import { refuse, unreadable } from "./finding.ts";
import type { HtmlElement } from "./html.ts";
import { LIMITS } from "./limits.ts";
import { SEND } from "./message.ts";
import { within } from "./within.ts";

type Given = Readonly<Record<string, unknown>>;

/** Waits for one piece, so long and no longer. */
type Come = <T>(piece: Promise<T>) => Promise<T>;

/**
 * Waits for what comes as a promise, a Blob or a stream. No more is read than a mail may have.
 *
 * @throws {MailchuteError} `validation_error` when it cannot be read, `timeout` when nothing comes for so long
 */
export async function withLateContent(given: Given, timeoutMs: number): Promise<Given> {
  let path = "html";
  const come: Come = (piece) => within(timeoutMs, piece, `${SEND}: ${path}: nothing came`);
  try {
    const html = await come(rendered(given.html));
    path = "attachments";
    if (!Array.isArray(given.attachments)) return { ...given, html };
    const attachments: LoadedAttachment[] = [];
    // One after the other: all together may be no larger than one.
    let leftBytes = LIMITS.attachmentsBytes;
    for (const [index, entry] of listOf(given.attachments).entries()) {
      path = `attachments.${index}.content`;
      const item: LoadedAttachment = entry instanceof Blob
        ? { filename: (entry as File).name, content: entry }
        : Object(entry);
      const source = item.content instanceof Blob ? item.content.stream() : item.content;
      const content = source instanceof ReadableStream ? await readStream(source, leftBytes, come) : source;
      if (content !== item.content) leftBytes -= Object(content).length;
      attachments.push({ ...item, contentType: typeOf(item), content });
    }
    return { ...given, html, attachments };
  } catch (cause) {
    if (!(cause instanceof MailchuteError)) refuse(SEND, [unreadable(path, cause)]);
    throw cause;
  }
}

/** Renders what is not yet a string; what has no way to be rendered stays as it is, for the check to name. */
async function rendered(value: unknown): Promise<unknown> {
  const element: unknown = await value;
  // A React element, an array and a plain object would all become something like `[object Object]`.
  const rendersItself = typeof element === "object" && element !== null && !Array.isArray(element) &&
    element.toString !== Object.prototype.toString;
  // hono answers with a String object.
  return rendersItself ? String(await (element as HtmlElement).toString()) : element;
}

function typeOf({ content, contentType, encoding }: LoadedAttachment): LoadedAttachment["contentType"] {
  const type = contentType ?? (content instanceof Blob && content.type !== "" ? content.type : undefined);
  // A text of which nothing else is said is ASCII to its reader (RFC 2046 section 4.1.2).
  return encoding === "utf-8" && typeof type === "string" ? type.replace(/^text\/[^;]+$/i, "$&; charset=utf-8") : type;
}

/**
 * Returns the bytes of a stream, at least one more than the limit when it has more; the stream itself when it gives
 * something else.
 */
async function readStream(stream: ReadableStream<unknown>, limitBytes: number, come: Come): Promise<unknown> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let bytes = 0;
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await come(reader.read());
      if (done) break;
      if (!(value instanceof Uint8Array)) return stream;
      chunks.push(value as Uint8Array<ArrayBuffer>);
      bytes += value.length;
      if (bytes > limitBytes) break;
    }
    return new Uint8Array(await new Blob(chunks).arrayBuffer());
  } finally {
    // Whoever still fills it is told; what comes of that is not ours.
    reader.cancel().catch(() => {});
  }
}
