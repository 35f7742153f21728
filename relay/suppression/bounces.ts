import type { Settlement } from "../queue/queue.ts";
import { bounceOf } from "../smtp/bounce.ts";

/** RELAY_ON_BOUNCE: when an address goes on the suppression list of the app whose mail it has refused. */
export interface BounceRules {
  /** After one hard bounce; `forMs` undefined: for good. */
  readonly hard: { readonly forMs: number | undefined } | undefined;
  /** After so many mails that failed softly within a time. */
  readonly soft:
    | { readonly after: number; readonly withinMs: number; readonly forMs: number | undefined }
    | undefined;
}

/**
 * What the statement that settles is told of one recipient. `ended`: it expired, and what had delayed it is on record.
 */
interface Counted {
  readonly seq: string;
  readonly position: number;
  readonly kind: "hard" | "soft" | "delayed" | "ended";
}

/**
 * Finds in what is settled what the rules count.
 *
 * @returns the last two values of SETTLE_BOUNCES; nearly always undefined, and then nothing more is asked of the
 * database
 */
export function bouncesInput(
  settlements: readonly Settlement[],
  rules: BounceRules | undefined,
): readonly [counted: string, rules: string] | undefined {
  if (rules === undefined) return undefined;
  const counted = settlements.flatMap((settlement) => countedOf(settlement, rules));
  if (counted.length === 0) return undefined;
  return [JSON.stringify(counted), limitsInput(rules)];
}

/** The rules as statements are told of them; a kind without a rule is not counted, and so needs no limits. */
export function limitsInput({ hard, soft }: BounceRules): string {
  return JSON.stringify({ hardFor: hard?.forMs, softFor: soft?.forMs, after: soft?.after, within: soft?.withinMs });
}

function countedOf({ seq, recipients, outcomes }: Settlement, rules: BounceRules): readonly Counted[] {
  if (recipients.every(({ state }) => state === "sent")) return [];
  return recipients.flatMap(({ position, state }): readonly Counted[] => {
    if (state !== "bounced" && state !== "expired" && state !== "deferred") return [];
    const outcome = outcomes.find((each) => each.position === position);
    if (outcome === undefined) return state === "expired" && rules.soft ? [{ seq, position, kind: "ended" }] : [];
    const bounce = bounceOf(outcome);
    if (bounce === undefined || rules[bounce] === undefined) return [];
    return [{ seq, position, kind: state === "deferred" ? "delayed" : bounce }];
  });
}
