import { pause } from "./pause.ts";
import type { RelayName } from "./schedule.ts";
import { openStage, type Run, type Stage, TOLERATED } from "./stage.ts";

/** A plain scenario and what came out of it. */
export interface ScenarioRun {
  readonly run: Run;
  /** Copies that the server received whole beyond one of each mail. */
  readonly copiesTooMany: number;
}

const LEASE_MS = 5_000;
/** How long the relays may take for what is left at the end. */
export const SETTLE_WITHIN_MS = 120_000;
/** What a relay has by default. */
export const CONNECTIONS = 4;

/**
 * A rolling restart, again and again: SIGTERM to one of two relays in turn. Nothing may come twice, whatever is
 * tolerated elsewhere.
 */
export async function rollingRestart(
  { mails, restarts, everyMs }: { readonly mails: number; readonly restarts: number; readonly everyMs: number },
): Promise<ScenarioRun> {
  const relays: readonly RelayName[] = ["a", "b"];
  await using stage = await openStage({ seed: undefined, relays, leaseMs: LEASE_MS });
  const startedMs = Date.now();
  // One part is enqueued for each restart: the relays are in the middle of it.
  const part = Math.ceil(mails / restarts);
  for (let count = 0; count < restarts; count++) {
    const [from, to] = [part * count, Math.min(mails, part * (count + 1))];
    await enqueue(stage, { from, to });
    await stage.sink.whenCopies(Math.floor((from + to) / 2));
    stage.seats.get(relays[count % relays.length] as RelayName)?.terminate();
    await pause(everyMs);
  }
  return close(await stage.end({ startedMs, settleWithinMs: SETTLE_WITHIN_MS, tolerated: new Set() }));
}

/**
 * kill -9, again and again, of one relay with one state directory, in the middle of a campaign. What may come twice is
 * what was at its final dot just then: one mail for each connection and kill.
 */
export async function killAgainAndAgain(
  { mails, kills }: { readonly mails: number; readonly kills: number },
): Promise<ScenarioRun> {
  await using stage = await openStage({ seed: undefined, relays: ["a"], leaseMs: LEASE_MS });
  const startedMs = Date.now();
  await enqueue(stage, { from: 0, to: mails });
  for (let count = 1; count <= kills; count++) {
    await stage.sink.whenCopies(Math.floor(mails * count / (kills + 1)));
    const seat = stage.seats.get("a");
    seat?.kill({ losesState: false });
    await seat?.servesAgain();
  }
  return close(await stage.end({ startedMs, settleWithinMs: SETTLE_WITHIN_MS, tolerated: TOLERATED }));
}

/** What a run came to. */
export function close(run: Run): ScenarioRun {
  const tokens = new Set(run.history.copies.map(({ token }) => token));
  return { run, copiesTooMany: run.history.copies.length - tokens.size };
}

/** Enqueues the mails with these numbers in one transaction. */
export async function enqueue(
  { lab, ledger }: Stage,
  { from, to }: { readonly from: number; readonly to: number },
): Promise<void> {
  await lab.admin()`
    select count(mailchute.send(jsonb_build_object('from', 'm' || i || '@shop.example', 'to', 'm' || i || '@example.com',
      'subject', 'Nr. ' || i, 'text', 'Hello'))) from generate_series(${from}::int, ${to - 1}::int) i`;
  for (let number = from; number < to; number++) {
    ledger.take({
      ...{ token: `m${number}`, recipients: [`m${number}@example.com`] },
      ...{ holds: false, hasOrder: false, fate: "committed" },
    });
  }
}
