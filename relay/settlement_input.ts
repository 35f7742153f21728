import type { Settlement } from "./queue.ts";

/** What the statement that settles is told about one message. */
export function settlementInput(settlement: Settlement): Record<string, unknown> {
  const { lease, attempt, givesAttemptBack, next, crashes = 0, throttle, outcomes, recipients } = settlement;
  return {
    lease,
    attempt,
    attempts: givesAttemptBack ? attempt - 1 : attempt,
    delay: typeof next === "number" ? next : null,
    held: next === "held",
    crashes,
    throttle: throttle ?? null,
    recipients,
    outcomes: outcomes.map(({ position, kind, phase, blame, reply, reason, route }) => ({
      position,
      kind,
      phase,
      blame,
      code: reply?.code ?? null,
      enhanced: reply?.enhanced ?? null,
      reply: reason,
      route,
    })),
  };
}
