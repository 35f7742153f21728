import type { Blame, Outcome, Phase } from "../delivery/transport.ts";

/**
 * DESIGN: what to change when a mail was not sent, as one closed table: the first row that fits counts, and the last
 * fits always.
 */

/** One row: what is left out fits everything; `enhanced` is the end of an RFC 3463 code, such as `.7.`. */
export interface OutcomeAdvice {
  readonly kind?: Outcome["kind"];
  readonly phase?: Phase;
  readonly blame?: Blame;
  readonly codes?: readonly number[];
  readonly enhanced?: string;
  /** Only what is advised may hang on words: servers have no code of their own for it. */
  readonly says?: RegExp;
  /** Not this mail's alone: the log of the relay tells it. */
  readonly concernsMany?: true;
  readonly problem: string;
  readonly fix: string;
}

/**
 * How servers name the list of addresses or domains that they go by: spamhaus, RBL, DNSBL, black list, block list,
 * blocked using x.example.
 */
const BLOCK_LIST =
  /\b(?:rbl|dnsbl|dnsrbl|uribl|surbl)s?\b|black[- ]?list|block[- ]?list|spamhaus|spamcop|barracudacentral|sorbs|\blisted (?:at|in|on|by)\b|blocked (?:using|by) [\w-]+\.\w/i;

/** The table. */
export const OUTCOME_ADVICE: readonly OutcomeAdvice[] = [
  {
    kind: "uncertain",
    problem: "The server took the content and never said whether it keeps the mail",
    fix: "look whether it has arrived before it is sent again",
  },
  {
    codes: [530, 535, 538],
    concernsMany: true,
    problem: "The server takes mail only after a login or over TLS ({code})",
    fix: "write smtp://user:password@{host}:587 in SMTP_URL",
  },
  {
    says: BLOCK_LIST,
    concernsMany: true,
    problem: "The server refuses us because of a block list ({code})",
    fix:
      "look up there, as its reply says, which address or domain is listed and why; end that, ask to be taken off (or the provider whose address it is), then mailchute retry",
  },
  {
    kind: "bounced",
    blame: "sender",
    concernsMany: true,
    problem: "The server refuses the sender ({code})",
    fix:
      "send from an address that this server or account may use (at a provider: verify its domain); RELAY_RETURN_PATH sets the envelope's",
  },
  {
    kind: "deferred",
    blame: "sender",
    concernsMany: true,
    problem: "The server does not take this sender now ({code})",
    fix: "wait: the relay tries again; if it stays so, the server limits this sender or cannot look its domain up",
  },
  {
    // Sendmail and Postfix say 554 5.7.1, Exchange 550 5.7.54 (RFC 3463 section 3.8: delivery not authorised).
    kind: "bounced",
    phase: "rcpt",
    enhanced: ".7.",
    concernsMany: true,
    problem: "The server does not send mail onwards for us ({code})",
    fix:
      "let it relay for the address of this machine (in Postfix: mynetworks), or write user and password into SMTP_URL",
  },
  {
    kind: "bounced",
    phase: "rcpt",
    codes: [551, 554],
    concernsMany: true,
    problem: "The server does not send mail onwards for us ({code})",
    fix:
      "let it relay for the address of this machine (in Postfix: mynetworks), or write user and password into SMTP_URL",
  },
  {
    kind: "bounced",
    phase: "rcpt",
    problem: "The server refuses the recipient ({code})",
    fix:
      "correct the address; if it refuses all but its own domains, let it relay for this machine or write user and password into SMTP_URL",
  },
  {
    kind: "deferred",
    phase: "rcpt",
    problem: "The server does not take this recipient now ({code})",
    fix: "wait: the relay tries again (greylisting takes some minutes)",
  },
  {
    kind: "bounced",
    enhanced: ".3.4",
    problem: "The mail is larger than the server takes ({code})",
    fix: "send less, or raise the limit of the server",
  },
  {
    kind: "bounced",
    blame: "message",
    problem: "The server refuses the content ({code})",
    fix: "read its reply: most often it asks for an authenticated domain (SPF, DKIM) or takes the mail for spam",
  },
  {
    problem: "The server did not take the mail",
    fix: "wait: the relay tries again; if it stays so, look into the log of the server",
  },
];
