import { AppProcess } from "./app_process.ts";
import type { Cause } from "./duplicates.ts";
import type { Trouble } from "./fleet.ts";
import { pause } from "./pause.ts";
import { makeSchedule, type Planned } from "./schedule.ts";
import { openStage, type Run, type Stage, TOLERATED } from "./stage.ts";

/** One run of the history checker. */
export interface HistoryOptions {
  /** Decides the faults and their times, and what becomes of each mail at the server. */
  readonly seed: number;
  /** How long mails are enqueued and things go wrong. */
  readonly lastsMs: number;
  /** @default {3_000} */
  readonly leaseMs?: number;
  /** Processes that enqueue, each over two connections. @default {2} */
  readonly apps?: number;
  /** How long the relays may take for what is left when all faults are off. @default {90_000} */
  readonly settleWithinMs?: number;
  /** Causes for which a copy may go without an `uncertain` attempt. @default {TOLERATED} */
  readonly tolerated?: ReadonlySet<Cause>;
}

/** The mean time between two transactions of one connection. */
const TRANSACTION_EVERY_MS = 60;

/** Until a relay uses its last connection that was forgotten, and finds out. */
const NOTICED_MS = 10_000;

/**
 * How long the SMTP server thinks about each mail, by the seed. With the last one, it takes fewer than come: a backlog
 * grows.
 */
const LAGS_MS = [0, 10, 40] as const;

/** Lets apps enqueue and two relays deliver while things go wrong, and judges what happened. */
export async function runHistory(options: HistoryOptions): Promise<Run> {
  const { seed, lastsMs, leaseMs = 3_000, apps: count = 2, settleWithinMs = 90_000, tolerated = TOLERATED } = options;
  const schedule = makeSchedule({ seed, lastsMs, leaseMs });
  const lagMs = LAGS_MS[seed % LAGS_MS.length] ?? 0;
  await using stage = await openStage({ seed, relays: ["a", "b"], leaseMs, lagMs });
  const { lab, sink, ledger } = stage;
  const startedMs = Date.now();
  await using opened = new AsyncDisposableStack();
  const apps = Array.from({ length: count }, (_, number) => {
    const app = new AppProcess({
      ...{ seed, first: number * 2, url: lab.apps.url, everyMs: TRANSACTION_EVERY_MS },
      note: (note) => ledger.take(note),
      cutCommit: (when) => void (when === "after" ? lab.apps.loseAnswer("commit") : lab.apps.loseRequest("commit")),
    });
    opened.defer(() => app.close());
    return app;
  });

  const faults = schedule.map(async (fault) => {
    await pause(fault.atMs);
    await inflict(fault, stage, apps);
  });
  await Promise.all([...faults, pause(lastsMs)]);
  sink.behave();
  await Promise.all(apps.map((app) => app.close()));
  return await stage.end({ schedule, startedMs, settleWithinMs, tolerated });
}

/** Makes one thing go wrong, and right again. */
async function inflict(
  fault: Planned,
  { lab, sink, seats, troubles }: Stage,
  apps: readonly AppProcess[],
): Promise<void> {
  const withoutDatabase = async (work: () => Promise<void>, noticedMs = 0) => {
    const trouble: Trouble = { kind: "database", relay: undefined, fromMs: Date.now(), toMs: Infinity };
    troubles.push(trouble);
    await work();
    trouble.toMs = Date.now() + noticedMs;
  };
  switch (fault.kind) {
    case "kill":
      return seats.get(fault.relay)?.kill(fault);
    case "freeze":
      return await seats.get(fault.relay)?.freeze(fault.forMs);
    case "terminate":
      return seats.get(fault.relay)?.terminate();
    case "kill_app":
      return apps[fault.app % apps.length]?.kill();
    case "cut_backends":
      // The database may be away by another fault.
      return await withoutDatabase(() => lab.cutBackends().catch(() => undefined));
    case "restart_database":
      return await withoutDatabase(() => lab.restart(fault.mode));
    case "half_open":
      return await withoutDatabase(async () => {
        lab.relays.freeze();
        await pause(fault.forMs);
        // What was swallowed never comes, on connections that stay open and silent; new ones are fine.
        lab.relays.forget();
        lab.relays.pass();
      }, NOTICED_MS);
    case "smtp_out":
      sink.away(fault.how);
      await pause(fault.forMs);
      return sink.back();
    default:
      return fault satisfies never;
  }
}
