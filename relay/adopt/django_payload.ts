import { type Mailbox, parseAddress } from "../../src/address.ts";

// What `RelayDatabaseEmailBackend` of django-email-relay writes into `email_relay_message.data` (its email.py,
// RelayEmailData), as the request that `mailchute.enqueue_v1` takes. Each mail arrives as Django would have sent it, or
// is refused with a reason: nothing is left out without a word.

/** A request for `mailchute.enqueue_v1` without its id, or why there can be none. */
export type Converted =
  | { readonly ok: true; readonly request: Readonly<Record<string, unknown>> }
  | { readonly ok: false; readonly reason: string };

/** A mail that cannot be carried; its message is the reason. */
class Unfit extends Error {}

/**
 * Converts the payload of one row.
 *
 * @example
 * ```ts
 * const converted = convertPayload({ subject: "Hello", body: "Hi", from_email: "Shop <shop@example.com>", to: ["ann@example.com"] });
 * if (!converted.ok || converted.request.text !== "Hi") throw new Error("unexpected");
 * ```
 * @param defaultFrom for a mail without a sender (DEFAULT_FROM_EMAIL)
 */
export function convertPayload(data: unknown, defaultFrom?: string): Converted {
  try {
    if (typeof data !== "object" || data === null || Array.isArray(data) || Object.keys(data).length === 0) {
      throw new Unfit("The row has no email object");
    }
    return { ok: true, request: requestOf(data as Payload, defaultFrom) };
  } catch (error) {
    if (error instanceof Unfit) return { ok: false, reason: error.message };
    throw error;
  }
}

type Payload = Readonly<Record<string, unknown>>;
type Header = readonly [name: string, value: string];

function requestOf(data: Payload, defaultFrom: string | undefined): Readonly<Record<string, unknown>> {
  const given = headersOf(data.extra_headers);
  const envelopeFrom = mailbox("from_email", textOf("from_email", data.from_email) || defaultFrom || "");
  const shown = find(given, "from");
  const { headers, unsubscribe } = oneClick(given.filter(([name]) => !SHOWN.has(name.toLowerCase())));
  const replyTo = find(given, "reply-to");
  const { text, html, files } = alternativesOf(data);
  return {
    from: shown === undefined ? envelopeFrom : mailbox("the header From", shown),
    // Django gives SMTP the sender of the mail, whatever its header says.
    ...(shown === undefined ? {} : { returnPath: envelopeFrom.email }),
    ...recipientsOf(data, given),
    replyTo: replyTo === undefined
      ? mailboxes("reply_to", data.reply_to)
      : mailboxes("the header Reply-To", splitList(replyTo)),
    // Written over more than one line, Django refuses it too.
    subject: textOf("subject", data.subject),
    text,
    ...(html === undefined ? {} : { html }),
    headers,
    ...(unsubscribe === undefined ? {} : { unsubscribe }),
    attachments: [...files, ...attachmentsOf(data.attachments)],
  };
}

/** Headers that show what a field says, in other words. */
const SHOWN: ReadonlySet<string> = new Set(["from", "to", "cc", "reply-to"]);

function headersOf(given: unknown): readonly Header[] {
  if (given === undefined || given === null) return [];
  if (typeof given !== "object" || Array.isArray(given)) throw new Unfit("Its extra_headers are no object");
  return Object.entries(given).map(([name, value]) => [name, String(value)]);
}

function find(headers: readonly Header[], wanted: string): string | undefined {
  return headers.find(([name]) => name.toLowerCase() === wanted)?.[1];
}

/** To, Cc and Bcc. A header To or Cc of the app's own shows some of the recipients, and hides the others. */
function recipientsOf(data: Payload, headers: readonly Header[]) {
  const to = mailboxes("to", data.to);
  const cc = mailboxes("cc", data.cc);
  const bcc = mailboxes("bcc", data.bcc);
  if (to.length + cc.length + bcc.length === 0) throw new Unfit("It has no recipients");
  const [shownTo, hiddenTo] = shownOf("To", to, find(headers, "to"));
  const [shownCc, hiddenCc] = shownOf("Cc", cc, find(headers, "cc"));
  return { to: shownTo, cc: shownCc, bcc: [...bcc, ...hiddenTo, ...hiddenCc] };
}

function shownOf(
  name: string,
  list: readonly Mailbox[],
  header: string | undefined,
): readonly [shown: readonly Mailbox[], hidden: readonly Mailbox[]] {
  if (header === undefined) return [list, []];
  // An empty group, such as "undisclosed-recipients:;", hides everybody (RFC 5322 section 3.4).
  const shown = /^[^<>@,]*:\s*;\s*$/.test(header) ? [] : mailboxes(`the header ${name}`, splitList(header));
  const isIn = (some: readonly Mailbox[], { email }: Mailbox) => some.some((other) => other.email === email);
  const stranger = shown.find((each) => !isIn(list, each));
  if (stranger !== undefined) {
    throw new Unfit(`Its header ${name} shows ${stranger.email}, who is no recipient in ${name.toLowerCase()}`);
  }
  return [shown, list.filter((each) => !isIn(shown, each))];
}

/** Parts a list of addresses at the commas that stand outside of quotes. */
function splitList(list: string): readonly string[] {
  return list.match(/(?:"(?:[^"\\]|\\.)*"|[^,"])+/g) ?? [];
}

function mailboxes(field: string, given: unknown): readonly Mailbox[] {
  if (given === undefined || given === null) return [];
  if (!Array.isArray(given)) throw new Unfit(`Its ${field} is no list`);
  // Django leaves out empty ones.
  return given.filter((item) => item !== "" && item !== null).map((item) => mailbox(field, item));
}

function mailbox(field: string, given: unknown): Mailbox {
  const parsed = typeof given === "string" ? parseAddress(given) : undefined;
  if (parsed?.ok) return parsed.mailbox;
  throw new Unfit(
    `${given === "" ? "It has no sender" : `${JSON.stringify(given)} in ${field} is no address`}${
      parsed === undefined ? "" : `: ${parsed.reason}`
    }`,
  );
}

/** RFC 8058: both headers together are what `unsubscribe` writes. */
function oneClick(headers: readonly Header[]): { readonly headers: readonly Header[]; readonly unsubscribe?: string } {
  const post = find(headers, "list-unsubscribe-post");
  if (post === undefined) return { headers };
  const url = /<(https:[^<>\s]+)>/i.exec(find(headers, "list-unsubscribe") ?? "")?.[1];
  if (url === undefined || post.trim().toLowerCase() !== "list-unsubscribe=one-click") {
    throw new Unfit("Its List-Unsubscribe-Post goes with a List-Unsubscribe that has an https URL");
  }
  return { headers: headers.filter(([name]) => !/^list-unsubscribe(-post)?$/i.test(name)), unsubscribe: url };
}

interface File {
  readonly filename: string;
  readonly contentType: string;
  readonly base64: string;
}

/** The text and what may be shown in its place. An invitation is one when it is attached. */
function alternativesOf(
  data: Payload,
): { readonly text: string; readonly html: string | undefined; readonly files: readonly File[] } {
  let text = textOf("body", data.body);
  let html: string | undefined;
  const files: File[] = [];
  for (const alternative of listOf("alternatives", data.alternatives)) {
    const [content, contentType] = Array.isArray(alternative) ? alternative : [];
    if (typeof content !== "string" || typeof contentType !== "string") {
      throw new Unfit("One of its alternatives is not a text with its MIME type");
    }
    const kind = contentType.split(";")[0]?.trim().toLowerCase();
    if (kind === "text/html" && html === undefined) html = content;
    else if (kind === "text/plain" && text === "") text = content;
    else if (kind === "text/calendar") files.push({ filename: "invite.ics", contentType, base64: base64Of(content) });
    else throw new Unfit(`It has an alternative of type ${contentType} beside text and HTML, which cannot be carried`);
  }
  return { text, html, files };
}

function attachmentsOf(given: unknown): readonly File[] {
  return listOf("attachments", given).map((attachment, index) => {
    const { filename, content, mimetype } = Object(attachment) as Readonly<Record<string, unknown>>;
    const contentType = typeof mimetype === "string" && mimetype !== "" ? mimetype : "application/octet-stream";
    const name = typeof filename === "string" && filename !== "" ? filename : "attachment";
    const place = `Its attachment ${index + 1}, ${JSON.stringify(name)}`;
    if (typeof content !== "string") throw new Unfit(`${place}, has no content`);
    // The backend encodes bytes and keeps text as it is, and Django makes text of whatever is text/*.
    if (/^text\//i.test(contentType)) return { filename: name, contentType, base64: base64Of(content) };
    if (content.length % 4 !== 0 || !BASE64.test(content)) {
      throw new Unfit(`${place}, of type ${contentType}, is not base64`);
    }
    return { filename: name, contentType, base64: content };
  });
}

/** No group that repeats: it would be tried anew at each place of 30 MB. */
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

function base64Of(text: string): string {
  return new TextEncoder().encode(text).toBase64();
}

function listOf(field: string, given: unknown): readonly unknown[] {
  if (given === undefined || given === null) return [];
  if (!Array.isArray(given)) throw new Unfit(`Its ${field} are no list`);
  return given;
}

function textOf(field: string, given: unknown): string {
  if (given === undefined || given === null) return "";
  if (typeof given !== "string") throw new Unfit(`Its ${field} is no text`);
  return given;
}
