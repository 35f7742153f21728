import { normalizeAddress } from "../../src/address.ts";
import type { ClaimedMessage } from "../queue/queue.ts";

// What keeps the mails of a test system from people: decided for each claimed message, before its recipients are parted
// by route.

/** Where mail may go outside of production. */
export interface Safety {
  /** RELAY_REDIRECT_TO: who gets a copy of every mail in the place of its recipients; empty: its recipients get it. */
  readonly redirectTo: readonly string[];
  /** RELAY_ALLOWED_RECIPIENTS: patterns of the addresses that get mail; undefined: all do. */
  readonly allowed: readonly string[] | undefined;
  /** RELAY_ENVIRONMENT: stands before each subject, in brackets. */
  readonly environment: string | undefined;
}

/** As in production. */
export const NO_SAFETY: Safety = { redirectTo: [], allowed: undefined, environment: undefined };

/** Why a recipient gets no mail. */
const NOT_ALLOWED = "It is none of RELAY_ALLOWED_RECIPIENTS";

/**
 * Returns a claimed message as it is to be sent.
 *
 * Redirected, each open recipient stands for the same copy, so that it has the outcome of that. With an allow-list
 * alone, who is not on it is barred.
 */
export function guarded(message: ClaimedMessage, { redirectTo, allowed, environment }: Safety): ClaimedMessage {
  const prefixed = environment === undefined ? message : { ...message, subjectPrefix: `[${environment}] ` };
  const isForeign = ({ email }: { readonly email: string }) => allowed !== undefined && !isAllowed(email, allowed);
  const [first] = redirectTo;
  if (first === undefined) {
    if (allowed === undefined || !message.recipients.some(isForeign)) return prefixed;
    const barred = message.recipients.map((each) =>
      each.open && isForeign(each) ? { ...each, barred: NOT_ALLOWED } : each
    );
    return { ...prefixed, recipients: barred };
  }
  if (allowed !== undefined && !message.recipients.some(isForeign)) return prefixed;
  return {
    ...prefixed,
    // For routes, limits and pauses the copy goes to the first address; all of them have the same way.
    recipients: message.recipients.map((each) => ({ ...each, email: first, name: null })),
    copy: { to: redirectTo, originals: message.recipients },
  };
}

/**
 * Tells whether an address fits one of the patterns, by the rule of `mailchute grants --to`: `*` stands for any
 * characters, and ASCII letters are compared in lower case.
 *
 * @example
 * ```ts
 * if (!isAllowed("Ann@Corp.example", ["*@corp.example"]) || isAllowed("ann@corp.example.net", ["*@corp.example"])) throw new Error("unexpected");
 * ```
 */
export function isAllowed(address: string, patterns: readonly string[]): boolean {
  const folded = lowerAscii(normalizeAddress(address));
  return patterns.some((pattern) => fits(folded, lowerAscii(pattern).split("*")));
}

/** Takes time linear in the address for each piece: a pattern with many stars must not stand still. */
function fits(text: string, pieces: readonly string[]): boolean {
  const [head = "", ...rest] = pieces;
  const tail = rest.pop();
  if (tail === undefined) return text === head;
  if (!text.startsWith(head) || !text.endsWith(tail) || text.length < head.length + tail.length) return false;
  const end = text.length - tail.length;
  let at = head.length;
  for (const piece of rest) {
    const found = text.indexOf(piece, at);
    if (found < 0 || found + piece.length > end) return false;
    at = found + piece.length;
  }
  return true;
}

/** toLowerCase() makes an i of U+0130 and a k of U+212A, which are letters of another domain. */
function lowerAscii(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

/** The header that says whom a copy was for; of very many, the first. */
export const ORIGINALS_HEADER = "X-Mailchute-Original-Recipients";
const MOST_ORIGINALS = 100;

/** Writes that header's value, such as `to ann@example.com, bcc bob@example.com`. */
export function originalRecipients(
  originals: readonly Pick<ClaimedMessage["recipients"][number], "kind" | "email">[],
): string {
  const named = originals.slice(0, MOST_ORIGINALS).map(({ kind, email }) => `${kind} ${email}`).join(", ");
  return originals.length <= MOST_ORIGINALS ? named : `${named}, and ${originals.length - MOST_ORIGINALS} more`;
}
