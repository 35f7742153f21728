import {
  type AttemptFacts,
  expiryReason,
  holdsUncertain,
  type NextState,
  nextState,
  type RetryRules,
  UNCERTAIN_DELAY_MS,
} from "../../src/policy.ts";
import type { Outcome } from "../delivery/transport.ts";
import { pausesOfThrottle, throttleOfPauses } from "../limits/pause.ts";
import type { ClaimedMessage, ClaimedRecipient, Settlement } from "./queue.ts";

/** What became of the recipients of a message that share a route. */
export type LegResult =
  | { readonly kind: "attempted"; readonly route: string; readonly outcomes: readonly Outcome[] }
  /** They can never be sent to, or must not be: the state that they end in. */
  | { readonly kind: "failed" | "suppressed"; readonly reason: string }
  /**
   * They were not tried: their routes are out or have no room, a limit is reached, they are paused, or the relay stops.
   * `againMs`: when to look again, by our clock; `throttle`: the limit or the pauses that they wait for.
   */
  | { readonly kind: "skipped"; readonly againMs: number; readonly throttle?: string | undefined };

/** One part of a message, by the route that its recipients take. */
export interface ConcludedLeg {
  readonly recipients: readonly ClaimedRecipient[];
  readonly result: LegResult;
}

/** What is to be written about a claimed message: what became of it, or that nothing did. */
export type Conclusion =
  | { readonly kind: "settle"; readonly settlement: Settlement }
  | { readonly kind: "release"; readonly againMs: number; readonly throttle?: string };

/** Time and chance, and the rules. */
export interface ConclusionContext {
  readonly rules: RetryRules;
  /** By our clock. */
  readonly nowMs: number;
  /** By how much the database's clock, which made every time in its rows, is ahead of ours. */
  readonly aheadMs: number;
  readonly random: () => number;
}

/**
 * The longest that recipients who were not tried wait for others who were deferred: all that are open go out together,
 * so an outage of one route must not shorten the waits of the recipients of another.
 */
const LONGEST_WAIT_FOR_OTHERS_MS = 15 * 60_000;

/**
 * What waits for a throttle is claimed when that has a token; and after this time even so, should nobody know it any
 * more.
 */
const LONGEST_WAIT_FOR_THROTTLE_MS = 3_600_000;

/** Decides about a message when all its legs have ended. */
export function conclude(
  message: ClaimedMessage,
  legs: readonly ConcludedLeg[],
  context: ConclusionContext,
): Conclusion {
  const againMs = earliestLook(legs);
  if (againMs !== undefined && legs.every(({ result }) => result.kind === "skipped")) {
    const throttle = throttleOf(legs);
    if (throttle === undefined) return { kind: "release", againMs };
    return { kind: "release", throttle, againMs: context.nowMs + throttledMs(message, { ...context, throttle }) };
  }

  const facts = attemptFacts(message);
  const nowMs = context.nowMs + context.aheadMs;
  const judged = legs.flatMap(({ result }) =>
    result.kind !== "attempted" ? [] : result.outcomes.map((outcome) => ({
      outcome: { ...outcome, route: result.route },
      state: nextState(outcome, facts, { rules: context.rules, nowMs, random: context.random() }),
    }))
  );
  const untried = legs.flatMap(({ recipients, result }) =>
    result.kind !== "failed" && result.kind !== "suppressed"
      ? []
      : recipients.map(({ position }) => ({ position, state: result.kind, reason: result.reason }))
  );
  const skippedMs = againMs === undefined ? undefined : Math.max(0, againMs - context.nowMs);
  const throttle = againMs === undefined ? undefined : throttleOf(legs);
  const isFinal = judged.every(({ state }) => state.state !== "deferred" && state.state !== "held");
  const isDeferred = judged.some(({ state }) => state.state === "deferred");
  return {
    kind: "settle",
    settlement: {
      ...lease(message),
      // Those who were not tried have had no attempt, and nobody else is left to have the next one.
      ...(skippedMs !== undefined && isFinal ? { givesAttemptBack: true } : {}),
      // Those who are deferred have a time of their own, at which all that are open are looked at again.
      ...(throttle !== undefined && !isDeferred
        ? { throttle, next: throttledMs(message, { ...context, throttle }) }
        : { next: nextLook(judged, skippedMs) ?? (isHeld(message, judged) ? "held" as const : undefined) }),
      outcomes: judged.map(({ outcome }) => outcome),
      recipients: [
        ...judged.map(({ outcome, state: { state, reason } }) => (
          { position: outcome.position, state, reason: state === "sent" ? whyThere(message, outcome.position) : reason }
        )),
        ...untried,
      ],
    },
  };
}

/**
 * Nobody is to believe that a mail has reached whom it names, when a copy went elsewhere; or to wonder that it has
 * reached who wants none.
 */
function whyThere({ copy, overridden }: ClaimedMessage, position: number): string | undefined {
  if (copy !== undefined) return `Sent to ${copy.to.join(", ")} in its place (RELAY_REDIRECT_TO)`;
  const reason = overridden?.[position];
  return reason === undefined
    ? undefined
    : `On the suppression list: ${reason}; sent all the same (overrideSuppression)`;
}

/** The open recipients of a message who have come onto the suppression list, or are barred: they end so, untried. */
export function suppressedLegs({ recipients }: ClaimedMessage): readonly ConcludedLeg[] {
  return recipients.flatMap((recipient) => {
    const { open, suppressed, barred } = recipient;
    const reason = suppressed === null ? barred : `On the suppression list: ${suppressed}`;
    return open && reason !== undefined ? [{ recipients: [recipient], result: { kind: "suppressed", reason } }] : [];
  });
}

/**
 * When those who were not tried are looked at again; undefined: all have been. A throttle wakes only mail that waits
 * for nothing else.
 */
export function earliestLook(legs: readonly ConcludedLeg[]): number | undefined {
  const skipped = legs.flatMap(({ result }) => result.kind === "skipped" ? [result] : []);
  if (skipped.length === 0) return undefined;
  const others = skipped.filter(({ throttle }) => throttle === undefined);
  const times = (others.length > 0 ? others : skipped).map(({ againMs }) => againMs);
  return Math.min(...times);
}

/**
 * The limit, or else the pauses, that those who were not tried wait for; undefined when some of them wait for something
 * else.
 */
function throttleOf(legs: readonly ConcludedLeg[]): string | undefined {
  const throttles = legs.flatMap(({ result }) => result.kind === "skipped" ? [result.throttle] : []);
  if (throttles.length === 0 || !throttles.every((throttle) => throttle !== undefined)) return undefined;
  // Who waits for a limit does not wait for the end of somebody else's pause.
  const limit = throttles.find((throttle) => pausesOfThrottle(throttle) === undefined);
  return limit ?? throttleOfPauses(throttles.flatMap((throttle) => pausesOfThrottle(throttle) ?? []));
}

/** How long it waits for a throttle, at the longest: until its end is to be written. */
function throttledMs(
  message: ClaimedMessage,
  { nowMs, aheadMs, rules, throttle }: ConclusionContext & { readonly throttle: string },
): number {
  const { ageFromMs, expiresAtMs = Infinity } = attemptFacts(message);
  const endMs = Math.min(expiresAtMs, ageFromMs + rules.maxAgeMs);
  // Every relay looks what pauses mail waits for: to claim it every hour would be for nothing.
  const longestMs = pausesOfThrottle(throttle) === undefined ? LONGEST_WAIT_FOR_THROTTLE_MS : Infinity;
  return Math.min(longestMs, Math.max(0, endMs - nowMs - aheadMs));
}

/** What is written when a message is too old to be tried; undefined while it is not. */
export function expire(message: ClaimedMessage, context: Omit<ConclusionContext, "random">): Settlement | undefined {
  const nowMs = context.nowMs + context.aheadMs;
  const reason = expiryReason(attemptFacts(message), { rules: context.rules, nowMs });
  if (reason === undefined) return undefined;
  const open = message.recipients.filter((recipient) => recipient.open);
  return {
    ...lease(message),
    next: isHeld(message, []) ? "held" : undefined,
    outcomes: [],
    recipients: open.map(({ position }) => ({ position, state: "expired", reason })),
  };
}

/**
 * What is written about a message whose holder was lost: nobody knows how far it had come. One that must not be sent
 * twice had its holder say so before its final dot; without that word it was not sent, and undefined says that it may
 * be begun.
 */
export function loss(message: ClaimedMessage, context: ConclusionContext): Settlement | undefined {
  if (holdsUncertain(message, context.rules) && !message.intended) return undefined;
  const reason = "The relay that held it was lost, and may have sent it";
  const recipients = message.recipients.filter((recipient) => recipient.open);
  const outcomes = recipients.map(({ position }) => (
    { position, kind: "uncertain", phase: "final", blame: "network", reason } as const
  ));
  const result = { kind: "attempted", route: UNKNOWN_ROUTE, outcomes } as const;
  const conclusion = conclude(message, [{ recipients, result }], context);
  return conclusion.kind === "settle" ? conclusion.settlement : undefined;
}

/** In the attempts of a relay that was lost. */
export const UNKNOWN_ROUTE = "unknown";

interface Judged {
  readonly outcome: Outcome;
  readonly state: NextState;
}

/** The wait before the next look; undefined when nobody is left to be tried. */
function nextLook(judged: readonly Judged[], skippedMs: number | undefined): number | undefined {
  const delays = judged.flatMap(({ state }) => state.state === "deferred" ? [state.delayMs] : []);
  if (delays.length === 0) return skippedMs;
  // The row wakes for the first recipient that is due, and all that are open go out with it: none that is uncertain
  // before its time.
  const uncertain = judged.flatMap(({ outcome, state }) =>
    outcome.kind === "uncertain" && state.state === "deferred" ? [state.delayMs] : []
  );
  const notBeforeMs = uncertain.length > 0 ? Math.min(UNCERTAIN_DELAY_MS, ...uncertain) : 0;
  const notAfterMs = skippedMs === undefined ? Infinity : Math.max(skippedMs, LONGEST_WAIT_FOR_OTHERS_MS);
  return Math.max(Math.min(...delays, notAfterMs), notBeforeMs);
}

function attemptFacts(message: ClaimedMessage): AttemptFacts {
  return {
    number: message.attempt,
    ageFromMs: Math.max(message.firstDueMs, message.retriedAtMs ?? 0),
    expiresAtMs: message.expiresAtMs ?? undefined,
    onUncertain: message.onUncertain ?? undefined,
    backoffMs: message.backoffMs,
  };
}

function lease({ seq, lease, attempt }: ClaimedMessage): Pick<Settlement, "seq" | "lease" | "attempt"> {
  return { seq, lease, attempt };
}

function isHeld(message: ClaimedMessage, judged: readonly Judged[]): boolean {
  return judged.some(({ state }) => state.state === "held") || message.recipients.some((recipient) => recipient.held);
}
