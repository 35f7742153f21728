import type { Delivery, Outcome } from "../delivery/transport.ts";
import type { Mail } from "./command.ts";
import type { TransactionResult } from "./transaction_frame.ts";

export interface PartsOptions {
  /** Recipients that one transaction may have. */
  readonly most: number;
  /** `isBegun`: some of its recipients have been in a transaction. */
  readonly deliver: (mail: Mail, isBegun: boolean) => Promise<TransactionResult>;
}

/**
 * Sends a mail in as many transactions as the server needs for its recipients, one after the other.
 *
 * A server that takes some recipients and refuses the others as too many (RFC 5321 section 4.5.3.1.10) gets these in
 * the next transaction at once. Each part has at least one that was taken, so it comes to an end.
 *
 * @throws {Error} when the content could not be read to its end
 */
export async function deliverInParts(mail: Mail, options: PartsOptions): Promise<Delivery> {
  const { most, deliver } = options;
  const { recipients } = mail.envelope;
  if (recipients.length <= most) {
    // The common case has no promise more than it needs.
    const result = await deliver(mail, false);
    if (result.kind === "unavailable") return checked(result);
    if (result.rest.size === 0) return result;
    return together(mail, await partsFrom(mail, result, options));
  }
  const outcomes: Outcome[] = [];
  for (let from = 0; from < recipients.length; from += most) {
    const result = await deliver(withRecipients(mail, recipients.slice(from, from + most)), from > 0);
    if (result.kind === "unavailable") {
      if (outcomes.length === 0) return checked(result);
      outcomes.push(...later(recipients.slice(from), result));
      break;
    }
    outcomes.push(...await partsFrom(mail, result, options));
  }
  return together(mail, outcomes);
}

type Attempted = Extract<TransactionResult, { kind: "attempted" }>;
type Unavailable = Extract<TransactionResult, { kind: "unavailable" }>;

/** The outcomes of one transaction, and of those that follow it because it had too many recipients. */
async function partsFrom(mail: Mail, first: Attempted, { deliver }: PartsOptions): Promise<readonly Outcome[]> {
  const outcomes = new Map(first.outcomes.map((outcome) => [outcome.position, outcome]));
  let { rest } = first;
  while (rest.size > 0) {
    const left = rest;
    const result = await deliver(
      withRecipients(mail, mail.envelope.recipients.filter(({ position }) => left.has(position))),
      true,
    );
    // What the server had said of them, a deferral, holds.
    if (result.kind === "unavailable") break;
    for (const outcome of result.outcomes) outcomes.set(outcome.position, outcome);
    ({ rest } = result);
  }
  return [...outcomes.values()];
}

/** Those whose part was not begun while others went out: the next attempt is theirs. */
function later(recipients: Mail["envelope"]["recipients"], { trouble }: Unavailable): readonly Outcome[] {
  const { phase, reason, reply } = trouble;
  const meaning = { kind: "deferred", phase, blame: "route", reason } as const;
  return recipients.map(({ position }) =>
    reply === undefined ? { position, ...meaning } : { position, ...meaning, reply }
  );
}

function withRecipients(mail: Mail, recipients: Mail["envelope"]["recipients"]): Mail {
  return { ...mail, envelope: { ...mail.envelope, recipients } };
}

function together(mail: Mail, outcomes: readonly Outcome[]): Delivery {
  const byPosition = new Map(outcomes.map((outcome) => [outcome.position, outcome]));
  const ordered = mail.envelope.recipients.flatMap(({ position }) => byPosition.get(position) ?? []);
  return { kind: "attempted", outcomes: ordered };
}

/** A content that failed is a fault of ours, and no trouble of the route. */
function checked(result: Unavailable): Delivery {
  if (result.trouble.code === "content_failed") throw new Error(result.trouble.reason);
  return result;
}
