import type { Holding } from "../delivery/holdings.ts";
import type { Witness } from "../delivery/transport.ts";
import { lasts } from "../queue/lease.ts";
import type { Clock } from "../time/clock.ts";
import type { Journal } from "./journal.ts";
import type { Mark } from "./record.ts";

/** Where a witness notes what it sees. */
export interface WitnessOptions {
  readonly journal: Journal;
  /** The name of the database. */
  readonly database: string;
  readonly leaseMs: number;
  readonly clock: Clock;
}

/** Watches over one delivery: what the server may have taken is in the journal before it can have it. */
export function witnessOf(
  holding: Holding,
  route: string,
  { journal, database, leaseMs, clock }: WitnessOptions,
): Required<Witness> {
  return {
    // It may have waited for its connection for long. What cannot be noted would come as far as its last line, for
    // nothing.
    mayBegin: () => !journal.isBroken && lasts(holding, { nowMs: clock.now(), leaseMs }),
    committing(positions) {
      // A relay that was frozen in the middle of a dialogue, or has lost its database: another may be sending this mail
      // by now, or soon.
      if (!lasts(holding, { nowMs: clock.now(), leaseMs })) {
        throw new Error("Its lease was not renewed while it was being sent: another relay may take it over");
      }
      journal.intent(markOf(holding, database), route, positions);
    },
    concluded(outcomes) {
      journal.outcome(markOf(holding, database), outcomes.map((outcome) => ({ ...outcome, route })));
    },
  };
}

/** The claim under which the journal knows a message. */
export function markOf({ message, lease }: Pick<Holding, "message" | "lease">, database: string): Mark {
  return { database, seq: message.seq, lease };
}
