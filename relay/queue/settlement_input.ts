import type { Settlement } from "./queue.ts";

/** What the statement that settles is told about one message. */
export function settlementInput(settlement: Settlement): Record<string, unknown> {
  const { lease, attempt, givesAttemptBack, next, crashes = 0, throttle, recipients } = settlement;
  return {
    lease,
    ends: next === undefined,
    attempts: givesAttemptBack ? attempt - 1 : attempt,
    delay: typeof next === "number" ? next : null,
    crashes,
    throttle: throttle ?? null,
    recipients: Object.fromEntries(recipients.map(({ position, state, reason }) => [position, { state, reason }])),
  };
}

/** And about the attempts of all: one outcome after the other. */
export function outcomesInput(settlements: readonly Settlement[]): readonly Record<string, unknown>[] {
  return settlements.flatMap(({ seq, attempt, outcomes }) =>
    outcomes.map(({ position, kind, phase, blame, reply, reason, route }) => ({
      seq,
      number: attempt,
      position,
      kind,
      phase,
      blame,
      code: reply?.code ?? null,
      enhanced: reply?.enhanced ?? null,
      reply: reason,
      route,
    }))
  );
}
