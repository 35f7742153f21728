import { MailchuteError } from "./error.ts";
import { octets } from "./octets.ts";

/** One address, checked: safe to write into SMTP commands and headers as it is. */
export interface Mailbox {
  /** `local@domain`; an internationalised domain is here in its ASCII form (A-labels). */
  readonly email: string;
  /** The name shown beside the address, unquoted. */
  readonly name?: string;
}

/** An address as people write it: `"a@b"`, `"Ann <a@b>"`, `"\"Doe, Jane\" <a@b>"` or an object. */
export type Address = string | NamedAddress;

/** An address with the name shown beside it, unquoted. */
export interface NamedAddress {
  /** `local@domain`. */
  readonly email: string;
  /** At most 998 characters, no line break. @default none */
  readonly name?: string | undefined;
}

/** A refusal is data: `reason` is a clause that names the fault and never the address. */
export type AddressResult =
  | { readonly ok: true; readonly mailbox: Mailbox }
  | { readonly ok: false; readonly reason: string };

/** RFC 5321 section 4.5.3.1.1. */
const MAX_LOCAL_BYTES = 64;
/** RFC 5321 section 4.5.3.1.3: a path of 256 octets, less its angle brackets. */
const MAX_EMAIL_BYTES = 254;
/** Labels of at most 63 octets (RFC 1035 section 2.3.4) that neither begin nor end with a hyphen. */
const NAME = /^(?!-)[\w-]{1,63}(?<!-)(?:\.(?!-)[\w-]{1,63}(?<!-))*$/;
/** Ours: no person's name is longer, and every later step stays cheap. */
const MAX_NAME_CHARS = 998;

/** What may stand in no line. */
export const CONTROL: RegExp = /[\0-\x1f\x7f]/;
// Joiners (U+200C, U+200D) belong to the spelling of Persian and Indic words; other invisible characters only deceive.
const INVISIBLE = /(?![\u200c\u200d])[\s\p{Cc}\p{Cf}\p{Cs}]/u;
const DOT_ATOM = /^[\w!#$%&'*+\-/=?^`{|}~\x80-\uffff]+(?:\.[\w!#$%&'*+\-/=?^`{|}~\x80-\uffff]+)*$/;
const QUOTED = /^"((?:[^"\\]|\\.)*)"$/;
const SPECIALS = /[()<>[\]:;@\\,"]/;
/** What stands between two addresses stands in none. */
const LIST = /@[^@,;]*[,;][^@]*@/;
/** RFC 5321 section 4.1.3: four numbers, each before a dot and the next, or before the end. */
const IPV4_LITERAL = /^\[(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?=\d)|\]$)){4}$/;

/**
 * Parses exactly one address. The one gate for addresses: the client uses it at enqueue, the relay again before SMTP.
 *
 * Lists, groups, comments and routes are refused, since next hops read them in different ways. A local part may be
 * UTF-8 (RFC 6531) or quoted; in quotes `@ < > " \` are refused, because mail for `"x@gmail.com y"@corp.example` has
 * been sent to gmail.com by others. Takes time linear in the input.
 *
 * @example Read a name and an address
 * ```ts
 * const result = parseAddress('"Doe, Jane" <jane@example.com>');
 * if (!result.ok || result.mailbox.name !== "Doe, Jane") throw new Error("unexpected");
 * ```
 */
export function parseAddress(input: Address): AddressResult {
  const mailbox = parseMailbox(input);
  if (typeof mailbox !== "string") return { ok: true, mailbox };
  const text: unknown = typeof input === "string" ? input : input?.email;
  const isList = typeof text === "string" && LIST.test(text);
  return { ok: false, reason: isList ? "it is more than one address: give a list as an array" : mailbox };
}

/**
 * Parses exactly one address, or throws.
 *
 * @example Name the field in the error
 * ```ts
 * const { email } = mailboxOf("Ann <ann@example.com>", "from");
 * if (email !== "ann@example.com") throw new Error("unexpected");
 * ```
 * @param field where the address was given, such as `to.0`: it becomes the path of the issue
 * @throws {MailchuteError} `validation_error` when it is not one usable address
 */
export function mailboxOf(input: Address, field: string): Mailbox {
  const result = parseAddress(input);
  if (result.ok) return result.mailbox;
  const message = `Cannot use the address in ${field}: ${result.reason}`;
  throw new MailchuteError("validation_error", message, { issues: [{ path: field, message: result.reason }] });
}

/**
 * Formats a mailbox so that {@linkcode parseAddress} reads the same back. For people and JSON, not for headers.
 *
 * @example Quotes where the name needs it
 * ```ts
 * const text = formatMailbox({ email: "jane@example.com", name: "Doe, Jane" });
 * if (text !== '"Doe, Jane" <jane@example.com>') throw new Error("unexpected");
 * ```
 */
export function formatMailbox(mailbox: Mailbox): string {
  const { email, name } = mailbox;
  if (name === undefined) return email;
  const plain = !SPECIALS.test(name) && name.trim() === name;
  return `${plain ? name : `"${name.replace(/["\\]/g, "\\$&")}"`} <${email}>`;
}

/**
 * Returns the domain of an address: lower case, ASCII form.
 *
 * @example
 * ```ts
 * if (domainOf("ann@MÜNCHEN.example") !== "xn--mnchen-3ya.example") throw new Error("unexpected");
 * ```
 */
export function domainOf(email: string): string {
  const domain = email.slice(email.lastIndexOf("@") + 1);
  return canonicalDomain(domain) ?? domain.toLowerCase();
}

/**
 * Returns the form in which two addresses are compared: domain in lower case and ASCII, local part kept, since only its
 * own server knows whether case matters there (RFC 5321 section 2.4). The suppression list makes no difference of case
 * at all. Never throws.
 *
 * @example
 * ```ts
 * if (normalizeAddress("Ann@Example.COM") !== "Ann@example.com") throw new Error("unexpected");
 * ```
 */
export function normalizeAddress(email: string): string {
  const checked = checkEmail(email);
  const text = typeof checked === "string" ? email : checked.email;
  return text.slice(0, text.lastIndexOf("@") + 1) + domainOf(text);
}

/**
 * Tells whether two addresses name the same mailbox, as far as a sender can know.
 *
 * @example
 * ```ts
 * if (!sameAddress("ann@Example.com", "ann@example.com")) throw new Error("unexpected");
 * ```
 */
export function sameAddress(one: string, other: string): boolean {
  return normalizeAddress(one) === normalizeAddress(other);
}

/** Reads the mailbox; a string is the reason why not. */
function parseMailbox(input: Address): Mailbox | string {
  const parts = typeof input === "string" ? splitName(input) : input;
  if (typeof parts === "string") return parts;
  if (typeof parts?.email !== "string") return "it is neither a string nor { email, name }";
  const checked = checkEmail(parts.email);
  const { name } = parts;
  if (typeof checked === "string" || name === undefined || name === null) return checked;
  if (typeof name !== "string") return "its name is not a string";
  if (name.length > MAX_NAME_CHARS) return `its name is longer than ${MAX_NAME_CHARS} characters`;
  if (CONTROL.test(name)) return "its name holds a line break or another control character";
  return name.trim() === "" ? checked : { ...checked, name: name.toWellFormed() };
}

/** Splits `name <email>`; a string is the reason why not. */
function splitName(input: string): { readonly email: string; readonly name?: string } | string {
  // Before trim(), which would hide a line break at the end.
  if (CONTROL.test(input)) return "it holds a line break or another control character";
  const text = input.trim();
  if (text.length > MAX_NAME_CHARS + MAX_EMAIL_BYTES) return "it is too long";
  if (!text.endsWith(">")) return { email: text };
  const open = text.lastIndexOf("<");
  const email = text.slice(open + 1, -1);
  const phrase = text.slice(0, Math.max(open, 0)).trimEnd();
  if (phrase === "" && open === 0) return { email };
  const name = unquote(phrase);
  if (name !== undefined) return { email, name };
  if (phrase !== "" && !SPECIALS.test(phrase)) return { email, name: phrase };
  return 'it is not exactly one address: put a name with ()<>[]:;@\\," into double quotes, or give { email, name }';
}

/** Returns what stands in double quotes, or undefined. */
function unquote(text: string): string | undefined {
  return QUOTED.exec(text)?.[1]?.replace(/\\(.)/g, "$1");
}

/** Checks `local@domain` and returns it in the form for the wire; a string is the reason why not. */
function checkEmail(email: string): Mailbox | string {
  if (email.length > MAX_EMAIL_BYTES) return `it is longer than ${MAX_EMAIL_BYTES} octets`;
  const at = email.lastIndexOf("@");
  if (at < 0) return "it has no @";
  const local = checkLocal(email.slice(0, at));
  if (typeof local === "string") return local;
  const domain = email.slice(at + 1);
  const canonical = canonicalDomain(domain);
  if (canonical === undefined) return "its domain is not valid (an IP address needs brackets: [192.0.2.1])";
  const checked = `${local.text}@${canonical === domain.toLowerCase() ? domain : canonical}`;
  return octets(checked) > MAX_EMAIL_BYTES ? `it is longer than ${MAX_EMAIL_BYTES} octets` : { email: checked };
}

/** Returns the local part in the form for the wire; a string is the reason why not. */
function checkLocal(text: string): { readonly text: string } | string {
  if (text === "") return "nothing stands before its @";
  if (octets(text) > MAX_LOCAL_BYTES) return `its part before the @ is longer than ${MAX_LOCAL_BYTES} octets`;
  // Blanks may stand between quotes, and nowhere else.
  if (INVISIBLE.test(text.startsWith('"') ? text.replaceAll(" ", "") : text)) {
    return "it holds a blank, a control character or another invisible character";
  }
  if (DOT_ATOM.test(text)) return { text };
  const quoted = unquote(text);
  if (!quoted) return "it is not exactly one address (a local part like a..b needs quotes)";
  if (/[@<>"\\]/.test(quoted)) return 'its quoted part holds one of @ < > " \\';
  return { text: DOT_ATOM.test(quoted) ? quoted : `"${quoted}"` };
}

/** Returns the domain in lower case and ASCII, or undefined when it is none. */
function canonicalDomain(domain: string): string | undefined {
  if (domain.startsWith("[")) return canonicalLiteral(domain);
  // The length first: URL takes more than linear time.
  if (domain.length > MAX_EMAIL_BYTES) return undefined;
  let ascii = domain.toLowerCase();
  // Plain names stay away from URL, which reads "1" as 0.0.0.1.
  if (/[^\w.-]|xn--/i.test(domain)) {
    if (/[^\w.\-\x80-\uffff]/.test(domain) || INVISIBLE.test(domain)) return undefined;
    ascii = hostname(domain);
  }
  // RFC 3696 section 2: a name never ends in a number, so this one would be read as an IP address.
  return NAME.test(ascii) && !/(?:^|\.)(?:\d+|0x[\da-f]*)$/.test(ascii) ? ascii : undefined;
}

/** RFC 5321 section 4.1.3: `[192.0.2.1]` or `[IPv6:2001:db8::1]`. */
function canonicalLiteral(domain: string): string | undefined {
  if (IPV4_LITERAL.test(domain)) return domain;
  // Without a match no hostname either.
  const host = hostname(`[${/^\[IPv6:([\da-f:.]+)\]$/i.exec(domain)?.[1]}]`);
  return host === "" ? undefined : `[IPv6:${host.slice(1)}`;
}

/** The standard tool for IDNA that every runtime has; the empty string when the name is not valid. */
function hostname(host: string): string {
  try {
    return new URL(`http://${host}`).hostname;
  } catch {
    return "";
  }
}
