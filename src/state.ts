/**
 * The states of a recipient, or of a message, that may still change.
 *
 * `scheduled`: it waits for its `scheduledAt`; `reschedule` and `cancel` work.
 *
 * `queued`: it waits for a relay, and nothing has been tried.
 *
 * `sending`: a relay holds it. `cancel` answers `too_late`; if the relay is lost, another takes over when its lease
 * ends.
 *
 * `deferred`: the next hop did not take it for now, or an attempt ended in `uncertain`; it is tried again later.
 *
 * `held`: the final dot went out, the reply was never read, and the settings ask a person to decide whether to send
 * again.
 */
export type OpenState = "scheduled" | "queued" | "sending" | "deferred" | "held";

/** All open states. */
export const OPEN_STATES: readonly OpenState[] = ["scheduled", "queued", "sending", "deferred", "held"];

/**
 * The states that end a recipient, or a message.
 *
 * `sent`: the next hop answered 250 and is responsible now; this does not mean delivered. A DSN may turn it into
 * `bounced`.
 *
 * `bounced`: the next hop refused it for good, in the dialogue or later by a DSN.
 *
 * `failed`: we could not hand it over: it cannot be composed, or no route takes it.
 *
 * `expired`: its age, `expiresAt` or the number of attempts ran out; the last reply is the reason.
 *
 * `suppressed`: the address was on the suppression list.
 *
 * `canceled`: the app or an operator took it back before it was sent.
 */
export type FinalState = "sent" | "bounced" | "failed" | "expired" | "suppressed" | "canceled";

/**
 * Where a recipient is. A message's state is derived from its recipients': the open ones first, then the worst final
 * one.
 */
export type State = OpenState | FinalState;

/** All final states. */
export const FINAL_STATES: readonly FinalState[] = ["sent", "bounced", "failed", "expired", "suppressed", "canceled"];

/**
 * Tells whether a state ends a message or a recipient.
 *
 * @example
 * ```ts
 * if (isFinal("deferred") || !isFinal("sent")) throw new Error("unexpected");
 * ```
 */
export function isFinal(state: State): state is FinalState {
  return (FINAL_STATES as readonly State[]).includes(state);
}
