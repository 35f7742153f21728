import type { Blame, Outcome, Phase, Reply } from "../delivery/transport.ts";

/**
 * DESIGN: what each reply means, as one closed table. Decided by code and RFC 3463 code, never by words.
 * The first row of a phase that fits counts, and every phase ends in rows that fit all codes from 200 to 599.
 * What an ended connection means is not here but in `ending.ts`: it depends on how far the mail had come.
 */

/** What is to be done about a reply. */
export type Verdict =
  /** As hoped: on to the next step. */
  | { readonly then: "go" }
  /** 334: the server asks for the next part of AUTH. */
  | { readonly then: "answer" }
  /** Refused, and there may be a way without: HELO for EHLO, plain text for STARTTLS. */
  | { readonly then: "fall_back" }
  /** This recipient, or with it all that were accepted, later. */
  | { readonly then: "defer"; readonly blame: Blame }
  /** The server takes no more recipients in this transaction: this one goes with the next. */
  | { readonly then: "next" }
  /** This recipient, or with it all that were accepted, never. */
  | { readonly then: "bounce"; readonly blame: Blame }
  /** The connection is of no use: it ends with this trouble, and `ending.ts` says what becomes of the mail. */
  | { readonly then: "end"; readonly trouble: string };

/** One row: `code` is exact or a class such as `4yz`; `enhanced` is `none` or such as `x.5.3`, and must fit too. */
export interface Rule {
  readonly code: string;
  readonly enhanced?: string;
  /** The row holds only after the server has accepted another recipient of this mail. */
  readonly afterAccepted?: true;
  readonly verdict: Verdict;
  readonly because: string;
}

/**
 * What a reply belongs to: a phase, or a BDAT command, whose replies are of the phase `data` (the first, empty chunk)
 * or `body`.
 */
export type Replied = Exclude<Phase, "connect"> | "bdat";

const GO: Verdict = { then: "go" };
const FALL_BACK: Verdict = { then: "fall_back" };
const TOO_MANY: Verdict = { then: "next" };
const SHUTTING_DOWN: Rule = {
  code: "421",
  verdict: end("shutting_down"),
  because: "RFC 5321 section 3.8: the server closes the connection, whatever we had asked",
};
const OUT_OF_STEP: Rule = {
  code: "503",
  verdict: end("protocol"),
  because: "RFC 5321 section 4.1.4: the server is at another place in the dialogue than we are; start anew",
};
const UNEXPECTED: Rule = { code: "any", verdict: end("protocol"), because: "No answer to what we had said" };
const ROUTE_REFUSES: readonly Rule[] = [
  {
    code: "530",
    verdict: defer("route"),
    because: "RFC 4954 section 6: it wants AUTH or TLS; the mail is not at fault",
  },
  {
    code: "535",
    verdict: defer("route"),
    because: "RFC 4954 section 6: it does not know us; the mail is not at fault",
  },
  { code: "538", verdict: defer("route"), because: "RFC 4954 section 6: it wants TLS; the mail is not at fault" },
];

/** The table. */
export const REPLY_RULES: Readonly<Record<Replied, readonly Rule[]>> = {
  greeting: [
    { code: "2yz", verdict: GO, because: "RFC 5321 section 3.1" },
    SHUTTING_DOWN,
    { code: "4yz", verdict: end("greeting_refused"), because: "RFC 5321 section 3.1: no service now" },
    { code: "5yz", verdict: end("greeting_refused"), because: "RFC 5321 section 3.1: no service for us" },
    UNEXPECTED,
  ],
  ehlo: [
    { code: "2yz", verdict: GO, because: "RFC 5321 section 4.1.1.1" },
    SHUTTING_DOWN,
    { code: "500", verdict: FALL_BACK, because: "RFC 5321 section 3.2: it does not know EHLO" },
    { code: "502", verdict: FALL_BACK, because: "RFC 5321 section 3.2: it does not know EHLO" },
    { code: "504", verdict: FALL_BACK, because: "It does not take EHLO with this name" },
    { code: "4yz", verdict: end("greeting_refused"), because: "RFC 5321 section 4.1.1.1" },
    { code: "5yz", verdict: end("greeting_refused"), because: "RFC 5321 section 4.1.1.1" },
    UNEXPECTED,
  ],
  starttls: [
    { code: "220", verdict: GO, because: "RFC 3207 section 4: the next byte belongs to TLS" },
    SHUTTING_DOWN,
    { code: "4yz", verdict: FALL_BACK, because: "RFC 3207 section 4: TLS is not available now" },
    { code: "5yz", verdict: FALL_BACK, because: "RFC 3207 section 4: TLS is not available" },
    UNEXPECTED,
  ],
  auth: [
    { code: "2yz", verdict: GO, because: "RFC 4954 section 6" },
    { code: "334", verdict: { then: "answer" }, because: "RFC 4954 section 4" },
    SHUTTING_DOWN,
    { code: "4yz", verdict: end("auth_unavailable"), because: "RFC 4954 section 6: it cannot check us now (454)" },
    { code: "5yz", verdict: end("auth_rejected"), because: "RFC 4954 section 6: it does not know us" },
    UNEXPECTED,
  ],
  mail: [
    { code: "2yz", verdict: GO, because: "RFC 5321 section 4.1.1.2" },
    SHUTTING_DOWN,
    OUT_OF_STEP,
    { code: "530", verdict: end("auth_required"), because: "RFC 4954 section 6: it wants AUTH or TLS from everybody" },
    { code: "535", verdict: end("auth_rejected"), because: "RFC 4954 section 6: it does not know us any more" },
    { code: "538", verdict: end("auth_required"), because: "RFC 4954 section 6: it wants TLS" },
    {
      code: "454",
      enhanced: "x.7.0",
      verdict: end("auth_unavailable"),
      because: "RFC 4954 section 6: it cannot check us",
    },
    { code: "552", verdict: bounce("message"), because: "RFC 1870 section 6.1: larger than it ever takes" },
    {
      code: "5yz",
      enhanced: "x.3.4",
      verdict: bounce("message"),
      because: "RFC 3463 section 3.4: larger than it takes",
    },
    {
      code: "4yz",
      enhanced: "x.5.3",
      verdict: end("shutting_down"),
      because: "OpenSMTPD after 100 mails of one connection: it takes no more of them here, and more over a new one",
    },
    { code: "4yz", verdict: defer("sender"), because: "RFC 5321 section 4.2.1: this return path, later" },
    { code: "5yz", verdict: bounce("sender"), because: "RFC 5321 section 4.2.1: this return path, never" },
    UNEXPECTED,
  ],
  rcpt: [
    { code: "2yz", verdict: GO, because: "RFC 5321 section 4.1.1.3; 251 and 252 accept as well" },
    SHUTTING_DOWN,
    OUT_OF_STEP,
    ...ROUTE_REFUSES,
    { code: "454", enhanced: "x.7.0", verdict: defer("route"), because: "RFC 4954 section 6: it cannot check us now" },
    {
      code: "any",
      enhanced: "x.5.3",
      afterAccepted: true,
      verdict: TOO_MANY,
      because: "RFC 3463 section 3.6: too many recipients in one mail, so these go with the next one",
    },
    {
      code: "452",
      enhanced: "none",
      afterAccepted: true,
      verdict: TOO_MANY,
      because: "RFC 5321 section 4.5.3.1.10; a full mailbox (RFC 3463 x.2.2) has a code of its own",
    },
    {
      code: "552",
      enhanced: "none",
      afterAccepted: true,
      verdict: TOO_MANY,
      because: "RFC 5321 section 4.5.3.1.10: to be taken as 452",
    },
    { code: "552", verdict: defer("recipient"), because: "RFC 5321 section 4.5.3.1.10: to be taken as 452" },
    { code: "4yz", verdict: defer("recipient"), because: "RFC 5321 section 4.2.1" },
    { code: "5yz", verdict: bounce("recipient"), because: "RFC 5321 section 4.2.1" },
    UNEXPECTED,
  ],
  data: [
    { code: "354", verdict: GO, because: "RFC 5321 section 4.1.1.4" },
    SHUTTING_DOWN,
    OUT_OF_STEP,
    ...ROUTE_REFUSES,
    { code: "454", enhanced: "x.7.0", verdict: defer("route"), because: "RFC 4954 section 6: it cannot check us now" },
    { code: "4yz", verdict: defer("route"), because: "RFC 5321 section 4.3.2: it takes no content now" },
    { code: "5yz", verdict: bounce("message"), because: "RFC 5321 section 4.3.2: it takes no content of this mail" },
    UNEXPECTED,
  ],
  body: [
    SHUTTING_DOWN,
    OUT_OF_STEP,
    ...ROUTE_REFUSES,
    { code: "4yz", verdict: defer("route"), because: "Said before the end of the content, and meant for it" },
    { code: "5yz", verdict: bounce("message"), because: "Said before the end of the content, and meant for it" },
    UNEXPECTED,
  ],
  bdat: [
    { code: "2yz", verdict: GO, because: "RFC 3030 section 2: it has the chunk" },
    SHUTTING_DOWN,
    ...["500", "501", "502", "503", "504"].map((code): Rule => ({
      code,
      verdict: end("chunking_broken"),
      because: "It offers CHUNKING and does not speak it: the mail goes by DATA over a new connection",
    })),
    ...ROUTE_REFUSES,
    { code: "454", enhanced: "x.7.0", verdict: defer("route"), because: "RFC 4954 section 6: it cannot check us now" },
    { code: "4yz", verdict: defer("route"), because: "RFC 3030 section 2: it takes no content now" },
    { code: "5yz", verdict: bounce("message"), because: "RFC 3030 section 2: it does not take this content" },
    UNEXPECTED,
  ],
  final: [
    { code: "2yz", verdict: GO, because: "RFC 5321 section 4.1.1.4: the server is responsible from here on" },
    SHUTTING_DOWN,
    OUT_OF_STEP,
    ...ROUTE_REFUSES,
    { code: "454", enhanced: "x.7.0", verdict: defer("route"), because: "RFC 4954 section 6: it cannot check us now" },
    { code: "4yz", verdict: defer("route"), because: "RFC 5321 section 4.2.1: the content was not taken, for now" },
    { code: "5yz", verdict: bounce("message"), because: "RFC 5321 section 4.2.1: the content was not taken" },
    UNEXPECTED,
  ],
};

/**
 * Looks up what a reply means.
 *
 * @example
 * ```ts
 * const verdict = verdictOn("rcpt", { code: 550, enhanced: "5.1.1", text: "no such user" });
 * if (verdict.then !== "bounce" || verdict.blame !== "recipient") throw new Error("unexpected");
 * ```
 */
export function verdictOn(
  phase: Replied,
  reply: Reply,
  options: { readonly hasAccepted: boolean } = NOTHING_ACCEPTED,
): Verdict {
  return ruleFor(phase, reply, options).verdict;
}

/** Looks up the row of the table that decides, with its reason. */
export function ruleFor(
  phase: Replied,
  reply: Reply,
  options: { readonly hasAccepted: boolean } = NOTHING_ACCEPTED,
): Rule {
  for (const rule of REPLY_RULES[phase]) {
    if (fitsCode(rule.code, reply.code) && fitsRest(rule, reply, options)) return rule;
  }
  return UNEXPECTED;
}

/** What a verdict makes of a recipient; undefined: nothing yet. */
export function meaningOf(verdict: Verdict, phase: Phase): Pick<Outcome, "kind" | "phase" | "blame"> | undefined {
  if (verdict.then === "defer") return { kind: "deferred", phase, blame: verdict.blame };
  if (verdict.then === "bounce") return { kind: "bounced", phase, blame: verdict.blame };
  return undefined;
}

const NOTHING_ACCEPTED = { hasAccepted: false };

function fitsCode(pattern: string, code: number): boolean {
  if (pattern === "any") return true;
  if (pattern.endsWith("yz")) return Math.trunc(code / 100) === pattern.charCodeAt(0) - 48;
  return Number(pattern) === code;
}

function fitsRest(rule: Rule, reply: Reply, options: { readonly hasAccepted: boolean }): boolean {
  if (rule.afterAccepted === true && !options.hasAccepted) return false;
  if (rule.enhanced === undefined) return true;
  if (rule.enhanced === "none") return reply.enhanced === undefined;
  return reply.enhanced?.slice(1) === rule.enhanced.slice(1);
}

function end(trouble: string): Verdict {
  return { then: "end", trouble };
}

function defer(blame: Blame): Verdict {
  return { then: "defer", blame };
}

function bounce(blame: Blame): Verdict {
  return { then: "bounce", blame };
}
