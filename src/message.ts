import type { Mailbox } from "./address.ts";
import { attachments, type WireAttachment } from "./attachment.ts";
import type { Digest } from "./digest.ts";
import {
  body,
  field,
  headers,
  line,
  listOf,
  mailbox,
  mailboxes,
  metadata,
  oneOf,
  over,
  pairsOf,
  returnPath,
  stream,
  tags,
  textOf,
  time,
  unsubscribe,
} from "./field.ts";
import { checkFields, type Finding, refuse, valuesOf } from "./finding.ts";
import { html } from "./html.ts";
import { LIMITS } from "./limits.ts";
import type { MessageInput } from "./message_input.ts";
import { repeatedHeader } from "./mime/header.ts";
import { octets } from "./octets.ts";
import type { FilledTemplate } from "./stored_template.ts";

/**
 * A checked mail, as the database takes it. What is empty is left out, so that the same mail always makes the same
 * JSON.
 */
export interface Message {
  /** Who it is from: its own, or the mailer's. */
  readonly from: Mailbox;
  /** Who gets it. */
  readonly to?: readonly Mailbox[];
  /** Who gets a copy, for all to see. */
  readonly cc?: readonly Mailbox[];
  /** Who gets it without the others knowing. */
  readonly bcc?: readonly Mailbox[];
  /** Where answers go. */
  readonly replyTo?: readonly Mailbox[];
  /** Where bounces go; the empty string asks for none. */
  readonly returnPath?: string;
  /** One line; not there when a template has it. */
  readonly subject?: string;
  /** The plain text; empty: HTML alone was asked for. */
  readonly text?: string;
  /** The HTML, rendered. */
  readonly html?: string;
  /** Names and values: the mailer's first, without those that the mail replaces. */
  readonly headers?: readonly (readonly [name: string, value: string])[];
  /** Their contents are in base64. */
  readonly attachments?: readonly WireAttachment[];
  /** Labels, the mailer's first. */
  readonly tags?: readonly string[];
  /** What the app wants to find again. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Its place in the queue. */
  readonly priority?: "high" | "normal" | "low";
  /** ISO 8601: not before this time. */
  readonly scheduledAt?: string;
  /** ISO 8601: not after this time. */
  readonly expiresAt?: string;
  /** An https: or mailto: URL. */
  readonly unsubscribe?: string;
  /** What to do when the mail may have arrived and nobody knows. */
  readonly onUncertain?: "retry" | "hold";
  /** The flow that it belongs to. */
  readonly stream?: string;
  /** Which digest it goes into, and when that goes out. */
  readonly digest?: Digest;
  /** What has its subject, text and HTML. */
  readonly template?: FilledTemplate;
  /** It goes past the suppression list. */
  readonly overrideSuppression?: boolean;
}

/** What a mailer adds to each of its mails. */
export type Defaults = Pick<Message, "replyTo" | "headers" | "tags" | "stream"> & { readonly from?: Mailbox };

/** What failed, at the head of each message. */
export const SEND = "Cannot send the mail";

// In the order of the JSON.
const FIELDS = {
  from: field(mailbox),
  to: field(mailboxes),
  cc: field(mailboxes),
  bcc: field(mailboxes),
  replyTo: field(mailboxes),
  returnPath: field(returnPath),
  subject: field(line),
  text: field(body),
  html: field(html),
  headers: field(headers),
  attachments: field(attachments),
  tags: field(tags),
  metadata: field(metadata),
  priority: field(oneOf("high", "normal", "low")),
  scheduledAt: field(time),
  expiresAt: field(time),
  unsubscribe: field(unsubscribe),
  onUncertain: field(oneOf("retry", "hold")),
  stream: field(stream),
  // Few mails have these, so what checks them is loaded for those.
  digest: field(Object),
  template: field(Object),
  overrideSuppression: field(oneOf(true, false)),
};

/** What the fields were read as, each on its own. */
type Checked = { readonly [Name in keyof Message]?: Message[Name] | undefined };

/**
 * Checks a mail and returns it as the database takes it, with the mailer's defaults.
 *
 * @throws {MailchuteError} `validation_error` with all issues at once; `too_large` when only limits were passed
 */
export async function parseMessage(input: MessageInput, defaults: Defaults, timeoutMs: number): Promise<Message> {
  const given = valuesOf(Object(input), SEND);
  // Most mails have nothing that is waited for: what does so is loaded when one has.
  const loaded = typeof given.html === "object" || given.attachments
    ? await (await import("./late_content.ts")).withLateContent(given, timeoutMs)
    : given;
  const { output, findings } = checkFields<Checked>(FIELDS, loaded, "it is no field of a mail");
  // What cannot be read is in front.
  const across = findings[0]?.cause ? [] : acrossFields(loaded, defaults);
  const mail = loaded.digest === undefined && loaded.template === undefined
    ? output
    : (await import("./rare_fields.ts")).withRareFields(output, loaded, across);
  refuse(SEND, [...findings, ...across]);
  return merge(mail, defaults);
}

/** The faults that no field has alone; looks at the input, so that they are found together with the others. */
function acrossFields(input: Readonly<Record<string, unknown>>, defaults: Defaults): Finding[] {
  const findings: Finding[] = [];
  const add = (path: string, message: string, limit?: boolean) => findings.push({ path, message, limit });
  const recipients = [input.to, input.cc, input.bcc].flatMap(listOf).length;
  if (recipients === 0) add("to", "it is missing: give to, cc or bcc");
  if (recipients > LIMITS.recipients) {
    add("to", `it has more than ${LIMITS.recipients} recipients together with cc and bcc`, true);
  }
  if (listOf(input.replyTo).length > LIMITS.replyTo) {
    add("replyTo", `it has more than ${LIMITS.replyTo} addresses`, true);
  }
  if (input.from === undefined && defaults.from === undefined) {
    add("from", "it is missing, and the mailer has no default");
  }
  if (input.template === undefined) {
    if (input.subject === undefined) add("subject", "it is missing");
    if (input.text === undefined && input.html === undefined) add("text", "it is missing, and html too");
  }

  const own = (pairsOf(input.headers) ?? []).map(([name, text]) => [textOf(name), textOf(text)] as const);
  const all = mergeHeaders(defaults.headers, own);
  const headersBytes = octets(textOf(input.subject) + all.flat().join(""));
  over(headersBytes, LIMITS.headersBytes, (reason) => add("headers", `${reason} together with the subject`, true));
  const names = all.map(([name]) => name);
  const repeated = repeatedHeader(input.unsubscribe === undefined ? names : [...names, "List-Unsubscribe"]);
  if (repeated !== undefined) {
    add(`headers.${repeated}`, "it is there more than once");
  }
  if (mergeTags(defaults.tags, listOf(input.tags)).length > LIMITS.tags) {
    add("tags", `it has more than ${LIMITS.tags} tags`, true);
  }
  return findings;
}

function merge(message: Checked, defaults: Defaults): Message {
  const merged: Checked = {
    headers: mergeHeaders(defaults.headers, message.headers),
    tags: mergeTags(defaults.tags, message.tags),
  };
  const valueOf = (name: keyof Message) => merged[name] ?? message[name] ?? defaults[name as keyof Defaults];
  // The order of FIELDS and not of the input: the same mail makes the same JSON.
  const entries = Object.keys(FIELDS).map((name) => [name, valueOf(name as keyof Message)] as const);
  return Object.fromEntries(entries.filter(([, value]) => listOf(value).length > 0)) as unknown as Message;
}

/** The mailer's headers without those that the mail sets itself, then the mail's. */
function mergeHeaders(
  defaults: readonly (readonly [string, string])[] = [],
  own: readonly (readonly [string, string])[] = [],
): readonly (readonly [string, string])[] {
  const names = new Set(own.map(([name]) => name.toLowerCase()));
  return [...defaults.filter(([name]) => !names.has(name.toLowerCase())), ...own];
}

function mergeTags<T>(defaults: readonly string[] = [], own: readonly T[] = []): readonly (T | string)[] {
  return [...new Set([...defaults, ...own])];
}
