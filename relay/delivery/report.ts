import type { BatchWatch } from "../limits/batch_watch.ts";
import type { Log } from "../log.ts";
import type { ClaimedMessage, Settlement } from "../queue/queue.ts";
import type { Setback } from "../routes/breaker.ts";
import type { Route } from "../routes/route.ts";
import type { RouteTrouble } from "./transport.ts";

// What people are told about mail: one line when a route fails a mail, one when it goes out and one when it works
// again, however many mails meet it meanwhile; one line for each message that did not reach somebody. The log masks
// addresses, in replies too.

/** States in which a recipient was not reached, and will not be without somebody's doing. */
const NOT_REACHED: ReadonlySet<string> = new Set(["bounced", "expired", "failed", "held", "suppressed"]);

/** A mail met trouble of a route. */
export function reportTrouble(
  log: Log,
  { name, variable }: Pick<Route, "name" | "variable">,
  { trouble, wentOut, isFirst }: ReportedTrouble,
): void {
  const { code, phase, reason, reply } = trouble;
  // The engine knows no names of routes.
  const fix = trouble.fix?.replaceAll(/\bSMTP_URL\b/g, variable);
  const fields = { route: name, code, phase, reason, reply: reply?.code, fix };
  if (wentOut) log.warn("route out", fields);
  else if (isFirst) log.warn("route unavailable", fields);
  else log.debug("route unavailable", fields);
}

/** What happened, and what it says of the route. */
export interface ReportedTrouble extends Pick<Setback, "wentOut" | "isFirst"> {
  readonly trouble: RouteTrouble;
}

/** A route has taken up a mail. @param outForMs for how long it was out, if it was */
export function reportSuccess(log: Log, route: string, outForMs: number | undefined): void {
  if (outForMs === undefined) return;
  log.info("route available again", { route, outForSeconds: Math.round(outForMs / 100) / 10 });
}

/** Who is told of what was written. */
export interface SettledReport {
  readonly log: Log;
  /** Undefined: nobody watches batches. */
  readonly batches?: BatchWatch | undefined;
}

/**
 * A settlement was written: the watch of its batch counts it, and the log says who was not reached, if anybody was not.
 */
export function reportSettled({ log, batches }: SettledReport, message: ClaimedMessage, settlement: Settlement): void {
  batches?.settled(message, settlement);
  reportNotReached(log, message, settlement);
}

/** Says who was not reached, if anybody was not. */
export function reportNotReached(log: Log, message: ClaimedMessage, { outcomes, recipients }: Settlement): void {
  const missed = recipients.filter(({ state }) => NOT_REACHED.has(state));
  if (missed.length === 0) return;
  const addresses = new Map(message.recipients.map(({ position, email }) => [position, email]));
  const said = new Map(outcomes.map((outcome) => [outcome.position, outcome]));
  log.info("not reached", {
    id: message.id,
    recipients: missed.map(({ position, state, reason }) => {
      const outcome = said.get(position);
      return {
        to: addresses.get(position),
        state,
        code: outcome?.reply?.enhanced ?? outcome?.reply?.code,
        reason: reason ?? outcome?.reason,
        route: outcome?.route,
      };
    }),
  });
}
