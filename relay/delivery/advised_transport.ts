import type { Log } from "../log.ts";
import { adviceOnOutcome, type RouteFacts } from "../smtp/advice.ts";
import type { Clock } from "../time/clock.ts";
import type { Delivery, Outcome, Transport } from "./transport.ts";

/** What the log is told, and as whose words. */
export interface AdvisedOptions {
  /** The name of the route. */
  readonly route: string;
  /** The setting that names its server, such as `SMTP_URL_BULK`. */
  readonly variable: string;
  readonly facts: RouteFacts;
  readonly log: Log;
  readonly clock: Clock;
}

/** The same problem is not told more often: one wrong setting refuses every mail. */
const PAUSE_MS = 60_000;

/**
 * Says in the log what to change when a server refuses mails for a reason that concerns more than one of them: a sender
 * that it does not know, a machine that it does not relay for. What a single recipient is refused for stands in its
 * attempts.
 */
export function advised(transport: Transport, { route, variable, facts, log, clock }: AdvisedOptions): Transport {
  const told = new Map<string, { atMs: number; silent: number }>();

  function look(outcome: Outcome): void {
    const advice = adviceOnOutcome(outcome, facts);
    if (advice?.concernsMany !== true) return;
    const { problem } = advice;
    const fix = advice.fix.replaceAll(/\bSMTP_URL\b/g, variable);
    const nowMs = clock.now();
    const before = told.get(problem);
    if (before !== undefined && nowMs < before.atMs + PAUSE_MS) {
      before.silent++;
      return;
    }
    const more = before === undefined || before.silent === 0 ? {} : { alsoSinceLast: before.silent };
    told.set(problem, { atMs: nowMs, silent: 0 });
    log.warn("mails are refused", { route, phase: outcome.phase, problem, reason: outcome.reason, fix, ...more });
  }

  return {
    async send(envelope, content, signal, witness): Promise<Delivery> {
      const delivery = await transport.send(envelope, content, signal, witness);
      if (delivery.kind === "attempted") { for (const outcome of delivery.outcomes) look(outcome); }
      return delivery;
    },
    openConnections: () => transport.openConnections(),
    close: () => transport.close(),
    abort: () => transport.abort(),
  };
}
