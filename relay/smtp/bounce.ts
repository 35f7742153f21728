import type { Outcome, Reply } from "../delivery/transport.ts";

/**
 * DESIGN: what a refusal says about an address, as one closed table over RFC 3463 codes. The first row that fits
 * counts; what no row names says nothing, and so does every reply for which the recipient is not to blame (outcome.ts):
 * policy (x.7), routes (x.4), the server itself (x.3), the content (x.6), a connection that ended.
 */

/** `hard`: there is no such mailbox. `soft`: this one may take another mail. */
export type Bounce = "hard" | "soft";

/** One row: `enhanced` without its class, or `none` for a reply without such a code. */
export interface BounceRule {
  readonly enhanced: string;
  /** The codes that fit; undefined: all. */
  readonly codes?: readonly number[];
  /** Undefined: it says nothing. */
  readonly says: Bounce | undefined;
  readonly because: string;
}

/** The table. A `hard` one of class 4 is soft: it may exist later. */
const BOUNCE_RULES: readonly BounceRule[] = [
  { enhanced: "1.1", says: "hard", because: "RFC 3463 section 3.2: no such mailbox" },
  { enhanced: "1.2", says: "hard", because: "RFC 3463 section 3.2: no such domain" },
  { enhanced: "1.3", says: "hard", because: "RFC 3463 section 3.2: no mailbox can be called so" },
  { enhanced: "1.6", says: "hard", because: "RFC 3463 section 3.2: the mailbox has moved, and nobody says where" },
  { enhanced: "1.10", says: "hard", because: "RFC 7505 section 4.1: its domain takes no mail" },
  { enhanced: "2.0", says: "soft", because: "RFC 3463 section 3.3: something is wrong with the mailbox" },
  { enhanced: "2.1", says: "soft", because: "RFC 3463 section 3.3: the mailbox is disabled, perhaps for a while" },
  { enhanced: "2.2", says: "soft", because: "RFC 3463 section 3.3: the mailbox is full" },
  {
    enhanced: "none",
    codes: [550, 551, 553],
    says: "soft",
    because: "RFC 5321 section 4.2.3: not found, no access or policy: the code alone does not tell which",
  },
];

/**
 * Tells what an outcome says about its recipient's address; undefined: nothing.
 *
 * @example
 * ```ts
 * const outcome = { position: 0, kind: "bounced", phase: "rcpt", blame: "recipient", reason: "no such user" } as const;
 * if (bounceOf({ ...outcome, reply: { code: 550, enhanced: "5.1.1", text: "no such user" } }) !== "hard") throw new Error("unexpected");
 * if (bounceOf({ ...outcome, reply: { code: 550, enhanced: "5.7.1", text: "policy" } }) !== undefined) throw new Error("unexpected");
 * ```
 */
export function bounceOf({ kind, phase, blame, reply }: Outcome): Bounce | undefined {
  const isRefused = kind === "bounced" || kind === "deferred";
  if (!isRefused || phase !== "rcpt" || blame !== "recipient" || reply === undefined) return undefined;
  const says = BOUNCE_RULES.find((rule) => fits(rule, reply))?.says;
  return says === "hard" && (kind === "deferred" || reply.enhanced?.startsWith("4")) ? "soft" : says;
}

function fits({ enhanced, codes }: BounceRule, reply: Reply): boolean {
  if (codes !== undefined && !codes.includes(reply.code)) return false;
  return enhanced === "none" ? reply.enhanced === undefined : reply.enhanced?.slice(2) === enhanced;
}
