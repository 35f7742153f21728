/** What one attempt meant for one recipient. */
export interface Judged {
  readonly kind: "sent" | "deferred" | "bounced" | "uncertain";
}

/** When and how long a recipient is tried. */
export interface RetryRules {
  /** Age at which a message is given up, counted from when it was due first. @default {432_000_000} five days */
  readonly maxAgeMs: number;
  /** Most attempts of one message; undefined: only its age decides. */
  readonly maxAttempts: number | undefined;
  /** What `uncertain` means for a message that does not say. */
  readonly onUncertain: "retry" | "hold";
}

/** What the rules need to know about the attempt that has just ended. */
export interface AttemptFacts {
  /** Counted from 1. */
  readonly number: number;
  /** From when its age counts: it was due for the first time, or a person asked to try it again. */
  readonly ageFromMs: number;
  /** The app's own limit. */
  readonly expiresAtMs: number | undefined;
  /** The message's own choice. */
  readonly onUncertain: "retry" | "hold" | undefined;
  /** The waits of its stream. @default {BACKOFF_MS} */
  readonly backoffMs?: readonly number[] | undefined;
}

/** What becomes of a recipient. An open state says when it is tried next; `held` waits for a person. */
export type NextState =
  | { readonly state: "sent" | "bounced"; readonly reason?: undefined }
  | { readonly state: "expired"; readonly reason: string }
  | { readonly state: "deferred"; readonly delayMs: number; readonly reason?: undefined }
  | { readonly state: "held"; readonly reason: string };

const MINUTE_MS = 60_000;

/** The waits after the first, second, … attempt; the last one repeats. A stream may have its own. */
export const BACKOFF_MS: readonly number[] = [1, 5, 15, 30, 60, 120, 240].map((minutes) => minutes * MINUTE_MS);

/** Long enough for a receiver to drop a second copy by its Message-ID. */
export const UNCERTAIN_DELAY_MS: number = 5 * MINUTE_MS;

/** The share by which a wait varies, so that a thousand mails deferred together do not return together. */
export const JITTER = 0.2;

/**
 * The wait after attempt `number`, in milliseconds.
 *
 * @param random a number from 0 (included) to 1 (excluded)
 */
export function backoffMs(number: number, random: number, waitsMs: readonly number[] = BACKOFF_MS): number {
  const base = waitsMs[Math.min(Math.max(number, 1), waitsMs.length) - 1] as number;
  return Math.round(base * (1 - JITTER + 2 * JITTER * random));
}

/** Decides what becomes of a recipient after one attempt. */
export function nextState(outcome: Judged, attempt: AttemptFacts, context: NextContext): NextState {
  switch (outcome.kind) {
    case "sent":
      return { state: "sent" };
    case "bounced":
      return { state: "bounced" };
    case "uncertain":
      if (holdsUncertain(attempt, context.rules)) {
        return {
          state: "held",
          reason:
            "The server may have it: a person decides between mailchute settle --sent and mailchute retry --accept-duplicate",
        };
      }
      return laterOrExpired(attempt, context, Math.max(UNCERTAIN_DELAY_MS, waitMs(attempt, context)));
    case "deferred":
      return laterOrExpired(attempt, context, waitMs(attempt, context));
  }
}

function waitMs({ number, backoffMs: waitsMs }: AttemptFacts, { random }: NextContext): number {
  return backoffMs(number, random, waitsMs);
}

/** The rules, the present, and a number from 0 to 1 for the jitter. */
export interface NextContext {
  readonly rules: RetryRules;
  readonly nowMs: number;
  readonly random: number;
}

/** One sentence when a message is too old to be tried (again); undefined while it is not. */
export function expiryReason(attempt: AttemptFacts, context: Pick<NextContext, "rules" | "nowMs">): string | undefined {
  if (attempt.expiresAtMs !== undefined && context.nowMs >= attempt.expiresAtMs) return "Its expiresAt has passed";
  if (context.nowMs >= attempt.ageFromMs + context.rules.maxAgeMs) return "It is older than RELAY_MAX_AGE";
  return undefined;
}

function laterOrExpired(attempt: AttemptFacts, context: NextContext, delayMs: number): NextState {
  const { maxAttempts } = context.rules;
  if (maxAttempts !== undefined && attempt.number >= maxAttempts) {
    return { state: "expired", reason: `Given up after ${attempt.number} attempts (RELAY_MAX_ATTEMPTS)` };
  }
  const now = expiryReason(attempt, context);
  if (now !== undefined) return { state: "expired", reason: now };
  // Not tried after its end: a wait that reaches beyond wakes it there, to be expired.
  const endMs = Math.min(attempt.expiresAtMs ?? Infinity, attempt.ageFromMs + context.rules.maxAgeMs);
  return { state: "deferred", delayMs: Math.min(delayMs, Math.max(endMs - context.nowMs, 1_000)) };
}

/** Whether a mail must not be sent twice: when nobody knows whether it was taken, it waits for a person. */
export function holdsUncertain(
  { onUncertain }: { readonly onUncertain?: RetryRules["onUncertain"] | null | undefined },
  rules: Pick<RetryRules, "onUncertain">,
): boolean {
  return (onUncertain ?? rules.onUncertain) === "hold";
}
