import type { RetryRules } from "../src/policy.ts";
import type { RelayDatabase } from "./database/database.ts";
import type { RetentionRules } from "./database/retention.ts";
import { Counters } from "./delivery/counters.ts";
import type { Safety } from "./delivery/safety.ts";
import { Solitude } from "./delivery/solitude.ts";
import type { Rates, ReachedLimit } from "./drain/intake.ts";
import type { Journal } from "./journal/journal.ts";
import { BatchWatch } from "./limits/batch_watch.ts";
import { PAUSE_CHANNEL, pauseBatch, readPauses } from "./limits/pause_table.ts";
import { Pauses } from "./limits/pauses.ts";
import { type RateLimit, RateLimits } from "./limits/rate_limit.ts";
import { ThrottleTable } from "./limits/throttle_table.ts";
import { Throttles } from "./limits/throttles.ts";
import type { Log } from "./log.ts";
import type { Remaining } from "./queue/queue.ts";
import type { Route } from "./routes/route.ts";
import type { RoutingRule } from "./routes/routing.ts";
import { Station } from "./station.ts";
import type { BounceRules } from "./suppression/bounces.ts";
import { SuppressionCopier } from "./suppression/copier.ts";
import { SUPPRESSION_CHANNEL, SuppressionHome } from "./suppression/home.ts";
import type { Clock } from "./time/clock.ts";

// DESIGN: the lifecycle. starting ──▶ running ──stop──▶ draining ──▶ stopped. While draining nothing new is claimed, what was not started
// is given back at once, and dialogues under way have `graceMs` to end; then they are broken off, which makes a mail
// whose final dot is out `uncertain`. What cannot be written keeps its lease, to be taken back at the next start from
// the same state directory.

export interface RelayOptions {
  /** Opened; the relay ends their connections. */
  readonly databases: readonly RelayDatabase[];
  /** Kept together with all relays, in the first database. */
  readonly limits?: readonly RateLimit[];
  /** The relay closes their transports. */
  readonly routes: readonly Route[];
  readonly routing: readonly RoutingRule[];
  /** Not closed by the relay. */
  readonly journal: Journal;
  readonly rules: RetryRules;
  readonly safety: Safety;
  readonly retention: RetentionRules;
  /** RELAY_MAX_QUEUE; undefined: no limit. */
  readonly maxQueue?: number | undefined;
  /** RELAY_ON_BOUNCE; undefined: nothing is done. */
  readonly onBounce?: BounceRules | undefined;
  /** RELAY_BATCH_FAILURES, as a share; undefined: no batch is paused by the relay. */
  readonly batchFailures?: number | undefined;
  readonly returnPath: string | undefined;
  readonly leaseMs: number;
  readonly pollMs: number;
  readonly idleMs: number | undefined;
  readonly graceMs: number;
  readonly instance: string;
  readonly host: string;
  readonly pid: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
}

/** After the grace: how long the outcomes of broken dialogues may take to be written. */
const LAST_WORDS_MS = 1_500;
/** How long `run --once` copies suppressions before it claims. */
const COPY_FIRST_MS = 10_000;

/** What `run --once` has left. */
export interface Remainder extends Remaining {
  /** The keys of the pauses that keep some of it back; undefined: none does. */
  readonly pauses?: readonly string[];
}

/** A relay that serves its databases until it is stopped. */
export class Relay {
  readonly counters: Counters;
  readonly stations: readonly Station[];
  /** What is paused. */
  readonly pauses: Pauses;
  readonly #options: RelayOptions;
  readonly #copiers: readonly SuppressionCopier[];
  #runs: readonly Promise<void>[] = [];
  #draining = false;

  private constructor(
    stations: readonly Station[],
    options: RelayOptions & {
      readonly counters: Counters;
      readonly pauses: Pauses;
      readonly copiers: readonly SuppressionCopier[];
    },
  ) {
    this.pauses = options.pauses;
    this.#copiers = options.copiers;
    this.stations = stations;
    this.counters = options.counters;
    this.#options = options;
  }

  /** Registers in every database and takes back what dead predecessors held; claims nothing yet. */
  static async open(options: RelayOptions): Promise<Relay> {
    const counters = new Counters(() => options.clock.now());
    const rates = ratesOf(options);
    const solitude = new Solitude(options.clock);
    const stations: Station[] = [];
    const { databases: [home] } = options;
    const pauses = await Pauses.open({
      ...options,
      read: async () => home === undefined ? [] : await readPauses(home.sql),
      mayRead: () => stations[0]?.drain.isResting !== true,
      onChange: () => stations.forEach(({ drain }) => void drain.notePauses()),
    });
    const batches = batchesOf(options, () => pauses.ring());
    const copiers = copiersOf(options, stations);
    try {
      for (const database of options.databases) {
        const bells = database !== home ? undefined : {
          [PAUSE_CHANNEL]: () => void pauses.ring(),
          ...(copiers.length === 0 ? {} : { [SUPPRESSION_CHANNEL]: () => copiers.forEach((copier) => copier.ring()) }),
        };
        stations.push(await Station.open(database, { ...options, counters, rates, solitude, pauses, batches, bells }));
      }
    } catch (error) {
      // Whoever looks at the others must not take this one for alive, or for dead.
      await Promise.all(stations.map((station) => station.close()));
      throw error;
    }
    return new Relay(stations, { ...options, counters, pauses, copiers });
  }

  /** The limits that mail waits for now, and until when. */
  reachedLimits(): readonly ReachedLimit[] {
    const reached = new Map<string, ReachedLimit>();
    for (const { drain } of this.stations) for (const each of drain.reachedLimits) reached.set(each.limit, each);
    return [...reached.values()];
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Begins to serve; returns at once. */
  start(): void {
    this.#runs = this.stations.map((station) => {
      void station.listen();
      return station.drain.run();
    });
    for (const copier of this.#copiers) void copier.run();
  }

  /** Serves until nothing is due. */
  async runOnce(): Promise<Remainder> {
    // What is left then the next run copies.
    const late = Promise.withResolvers<void>();
    const cancel = this.#options.clock.after(COPY_FIRST_MS, late.resolve);
    const copied = Promise.all(this.#copiers.map((copier) => copier.look({ rang: true })));
    await Promise.race([copied, late.promise]).finally(cancel);
    this.#runs = this.stations.map((station) => station.drain.runOnce());
    await Promise.all(this.#runs);
    const unknown: Remaining = { waiting: Number.NaN, leased: 0 };
    const counts = await Promise.all(this.stations.map((station) => station.drain.remaining().catch(() => unknown)));
    const sum = (of: (count: Remaining) => number) => counts.reduce((all, count) => all + of(count), 0);
    const remaining = { waiting: sum(({ waiting }) => waiting), leased: sum(({ leased }) => leased) };
    // Under a pause of all nothing is claimed, and so nothing has been put aside for it by name.
    const paused = this.pauses.stopAll ? remaining.waiting : sum(({ paused = 0 }) => paused);
    if (paused === 0) return remaining;
    return { ...remaining, paused, pauses: [...this.pauses.keys] };
  }

  /** Drains and ends. A second call changes nothing. */
  async stop(): Promise<void> {
    const { clock, graceMs, log, routes } = this.#options;
    if (this.#draining) return;
    this.#draining = true;
    // Whoever asked for the end may enforce it: that is no crash.
    this.#options.journal.flights.close();
    for (const copier of this.#copiers) copier.stop();
    for (const { drain } of this.stations) drain.stop();
    const grace = Promise.withResolvers<void>();
    let cancel = clock.after(graceMs, () => {
      const messages = this.stations.reduce((sum, { drain }) => sum + drain.inFlight, 0);
      log.warn("grace is over: dialogues under way are broken off", { messages });
      // What they were sending is uncertain from its final dot on, and that is still written if the database answers.
      for (const { transport } of routes) transport.abort();
      cancel = clock.after(LAST_WORDS_MS, () => {
        for (const { drain } of this.stations) drain.giveUp();
        grace.resolve();
      });
    });
    const ended = Promise.allSettled(this.#runs).then(() =>
      Promise.all(routes.map(({ transport }) => transport.close()))
    );
    await Promise.race([ended, grace.promise]);
    cancel();
    await Promise.all(this.stations.map((station) => station.close()));
  }
}

/** One for each database but the first. */
function copiersOf(options: RelayOptions, stations: readonly Station[]): readonly SuppressionCopier[] {
  const { databases: [first, ...others], pollMs, clock, log } = options;
  if (first === undefined) return [];
  const home = new SuppressionHome(first);
  const mayServe = (station: Station | undefined) =>
    station !== undefined && station.copy === undefined && station.schemaProblem === undefined;
  return others.map(({ sql, name }, index) => {
    const isLeftAlone = ({ rang }: { readonly rang: boolean }) =>
      // Who rings is awake. The other one is asked nothing while nothing has changed.
      !mayServe(stations[0]) || !mayServe(stations[index + 1]) || !rang && stations[0]?.drain.isResting === true;
    return new SuppressionCopier({ home, sql, isLeftAlone, pollMs, clock, log: log.with({ database: name }) });
  });
}

function batchesOf(
  { batchFailures: limit, databases: [home], log }: RelayOptions,
  onPause: () => Promise<void>,
): BatchWatch | undefined {
  if (limit === undefined || home === undefined) return undefined;
  const pause: ConstructorParameters<typeof BatchWatch>[0]["pause"] = async (begun) => {
    await pauseBatch(home.sql, begun);
    // Behind a pooler no bell rings.
    await onPause();
  };
  return new BatchWatch({ limit, pause, log });
}

function ratesOf({ limits = [], databases: [home], clock, log }: RelayOptions): Rates | undefined {
  if (limits.length === 0 || home === undefined) return undefined;
  const table = new ThrottleTable(home.sql);
  const onAway = (isAway: boolean, error?: unknown) =>
    isAway
      ? log.warn("limits are kept by this relay's share: the home database does not answer", {
        database: home.name,
        error,
      })
      : log.info("limits are kept by all relays together again", { database: home.name });
  return {
    limits: new RateLimits(limits),
    throttles: new Throttles({ ask: (asked) => table.take(asked), clock, onAway }),
  };
}
