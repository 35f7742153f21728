import type { ClaimedMessage, Settlement } from "./queue.ts";
import { type Conclusion, type ConclusionContext, expire, loss } from "./settlement.ts";

// DESIGN: a mail that kills its relay (a bug of ours, memory) must not do so for ever, and one that merely was under
// way must not pay for it. A relay that takes over from a dead one counts the crash for what was in flight; what was
// told its end by a living relay is settled, and begins at 0 again. With the third crash in a row a mail is tried
// alone, and only a death while it was alone is its own.

/** In flight at so many crashes in a row, a mail is tried alone. */
const CRASHES_BEFORE_ALONE = 3;

const FIRST_ALONE_MS = 60_000;
const LONGEST_ALONE_MS = 30 * 60_000;

/** Whether nothing else may be in flight while this one is. */
export function mustBeAlone({ crashes }: Pick<ClaimedMessage, "crashes">): boolean {
  return crashes >= CRASHES_BEFORE_ALONE;
}

/**
 * How long a mail may keep all others waiting; it is longer each time, so that one that kills late is found out as
 * well.
 */
export function aloneMs({ crashes }: Pick<ClaimedMessage, "crashes">): number {
  return Math.min(FIRST_ALONE_MS * 2 ** Math.max(0, crashes - CRASHES_BEFORE_ALONE), LONGEST_ALONE_MS);
}

/** A claimed message with the number of the attempt that begins now, or that its lost holder had begun. */
export function asToBegin(message: ClaimedMessage): ClaimedMessage {
  // Ours, and yet unknown: the answer of the claim was lost, and nothing was started.
  // The same after the loss of a holder who would have said so, had it come that far (`loss`).
  return message.wasOurs || message.takenOver ? { ...message, attempt: message.attempt - 1 } : message;
}

/** What is written about a claimed message instead of beginning it; undefined: it may be begun. */
export function preclude(message: ClaimedMessage, context: ConclusionContext): Settlement | undefined {
  if (message.unrecorded) {
    const lost = loss(message, context);
    if (message.wasAlone) return blame(message, lost, message.crashes);
    if (lost !== undefined) return { ...lost, crashes: message.crashes };
  }
  return expire(message, context);
}

/**
 * What a relay writes about a message that its dead predecessor held.
 * @param wasInFlight it had been begun, and not ended
 */
export function aftermath(
  message: ClaimedMessage,
  { conclusion, wasInFlight }: { readonly conclusion: Conclusion; readonly wasInFlight: boolean },
): Conclusion & { readonly crashes?: number } {
  if (!wasInFlight) return conclusion;
  const crashes = message.crashes + 1;
  const settlement = conclusion.kind === "settle" ? conclusion.settlement : undefined;
  if (message.wasAlone) return { kind: "settle", settlement: blame(message, settlement, crashes) };
  if (settlement !== undefined) return { kind: "settle", settlement: { ...settlement, crashes } };
  return { ...conclusion, crashes };
}

/** Fails those who would be tried again. Who waits for a person goes on waiting: the server may have the mail. */
function blame(
  { seq, lease, attempt, recipients }: ClaimedMessage,
  known: Settlement | undefined,
  crashes: number,
): Settlement {
  const reason =
    `The relay has died ${crashes} times in a row with this mail in flight, the last time with nothing else`;
  const said = new Map(known?.recipients.map((recipient) => [recipient.position, recipient]));
  const ended = recipients.filter(({ open }) => open).map(({ position }) => {
    const recipient = said.get(position);
    return recipient === undefined || recipient.state === "deferred"
      ? { position, state: "failed", reason }
      : recipient;
  });
  const isHeld = ended.some(({ state }) => state === "held") || recipients.some(({ held }) => held);
  return {
    ...{ seq, lease, attempt, outcomes: known?.outcomes ?? [], recipients: ended },
    next: isHeld ? "held" : undefined,
  };
}
