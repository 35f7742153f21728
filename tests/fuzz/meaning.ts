import { domainToASCII } from "node:url";
import type { Mailbox } from "../../src/address.ts";
import { attachmentOf } from "../../src/mime/attachment.ts";
import type { Mail } from "../../src/mime/compose.ts";
import { valueSent } from "../mime/for_programs.ts";

// DESIGN: what an accepted input means, read from it without the client's own code, so that a fault there is not a
// fault here too. It need not refuse anything: what is no mail has been refused already, or is a finding.

type Fields = Readonly<Record<string, unknown>>;

/** What a mail should become: what its readers see, who gets it, and what the database keeps. */
export interface Meaning {
  readonly mail: Omit<Mail, "id" | "date">;
  /** In the order of To, Cc and Bcc. */
  readonly recipients: readonly string[];
  readonly returnPath: string;
  readonly row: {
    readonly tags: readonly string[];
    readonly metadata: Readonly<Record<string, string>>;
    readonly priority: string;
    readonly onUncertain: string | null;
    readonly stream: string | null;
    readonly scheduledMs: number | null;
    readonly expiresMs: number | null;
  };
}

/** Reads an accepted mail. */
export async function meaningOf(fields: Fields, defaultFrom: Mailbox): Promise<Meaning> {
  const from = fields.from === undefined ? defaultFrom : mailbox(fields.from);
  const [to, cc, bcc] = [mailboxes(fields.to), mailboxes(fields.cc), mailboxes(fields.bcc)];
  const html = await rendered(fields.html);
  const returnPath = fields.returnPath === undefined || fields.returnPath === ""
    ? fields.returnPath
    : mailbox(fields.returnPath).email;
  return {
    mail: {
      from,
      to,
      cc,
      replyTo: mailboxes(fields.replyTo),
      subject: fields.subject as string,
      ...(fields.text === undefined ? {} : { text: fields.text as string }),
      ...(html === undefined ? {} : { html }),
      headers: pairs(fields.headers).map(([name, text]) => [name, valueSent(name, text)]),
      attachments: await Promise.all(list(fields.attachments).map(file)),
      ...(fields.unsubscribe === undefined ? {} : { unsubscribe: String(fields.unsubscribe) }),
    },
    recipients: [...to, ...cc, ...bcc].map(({ email }) => email),
    returnPath: returnPath ?? from.email,
    row: {
      tags: [...new Set(list(fields.tags).map((tag) => (tag as string).toWellFormed()))],
      metadata: Object.fromEntries(
        pairs(fields.metadata).map(([name, text]) => [name.toWellFormed(), text.toWellFormed()]),
      ),
      priority: fields.priority as string ?? "normal",
      onUncertain: fields.onUncertain as string ?? null,
      stream: fields.stream as string ?? null,
      scheduledMs: timeMs(fields.scheduledAt),
      expiresMs: timeMs(fields.expiresAt),
    },
  };
}

/** Reads one address. */
export function mailbox(given: unknown): Mailbox {
  if (typeof given === "object") {
    const { email, name } = given as Mailbox;
    return named(email, name ?? "");
  }
  const text = String(given).trim();
  if (!text.endsWith(">")) return named(text, "");
  const open = text.lastIndexOf("<");
  const name = text.slice(0, open).trimEnd();
  const isQuoted = name.length > 1 && name.startsWith('"') && name.endsWith('"');
  return named(text.slice(open + 1, -1), isQuoted ? name.slice(1, -1).replace(/\\(.)/g, "$1") : name);
}

function named(given: string, name: string): Mailbox {
  const email = canonical(given);
  return name.trim() === "" ? { email } : { email, name: name.toWellFormed() };
}

/** An address as it goes into the envelope. */
function canonical(email: string): string {
  const at = email.lastIndexOf("@");
  const [local, domain] = [email.slice(0, at), email.slice(at + 1)];
  const bare = local.startsWith('"') ? local.slice(1, -1).replace(/\\(.)/g, "$1") : local;
  // RFC 5321 section 4.1.2: quotes that are not needed say nothing.
  const isAtom = /^[^\s"(),.:;<>@[\]\\]+(\.[^\s"(),.:;<>@[\]\\]+)*$/.test(bare);
  return `${isAtom ? bare : `"${bare}"`}@${canonicalDomain(domain)}`;
}

function canonicalDomain(domain: string): string {
  if (/^\[IPv6:/i.test(domain)) return `[IPv6:${new URL(`http://[${domain.slice(6)}`).hostname.slice(1)}`;
  const isPlain = domain.startsWith("[") || (/^[\0-\x7f]+$/.test(domain) && !/xn--/i.test(domain));
  const ascii = isPlain ? domain : domainToASCII(domain);
  return ascii === domain.toLowerCase() ? domain : ascii;
}

function mailboxes(given: unknown): readonly Mailbox[] {
  return given === undefined ? [] : Array.isArray(given) ? Array.from(given, mailbox) : [mailbox(given)];
}

function list(given: unknown): readonly unknown[] {
  return Array.isArray(given) ? Array.from(given) : [];
}

/** Headers and metadata as pairs. */
export function pairs(given: unknown): readonly (readonly [string, string])[] {
  if (given === undefined) return [];
  const found = Symbol.iterator in Object(given)
    ? [...given as Iterable<[unknown, string]>]
    : Object.entries(Object(given));
  return found.map(([name, text]) => [String(name), text as string] as const);
}

/** HTML as a string. */
export async function rendered(given: unknown): Promise<string | undefined> {
  const html = await given;
  return html === undefined ? undefined : String(typeof html === "string" ? html : await Object(html).toString());
}

function timeMs(given: unknown): number | null {
  if (given === undefined) return null;
  const text = String((given as Date).toJSON?.() ?? given);
  // A leap second is the first of the next minute for Postgres, and nothing for JavaScript.
  return Math.floor(Date.parse(text.replace(/:60(?=[.Z+-])/, ":59"))) + (/:60[.Z+-]/.test(text) ? 1_000 : 0);
}

async function file(given: unknown): Promise<Mail["attachments"][number]> {
  const { name, type, filename = name, content = given, contentType, contentId, encoding } = Object(given);
  const ofBlob = content instanceof Blob ? content.type || undefined : type;
  const [media = "", ...parameters] = String(contentType ?? ofBlob ?? "application/octet-stream").split(";");
  return attachmentOf({
    filename,
    contentType: [media.trim().toLowerCase(), ...parameters].join(";"),
    ...((contentId ?? undefined) === undefined ? {} : { contentId: String(contentId).replace(/^<|>$/g, "") }),
    content: await bytesOf(content, encoding),
  });
}

async function bytesOf(content: unknown, encoding: unknown): Promise<Uint8Array> {
  if (content instanceof Blob) return new Uint8Array(await content.arrayBuffer());
  if (typeof content === "string") return Buffer.from(content, encoding === "base64" ? "base64" : "utf-8");
  return new Uint8Array(content as Uint8Array);
}
