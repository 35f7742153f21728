import { schemaProblem, schemaState } from "../relay/database/schema_state.ts";
import type { Statements } from "../relay/database/statements.ts";
import type { Transport } from "../relay/delivery/transport.ts";
import { readPauses } from "../relay/limits/pause_table.ts";
import { PAUSE_OF_ALL, pausesOfThrottle } from "../relay/limits/pause.ts";
import type { Log } from "../relay/log.ts";
import { lookAtPlace, rememberPlace } from "../relay/place/place_record.ts";
import { Queue } from "../relay/queue/queue.ts";
import { beat, forgetEarlierRuns, markResting, registerRelay } from "../relay/queue/relay_row.ts";
import type { Clock } from "../relay/time/clock.ts";
import { periodic } from "../relay/time/periodic.ts";
import type { RetryRules } from "../src/policy.ts";
import { DrainRun } from "./drain_run.ts";
import type { CarryRules } from "./left_to_relay.ts";
import { checkAnswers } from "./statements_of.ts";

// DESIGN: one run of a Worker over one database: it may work here? ──▶ it says who it is ──▶ claim, deliver, settle, again and again ──▶ gives
// back what it has not begun ──▶ says that it rests. It ends when nothing is due, its time is over, all is paused or the server is out.
// A run is a relay of its own, since a lease must tell one from the next.

/** What a run needs. Time, chance and the doors to the outside are arguments. */
export interface DrainQueueOptions extends CarryRules {
  readonly statements: Statements;
  /** `host/name`, for people. */
  readonly display: string;
  /** Where the database is, as it remembers it. */
  readonly address: string;
  /** The same for all runs of one Worker, as a UUID. */
  readonly instance: string;
  readonly name: string;
  readonly transport: Transport;
  readonly rules: RetryRules;
  readonly returnPath: string | undefined;
  readonly deadlineMs: number;
  readonly leaseMs: number;
  readonly batch: number;
  /** After so many messages the run ends. */
  readonly maxMessages: number;
  readonly restMs: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
}

/**
 * Why a run has ended: nothing is due; its time is over; it had as many messages as it may; all mail is paused; the
 * server takes none; the database is a copy.
 */
export type DrainEnd = "empty" | "deadline" | "enough" | "paused" | "route" | "copy";

/** What a run has done. */
export interface DrainReport {
  /** Messages that were claimed, the same one as often as it was. */
  readonly claimed: number;
  /** Recipients whom the server has taken responsibility for. */
  readonly sent: number;
  /** Recipients who are tried again later. */
  readonly deferred: number;
  /** Recipients whom the server has refused for good. */
  readonly bounced: number;
  /** Recipients of whom nobody knows whether the server has the mail. */
  readonly uncertain: number;
  /** Messages with a recipient whom a Worker cannot serve: they wait for a relay. */
  readonly leftToRelay: number;
  /** Why the run has ended. */
  readonly end: DrainEnd;
  /** One sentence, where the end has a reason. */
  readonly reason?: string | undefined;
}

const HEARTBEAT_MS = 15_000;
const THROTTLES = 1_000;

/**
 * Sends what is due, for a limited time.
 *
 * @throws {Error} when the schema does not fit, or the database does not answer, or its connection changes the answers
 */
export async function drainQueue(options: DrainQueueOptions): Promise<DrainReport> {
  const { statements, address, display, clock, leaseMs, log } = options;
  await checkAnswers(statements);
  const problem = schemaProblem(await schemaState(statements), display);
  if (problem !== undefined) throw new Error(problem);
  const place = await lookAtPlace(statements, address);
  if (place.difference !== undefined) {
    const reason = `this database is a copy: its queue is drained at ${
      place.remembered?.addresses[0]
    }, and ${place.difference}`;
    const fix =
      "mailchute adopt-copy --keep, if it has moved here for good; for another address of the same one, set address";
    log.error("nothing is sent", { reason, fix });
    return { ...NOTHING, end: "copy", reason };
  }
  await rememberPlace(statements, place);
  const identity = { instance: options.instance, host: `worker ${options.name}`, pid: 0 };
  const relayId = await registerRelay(statements, identity);
  await forgetEarlierRuns(statements, relayId, options.instance);
  const queue = new Queue(statements, { relayId, leaseMs, clock });
  const run = new DrainRun({ ...options, queue });
  const onError = (error: unknown) => log.warn("upkeep failed", { error });
  const stopBeating = periodic(() => beat(statements, { ...identity, relayId }), {
    ...{ everyMs: HEARTBEAT_MS, clock, onError },
  });
  try {
    const end = await claimAndSend(run, { ...options, queue });
    // What it still holds, the end of its lease gives to others; it must not look as if it had stopped.
    if (run.holds === 0) await markResting(statements, relayId, options.restMs);
    return { ...run.tally, ...end };
  } catch (error) {
    // That it could not be given back matters less than why the run has ended.
    await run.giveBack().catch(onError);
    throw error;
  } finally {
    stopBeating();
    run.close();
    await options.transport.close();
  }
}

async function claimAndSend(
  run: DrainRun,
  { statements, queue, clock, deadlineMs, batch, maxMessages }: DrainQueueOptions & { readonly queue: Queue },
): Promise<Pick<DrainReport, "end" | "reason">> {
  const endMs = clock.now() + deadlineMs;
  let isFirst = true;
  while (clock.now() < endMs) {
    const pauses = new Set((await readPauses(statements)).map(({ key }) => key));
    if (pauses.has(PAUSE_OF_ALL)) return { end: "paused", reason: "All mail is paused" };
    if (isFirst) await endPauses(queue, pauses);
    isFirst = false;
    const left = maxMessages - run.tally.claimed;
    if (left <= 0) return { end: "enough" };
    if (!await run.claim(Math.min(batch, left))) return { end: "empty" };
    const trouble = await run.deliver({ endMs, pauses });
    if (trouble !== undefined) return { end: "route", reason: trouble };
  }
  return { end: "deadline" };
}

/** Makes due what waits for a pause that has ended. What waits for a limit, or for a relay, is a relay's. */
async function endPauses(queue: Queue, pauses: ReadonlySet<string>): Promise<void> {
  for (let last: string | undefined = ""; last !== undefined;) {
    const keys: readonly string[] = await queue.throttles(THROTTLES, last);
    const ended = keys.filter((key) => pausesOfThrottle(key)?.some((pause) => !pauses.has(pause)));
    if (ended.length > 0) await queue.unthrottle(ended);
    last = keys.length < THROTTLES ? undefined : keys.at(-1);
  }
}

const NOTHING = { claimed: 0, sent: 0, deferred: 0, bounced: 0, uncertain: 0, leftToRelay: 0 } as const;
