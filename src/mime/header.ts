import { CONTROL, parseAddress } from "../address.ts";
import { HeaderLine } from "./header_line.ts";

/** Ours: a longer name leaves no room for a value on its line. RFC 5322 knows only the line's 998. */
const MAX_NAME_CHARS = 76;

/** RFC 5322 section 3.6.8: visible ASCII but the colon. */
const FIELD_NAME = /^[!-9;-~]+$/;

/** Header fields that the message's own fields write, or the servers on the way. The value says what to use instead. */
const RESERVED: ReadonlyMap<string, string> = new Map([
  ["from", "use `from`"],
  ["to", "use `to`"],
  ["cc", "use `cc`"],
  ["bcc", "use `bcc`; a header would show the addresses to everybody"],
  ["reply-to", "use `replyTo`"],
  ["subject", "use `subject`"],
  ["date", "it comes from the time of the mail"],
  ["message-id", "it comes from `id`"],
  ["return-path", "use `returnPath`"],
  ["list-unsubscribe-post", "use `unsubscribe`"],
]);
/**
 * Families of headers: those of MIME, of people who pass a mail on, and of the servers on its way, which sign and judge
 * it.
 */
const NOT_FOR_CALLERS = /^(?:(?:mime|content|resent|received|dkim|arc|authentication)-|received$)/;

/** RFC 5322 section 3.6 and RFC 2369: at most one of each, so that no two readers see different ones. */
const ONCE: ReadonlySet<string> = new Set([
  "sender",
  "in-reply-to",
  "references",
  "list-unsubscribe",
]);

/**
 * Fields that programs read: no encoded-word may stand there but in names and comments (RFC 2047 section 5), and a
 * blank more says nothing.
 */
const FOR_PROGRAMS =
  /^(?:in-reply-to|references|list-.+|auto-submitted|precedence|importance|priority|x-priority|feedback-id|disposition-notification-to)$/i;

/**
 * Says why callers may not set this header field, or undefined when they may. The client asks at enqueue, the relay
 * again.
 *
 * @example
 * ```ts
 * if (headerProblem("X-Order", "17") !== undefined) throw new Error("unexpected");
 * if (headerProblem("bcc", "ann@example.com") === undefined) throw new Error("unexpected");
 * ```
 */
export function headerProblem(name: string, value: string): string | undefined {
  if (!FIELD_NAME.test(name)) return "a header name is visible ASCII without a colon";
  if (name.length > MAX_NAME_CHARS) return `a header name has at most ${MAX_NAME_CHARS} characters`;
  const lower = name.toLowerCase();
  const instead = RESERVED.get(lower) ?? (NOT_FOR_CALLERS.test(lower) ? "it is not for callers" : undefined);
  if (instead !== undefined) return `the header ${name} cannot be set here: ${instead}`;
  const problem = valueProblem(value);
  if (problem !== undefined || lower !== "sender") return problem;
  const sender = parseAddress(value);
  return sender.ok ? undefined : `Sender is not one address: ${sender.reason}`;
}

/**
 * Says why a text cannot stand in a header (a subject, a header's value), or undefined when it can: no line break, no
 * other control character.
 *
 * @example
 * ```ts
 * if (valueProblem("a\r\nBcc: b@c") === undefined) throw new Error("unexpected");
 * ```
 */
export function valueProblem(value: string): string | undefined {
  if (typeof value !== "string") return "it is not a string";
  return CONTROL.test(value) ? "it holds a line break or another control character" : undefined;
}

/**
 * Returns the name of a header that is there twice though it may be there once, or undefined.
 *
 * @example
 * ```ts
 * if (repeatedHeader(["Sender", "X-A", "SENDER", "x-a"]) !== "SENDER") throw new Error("unexpected");
 * ```
 * @param names with `List-Unsubscribe` when the message's `unsubscribe` writes it
 */
export function repeatedHeader(names: readonly string[]): string | undefined {
  const lower = names.map((name) => name.toLowerCase());
  return names.find((_, index) => ONCE.has(lower[index] ?? "") && lower.indexOf(lower[index] ?? "") < index);
}

/**
 * Writes a header field, folded, with its CRLF: its value is text for people, encoded where it must be, but in the
 * fields that programs read.
 *
 * @example
 * ```ts
 * if (textHeader("Subject", "Hello") !== "Subject: Hello\r\n") throw new Error("unexpected");
 * if (textHeader("References", " <a@b>  <c@d>") !== "References: <a@b> <c@d>\r\n") throw new Error("unexpected");
 * ```
 * @param value one for which {@linkcode valueProblem} found nothing
 */
export function textHeader(name: string, value: string): string {
  const line = new HeaderLine(name);
  if (FOR_PROGRAMS.test(name)) line.words(value);
  else line.text(value);
  return line.end();
}
