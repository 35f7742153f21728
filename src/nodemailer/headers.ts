import { formatMailbox, type Mailbox } from "../address.ts";
import type { AddFault, ComposedMail, Data } from "./composed_mail.ts";

type Pair = readonly [name: string, value: string];

/** The header fields that no field of a queued mail writes. */
export interface Headers {
  readonly headers: readonly Pair[];
  /** List-Unsubscribe, when it is to work with one click. */
  readonly unsubscribe: string | undefined;
}

/** Written by fields of the mail, as which nodemailer has read them already. */
const BY_FIELDS: ReadonlySet<string> = new Set(["from", "sender", "to", "cc", "bcc", "reply-to", "subject"]);
/** For the reader's mail program; the place in the queue is another matter. */
const PRIORITIES: ReadonlyMap<string, readonly Pair[]> = new Map([
  ["high", [["X-Priority", "1 (Highest)"], ["X-MSMail-Priority", "High"], ["Importance", "High"]]],
  ["low", [["X-Priority", "5 (Lowest)"], ["X-MSMail-Priority", "Low"], ["Importance", "Low"]]],
]);
/** Nodemailer's own, of which the relay writes others. */
const BY_WRITER = /^(?:date|message-id|mime-version|content-.*)$/i;
const ENCODED_WORDS = /=\?[^?\s]+\?[bq]\?[^?\s]*\?=(?:\s+=\?[^?\s]+\?[bq]\?[^?\s]*\?=)*/gi;
const COMMENT = /\(((?:=\?[^?\s]+\?[bq]\?[^?\s]*\?=\s*)+)\)/gi;
const ENCODED_WORD = /=\?[^?\s]+\?[bq]\?[^?\s]*\?=/i;
const ONE_CLICK = "list-unsubscribe=one-click";

/**
 * Collects the header fields: the app's own, and those that nodemailer writes for `sender`, `inReplyTo`, `references`,
 * `priority`, `list`, `xMailer` and `otp`.
 *
 * @param data with its `list` formatted
 */
export function headersOf(
  mail: ComposedMail,
  { data, sender, add }: { readonly data: Data; readonly sender: Mailbox | undefined; readonly add: AddFault },
): Headers {
  const written: readonly Pair[] = [
    ...(sender === undefined ? [] : [["Sender", formatMailbox(sender)] as const]),
    ...idsHeader("In-Reply-To", mail.message.getHeader("in-reply-to")),
    ...idsHeader("References", mail.message.getHeader("references")),
    ...(PRIORITIES.get(String(data.priority).toLowerCase()) ?? []),
    ...(data.xMailer ? [["X-Mailer", String(data.xMailer)] as const] : []),
    ...(data.otp ? [["OTP-Token", String(mail.message.getHeader("otp-token"))] as const] : []),
  ];
  const taken = new Set([...BY_FIELDS, "in-reply-to", "references", ...written.map(([name]) => name.toLowerCase())]);
  const own = ownHeaders(data.headers, add).filter(([name]) => !taken.has(name.toLowerCase()));
  const lists = listHeaders(data);
  const known = new Set([...taken, ...[...own, ...lists].map(([name]) => name.toLowerCase())]);
  // What a plugin has written into the finished message: transporter.use("stream", …).
  const { _headers } = mail.message as object as { readonly _headers?: readonly { readonly key: string }[] };
  const added = ownHeaders(
    (_headers ?? []).filter(({ key }) => !known.has(key.toLowerCase()) && !BY_WRITER.test(key)),
    add,
  );
  return oneClick(
    [...written, ...own, ...added, ...lists].map(([name, value]) => [name, textOf(name, value, add)]),
    add,
  );
}

/** Reads the subject, which may stand among the headers too. */
export function subjectOf(mail: ComposedMail, add: AddFault): string {
  return textOf("subject", String(mail.message.getHeader("subject") || ""), add);
}

/**
 * All that nodemailer takes: an object of values, a list of `{ key, value }`, or one of these; a value may be a list,
 * or `{ prepared, value }`.
 */
function ownHeaders(given: unknown, add: AddFault): readonly Pair[] {
  const single = Object(given) as { readonly key?: unknown; readonly value?: unknown };
  const entries = Array.isArray(given)
    ? given.map((item) => [Object(item).key, Object(item).value] as const)
    : single.key && single.value
    ? [[single.key, single.value] as const]
    : Object.entries(single);
  return entries.flatMap(([key, value]) => {
    const name = String(key);
    const values = (Array.isArray(value) ? value : [value]).map(valueOf).filter((text) => text.trim() !== "");
    if (values.length > 1 && BY_FIELDS.has(name.toLowerCase())) {
      add(`headers.${name}`, "it is there more than once: give the field of the mail instead");
    }
    return values.map((text) => [name, text] as const);
  });
}

function valueOf(value: unknown): string {
  const isPrepared = typeof value === "object" && value !== null && !(value instanceof Date);
  return String((isPrepared ? (value as { readonly value?: unknown }).value : value) || "");
}

/**
 * The List-* fields. Several values of one are one field here (RFC 2369 section 3: at most one of each), where
 * nodemailer writes several.
 */
function listHeaders(data: Data): readonly Pair[] {
  const values = Object(data.normalizedHeaders) as Readonly<Record<string, unknown>>;
  return Object.keys(Object(data.list)).flatMap((key) => {
    const name = `list-${key.toLowerCase().trim()}`;
    const value = withPlainText(String(values[name] ?? ""));
    return value === "" ? [] : [[name.replace(/\b[a-z]/g, (letter) => letter.toUpperCase()), value] as const];
  });
}

/**
 * Gives the text that nodemailer has encoded in a comment or a name, as the relay is to encode it anew. A comment
 * stands apart from its brackets, which would be encoded with the word that they stand at and be none any more (RFC
 * 2047 section 5 rule 2).
 */
function withPlainText(value: string): string {
  const comments = value.replaceAll(
    COMMENT,
    (_, words: string) => `( ${decoded(words).split(" ").map(escaped).join(" ")} )`,
  );
  return comments.replaceAll(ENCODED_WORDS, decoded);
}

/** In words with one blank between: blanks in a row would be kept by encoding all, the address too. */
function decoded(words: string): string {
  const text = words.replaceAll(
    /=\?([^?\s]+)\?([bq])\?([^?\s]*)\?=\s*/gi,
    (word, charset: string, how: string, inner: string) => {
      try {
        const octets = how.toLowerCase() === "b" ? atob(inner) : inner.replaceAll("_", " ").replaceAll(
          /=([\da-f]{2})/gi,
          (_, hex: string) => String.fromCharCode(parseInt(hex, 16)),
        );
        return new TextDecoder(charset).decode(Uint8Array.from(octets, (char) => char.charCodeAt(0)));
      } catch {
        // What looks like an encoded word and is none is the app's own text.
        return word;
      }
    },
  );
  return text.trim().replaceAll(/\s+/g, " ");
}

/** An encoded word needs no quoting in a comment; what is written as it is does (RFC 5322 section 3.2.2). */
function escaped(word: string): string {
  return /^[!-~]+$/.test(word) ? word.replaceAll(/[()\\]/g, "\\$&") : word;
}

/** Message-IDs, in angle brackets, as a string or a list of strings. */
function idsHeader(name: string, given: unknown): readonly Pair[] {
  const ids = (Array.isArray(given) ? given : [given]).flatMap((item) => valueOf(item).split(/\s+/)).filter((id) =>
    id !== ""
  );
  return ids.length === 0 ? [] : [[name, ids.map((id) => `<${id.replace(/^<|>$/g, "")}>`).join(" ")]];
}

/** One line of text; nodemailer, too, makes a line break a blank. */
function textOf(name: string, value: string, add: AddFault): string {
  if (ENCODED_WORD.test(value)) {
    add(name === "subject" ? name : `headers.${name}`, "it holds an encoded word (=?UTF-8?…): give the text itself");
  }
  return value.replace(/\r?\n|\r/g, " ");
}

/** Both headers of RFC 8058 together are what `unsubscribe` writes. */
function oneClick(pairs: readonly Pair[], add: AddFault): Headers {
  const find = (name: string) => pairs.find(([known]) => known.toLowerCase() === name)?.[1];
  const post = find("list-unsubscribe-post");
  if (post === undefined) return { headers: pairs, unsubscribe: undefined };
  const url = /^\s*<(https:[^<>\s]+)>\s*$/i.exec(find("list-unsubscribe") ?? "")?.[1];
  if (url === undefined || post.trim().toLowerCase() !== ONE_CLICK) {
    add(
      "headers.List-Unsubscribe-Post",
      "it goes with a List-Unsubscribe of exactly one <https://…>, or give mailchute: { unsubscribe }",
    );
  }
  return { headers: pairs.filter(([name]) => !/^list-unsubscribe(-post)?$/i.test(name)), unsubscribe: url };
}
