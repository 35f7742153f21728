import type { RetryRules } from "../../src/policy.ts";
import { reportNotReached } from "../delivery/report.ts";
import type { Log } from "../log.ts";
import { aftermath } from "../queue/crash.ts";
import type { ClaimedMessage, Queue, Settlement, Unstarted } from "../queue/queue.ts";
import { conclude, type ConcludedLeg, type Conclusion, loss } from "../queue/settlement.ts";
import type { Clock } from "../time/clock.ts";
import type { Journal } from "./journal.ts";
import type { Remembered } from "./memory.ts";

/** What a replay needs. Time and chance are arguments. */
export interface ReplayOptions {
  readonly queue: Queue;
  readonly journal: Journal;
  readonly database: string;
  /** The identity of the state directory. */
  readonly instance: string;
  /** It was begun before, and failed; nothing has been claimed. @default {false} */
  readonly isAgain?: boolean;
  readonly rules: RetryRules;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
}

/** Statements of at most so many messages. */
const BATCH = 500;

/**
 * Brings to an end what a dead predecessor in the same state directory held, before anything is claimed: an outcome in
 * the journal is written to the database; an intent alone is an uncertain mail; everything else had not reached the end
 * of its content, and is given back as if it had not been claimed. For what was in flight when it died, the crash is
 * counted.
 */
export async function replay(options: ReplayOptions): Promise<void> {
  const { queue, journal, database, instance, rules, clock, random, log } = options;
  const { messages, nowMs: databaseMs } = await queue.adopt(instance, options.isAgain);
  const nowMs = clock.now();
  const settlements: Settlement[] = [];
  const unstarted: Unstarted[] = [];
  let inFlight = 0;
  for (const message of messages) {
    const { seq, lease, attempt } = message;
    const remembered = journal.found.get({ database, seq, lease });
    const context = { rules, random, nowMs, aheadMs: databaseMs - nowMs };
    // It had itself taken the mail over, and died before it could say so.
    const lost = message.unrecorded && remembered === undefined ? loss(message, context) : undefined;
    const known: Conclusion = lost === undefined
      ? conclude(message, legsFrom(message, { remembered, nowMs }), context)
      : { kind: "settle", settlement: lost };
    const wasInFlight = journal.flights.wasInFlight(database, seq);
    if (wasInFlight) inFlight++;
    const conclusion = aftermath(message, { conclusion: known, wasInFlight });
    if (conclusion.kind === "settle") settlements.push(conclusion.settlement);
    else unstarted.push({ seq, lease, attempt, delayMs: 0, crashes: conclusion.crashes });
  }
  const claimed = new Map(messages.map((message) => [message.seq, message]));
  for (const batch of batches(settlements)) {
    await queue.settle(batch);
    for (const each of batch) reportNotReached(log, claimed.get(each.seq) as ClaimedMessage, each);
  }
  for (const batch of batches(unstarted)) await queue.release(batch);
  if (messages.length > 0) {
    const uncertain = settlements.filter(({ outcomes }) => outcomes.some(({ kind }) => kind === "uncertain")).length;
    log.info("took back what a relay that died here held", {
      database,
      messages: messages.length,
      fromJournal: settlements.length,
      inFlight,
      uncertain,
    });
  }
  const known = journal.found.of(database).length;
  const missed = known - settlements.length;
  // Settled before the end, most often: the journal keeps a claim until its whole file is of no more use.
  if (missed > 0) log.debug("claims of the journal that the database no longer has", { database, claims: missed });
  journal.replayed(database);
}

/** The open recipients of a message, by what the journal knows of them. */
function legsFrom(
  message: ClaimedMessage,
  { remembered, nowMs }: { readonly remembered: Remembered | undefined; readonly nowMs: number },
): readonly ConcludedLeg[] {
  const open = message.recipients.filter((recipient) => recipient.open);
  const known = open.flatMap((recipient) => {
    const outcome = remembered?.outcomes.get(recipient.position);
    return outcome === undefined ? [] : [{ recipient, outcome }];
  });
  const untouched = open.filter(({ position }) => remembered?.outcomes.get(position) === undefined);
  const legs: ConcludedLeg[] = known.map(({ recipient, outcome }) => ({
    recipients: [recipient],
    result: { kind: "attempted", route: outcome.route, outcomes: [outcome] },
  }));
  if (untouched.length > 0 || legs.length === 0) {
    legs.push({ recipients: untouched, result: { kind: "skipped", againMs: nowMs } });
  }
  return legs;
}

function* batches<T>(items: readonly T[]): Generator<readonly T[]> {
  for (let from = 0; from < items.length; from += BATCH) yield items.slice(from, from + BATCH);
}
