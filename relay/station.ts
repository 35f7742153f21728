import { ClockWatch } from "./database/clock_watch.ts";
import type { RelayDatabase } from "./database/database.ts";
import { forgetBounces, forgetRelays, purge, purgeBatches, type RetentionRules } from "./database/retention.ts";
import { SchemaGuard } from "./database/schema_guard.ts";
import { Contents } from "./delivery/contents.ts";
import { Drain, type DrainOptions } from "./drain/drain.ts";
import { Listener } from "./drain/listener.ts";
import { replay } from "./journal/replay.ts";
import { Depth, DEPTH_MS } from "./limits/depth.ts";
import { ThrottleTable } from "./limits/throttle_table.ts";
import { PlaceGuard } from "./place/place_guard.ts";
import { RENEWALS_PER_LEASE } from "./queue/lease.ts";
import { Queue } from "./queue/queue.ts";
import { beat, markServing, markStopped, registerRelay, setAsleep } from "./queue/relay_row.ts";
import { type StateCounted, StateCounts } from "./queue/state_counts.ts";
import type { BounceRules } from "./suppression/bounces.ts";
import { forgetRemovals } from "./suppression/home.ts";
import { periodic } from "./time/periodic.ts";

/** The bell of the database: what `mailchute.enqueue_v1` notifies. */
const CHANNEL = "mailchute";
const HEARTBEAT_MS = 15_000;
/** How soon a relay notices that a migration has made it too old. */
const SCHEMA_MS = 10_000;
/** How long the last words to a database may take. */
const CLOSE_MS = 1_000;
const PURGE_MS = 10 * 60_000;
/** How soon a relay finds mail that a lost one has left to wait for a limit. */
const DISCOVER_MS = 30_000;

/** What the stations of a relay share. */
export interface StationOptions
  extends Omit<DrainOptions, "queue" | "database" | "contents" | "sleep" | "mayClaim" | "mayBegin" | "rest"> {
  readonly instance: string;
  readonly host: string;
  readonly pid: number;
  readonly retention: RetentionRules;
  /** RELAY_ON_BOUNCE; undefined: nothing is done. */
  readonly onBounce?: BounceRules | undefined;
  /** Further bells than that for new mail: their channels, and what is to be done. */
  readonly bells?: Readonly<Record<string, () => void>> | undefined;
  /** RELAY_MAX_QUEUE; undefined: no limit, and nothing is counted. */
  readonly maxQueue?: number | undefined;
}

/** One served database: its drain, its bell, its heartbeat and its upkeep. */
export class Station {
  readonly database: RelayDatabase;
  readonly drain: Drain;
  /** How long the queue is; undefined while nobody limits it. */
  readonly depth: Depth | undefined;
  readonly #options: StationOptions;
  readonly #queue: Queue;
  readonly #relayId: string;
  readonly #stopPeriodic: (() => void)[] = [];
  readonly #listener: Listener;
  readonly #place: PlaceGuard;
  readonly #schema: SchemaGuard;
  readonly #clocks: ClockWatch;
  readonly #states: StateCounts;
  #purgedMs: number;
  #replay: "due" | "begun" | "done" = "due";

  private constructor(database: RelayDatabase, options: StationOptions & { readonly relayId: string }) {
    const { relayId, clock } = options;
    this.database = database;
    this.#options = options;
    this.#relayId = relayId;
    this.#purgedMs = clock.now();
    this.#queue = new Queue(database.sql, {
      ...{ relayId, leaseMs: options.leaseMs, clock },
      // What is said of the testers' addresses says nothing about those in whose place they are.
      onBounce: options.safety.redirectTo.length > 0 ? undefined : options.onBounce,
    });
    const log = options.log.with({ database: database.name });
    this.#clocks = new ClockWatch({ clock, log });
    this.#states = new StateCounts({ sql: database.sql, clock });
    this.#place = new PlaceGuard({
      ...{ sql: database.sql, address: database.address, name: database.name, clock, log },
      onAdopted: () => this.#beginToServe(),
    });
    this.#schema = new SchemaGuard({
      ...{ sql: database.sql, display: database.display, log },
      onChange: () => this.drain.ring(),
    });
    this.drain = new Drain({
      ...options,
      log,
      mayClaim: async () => this.schemaProblem === undefined && await this.#place.mayDrain(),
      mayBegin: () => this.schemaProblem === undefined,
      queue: this.#queue,
      database: database.name,
      contents: new Contents(database.sql),
      sleep: (asleep) => setAsleep(database.sql, relayId, asleep),
      rest: (restMs) => this.#rest(restMs),
    });
    this.#listener = new Listener({
      connect: database.openSession,
      notify: (channel) => database.sql.unsafe("select pg_notify($1, '')", [channel]),
      bells: { [CHANNEL]: () => this.drain.ring(), ...options.bells },
      clock,
      log,
    });
    const onError = (error: unknown) => options.log.warn("upkeep failed", { database: database.name, error });
    const { sql } = database;
    const every = (everyMs: number, task: () => Promise<void>) =>
      this.#stopPeriodic.push(periodic(task, { everyMs, clock, onError }));
    every(HEARTBEAT_MS, () => this.copy === undefined && !this.drain.isResting ? this.#beat() : Promise.resolve());
    every(options.leaseMs / RENEWALS_PER_LEASE, () => this.drain.renew());
    every(SCHEMA_MS, () => this.drain.isResting ? Promise.resolve() : this.#schema.look());
    const serves = () => !this.drain.isResting && this.schemaProblem === undefined;
    every(PURGE_MS, () => serves() ? this.#purge() : Promise.resolve());
    every(DISCOVER_MS, () => serves() ? this.drain.discover() : Promise.resolve());
    const { maxQueue: limit } = options;
    this.depth = limit === undefined ? undefined : new Depth({ ...options, sql, relayId, limit, log });
    // That a database does not answer, the drain says.
    if (this.depth !== undefined) every(DEPTH_MS, () => this.#count());
  }

  /** Registers the relay and brings to an end what its dead predecessors held. */
  static async open(database: RelayDatabase, options: StationOptions): Promise<Station> {
    const relayId = await registerRelay(database.sql, options);
    const station = new Station(database, { ...options, relayId });
    try {
      if (await station.#place.mayDrain()) {
        await station.#takeOver();
        await station.#beat();
      } else {
        // It serves nothing, and so must not look alive.
        await markStopped(database.sql, relayId);
      }
    } catch (error) {
      await station.close();
      throw error;
    }
    await station.#count();
    return station;
  }

  /** One sentence when the database is a copy, from which nothing is sent. */
  get copy(): string | undefined {
    return this.#place.copy;
  }

  /** One sentence while nothing is claimed, because the schema does not fit this program. */
  get schemaProblem(): string | undefined {
    return this.#schema.problem;
  }

  /** Listens for the bell until `close`; where that cannot be (a transaction pooler), the poll has to do. */
  async listen(): Promise<void> {
    await this.#listener.run();
  }

  /** Notifications arrive. */
  get listening(): boolean {
    return this.#listener.listening;
  }

  /** The age of the oldest row that is due; undefined when nothing is. */
  async oldestDueMs(): Promise<number | undefined> {
    // To ask would wake it, and the last look has told.
    if (this.drain.isResting) return undefined;
    const waitMs = await this.#queue.nextDueMs();
    return waitMs === undefined || waitMs > 0 ? undefined : -waitMs;
  }

  /**
   * Open messages by state, of a minute ago at most, or longer where they are very many; undefined where nobody may ask
   * for it now.
   */
  async openByState(): Promise<StateCounted | undefined> {
    // To ask would wake it; and of a schema that does not fit nothing is known.
    if (this.drain.isResting || this.schemaProblem !== undefined) return undefined;
    return await this.#states.read();
  }

  /** Ends the upkeep and the connections; the drain has ended before. */
  async close(): Promise<void> {
    for (const stop of this.#stopPeriodic) stop();
    this.#listener.stop();
    // A database that is silent must not keep the relay: what is not said now, the next start says.
    const limit = new Promise<void>((resolve) => this.#options.clock.after(CLOSE_MS, resolve));
    await Promise.race([this.#sayGoodbye(), limit]);
    await this.database.sql.end({ timeout: 1 });
  }

  /** Leaves the database alone, or looks after it again; what it should have done meanwhile is done then. */
  async #rest(restMs: number | undefined): Promise<void> {
    if (restMs !== undefined) {
      await setAsleep(this.database.sql, this.#relayId, true, restMs);
      // Only now: a rest that could not be said does not begin, and so nothing would end it.
      return this.#listener.rest();
    }
    this.#listener.wake();
    await this.#schema.look().catch((error) => this.#options.log.warn("upkeep failed", { error }));
    if (this.#options.clock.now() - this.#purgedMs < PURGE_MS) return;
    await this.#purge().catch((error) => this.#options.log.warn("upkeep failed", { error }));
  }

  /** A copy was adopted under way. */
  async #beginToServe(): Promise<void> {
    await markServing(this.database.sql, this.#relayId);
    await this.#takeOver();
  }

  /** Says that it is alive, and looks at the clock that tells when that was. */
  async #beat(): Promise<void> {
    await this.#clocks.look(() => beat(this.database.sql, { ...this.#options, relayId: this.#relayId }));
  }

  /** In a copy not yet: what the journal knows is kept until it is adopted. */
  async #takeOver(): Promise<void> {
    const isAgain = this.#replay === "begun";
    if (this.#replay === "due") this.#replay = "begun";
    await replay({ ...this.#options, queue: this.#queue, database: this.database.name, isAgain });
    this.#replay = "done";
  }

  async #sayGoodbye(): Promise<void> {
    if (this.depth?.isFull) await this.#count({ isLast: true });
    await markStopped(this.database.sql, this.#relayId)
      .catch((error) => this.#options.log.warn("stop not recorded", { error }));
  }

  async #count(options: { readonly isLast?: boolean } = {}): Promise<void> {
    // What nobody serves, nobody closes; and who lets a database sleep does not wake it to count.
    if (this.copy !== undefined || this.drain.isResting) return;
    await this.depth?.look(options).catch((error) => this.#options.log.debug("cannot count the queue", { error }));
  }

  async #purge(): Promise<void> {
    this.#purgedMs = this.#options.clock.now();
    await new ThrottleTable(this.database.sql).forget();
    await forgetRelays(this.database.sql, this.#relayId);
    const purged = await purge(this.database.sql, this.#options.retention);
    await forgetBounces(this.database.sql);
    await forgetRemovals(this.database.sql);
    await purgeBatches(this.database.sql, this.#options.retention);
    if (purged.messages + purged.contents > 0) {
      this.#options.log.info("purged", { database: this.database.name, ...purged });
    }
  }
}
