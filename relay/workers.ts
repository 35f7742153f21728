import type { Clock } from "./clock.ts";
import type { Contents } from "./contents.ts";
import type { Counters } from "./counters.ts";
import { deliver } from "./delivery.ts";
import { type Holding, Holdings } from "./holdings.ts";
import type { Log } from "./log.ts";
import { Pace } from "./pace.ts";
import type { RetryRules } from "./policy.ts";
import type { ClaimedMessage, Queue, Settlement } from "./queue.ts";
import type { Route } from "./route.ts";
import { Settler } from "./settler.ts";

// DESIGN: what happens to a message between claim and settled. It is in exactly one place:
//
//   queue ──claim──▶ waiting ──worker──▶ started ──▶ settled   (an outcome for each recipient)
//     ▲                 │                   └───────▶ released  (route out: no attempt)
//     └──── released ───┘  (stop, breaker open, lease too short)

/** What the workers need. Time, chance and the doors to the outside are arguments. */
export interface WorkersOptions {
  readonly queue: Queue;
  readonly contents: Contents;
  readonly route: Route;
  readonly rules: RetryRules;
  /** The envelope's reverse-path for messages that name none; undefined: their From address. */
  readonly returnPath: string | undefined;
  readonly leaseMs: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly counters: Counters;
  /** There is more room than before. */
  readonly onRoom: () => void;
  /** A statement was answered (undefined) or failed. */
  readonly onDatabase: (doing: string, error: unknown) => void;
}

/** The most mails held for each connection, at whatever pace: a stop gives back no more. */
const MOST_PER_CONNECTION = 100;

/** Dialogues begun for each connection: while one is on the wire, the next is composed. */
const WORKERS_PER_CONNECTION = 2;

const RELEASE_RETRY_MS = 1_000;

/** Takes claimed messages through the route, a few at a time, and writes what became of them. */
export class Workers {
  readonly #options: WorkersOptions;
  readonly #holdings: Holdings;
  readonly #settler: Settler;
  readonly #gaveUp = new AbortController();
  readonly #releasing = new Set<Promise<void>>();
  readonly #routeOut = new Set<string>();
  readonly #pace: Pace;
  readonly #most: number;
  /** By how much the database's clock, which made every time in its rows, is ahead of ours. */
  #aheadMs = 0;
  #working = 0;
  #finishing = false;
  #idle: (() => void) | undefined;

  constructor(options: WorkersOptions) {
    this.#options = options;
    const { connections } = options.route;
    this.#most = connections * WORKERS_PER_CONNECTION;
    this.#pace = new Pace({ least: this.#most, most: connections * MOST_PER_CONNECTION }, options.clock.now());
    this.#holdings = new Holdings(options.onRoom);
    this.#settler = new Settler({
      settle: (settlements) =>
        options.queue.settle(settlements.map((each) => this.#holdings.current(each)), options.route.name),
      written: (settlements, ours) => this.#settled(settlements, ours),
      failed: (error) => options.onDatabase("settle", error),
      clock: options.clock,
    });
  }

  /** Messages held at the moment. */
  get size(): number {
    return this.#holdings.size;
  }

  /** How many more may be claimed; 0 while so few could be that waiting for more room is cheaper. */
  get room(): number {
    const limit = this.#pace.limit(this.#options.clock.now());
    const free = limit - this.#holdings.size;
    return free < limit / 4 ? 0 : free;
  }

  /** Messages that were given back because the route was out, and have not been settled since. */
  get routeOut(): ReadonlySet<string> {
    return this.#routeOut;
  }

  /** Takes in what was just claimed: `claimedMs` by our clock, which was `databaseMs` by the database's. */
  take(
    messages: readonly ClaimedMessage[],
    { claimedMs, databaseMs }: { readonly claimedMs: number; readonly databaseMs: number },
  ): void {
    this.#aheadMs = databaseMs - claimedMs;
    this.#holdings.add(messages, claimedMs + this.#options.leaseMs);
    while (this.#working < this.#most && this.#holdings.waiting > 0) {
      this.#working++;
      void this.#work();
    }
  }

  /** Gives back what was not started. */
  giveBackUnstarted(): void {
    this.#giveBack(this.#holdings.takeUnstarted(), 0);
  }

  /** Stops waiting for the server and the database: what is still held keeps its lease and is taken up when that ends. */
  giveUp(): void {
    this.#gaveUp.abort();
  }

  /** Prolongs all leases; to be called several times within one. */
  async renew(): Promise<void> {
    const { queue, clock, leaseMs, log, onDatabase } = this.#options;
    const leases = this.#holdings.leases();
    if (leases.length === 0) return;
    const sentMs = clock.now();
    try {
      const lost = this.#holdings.renewed(leases, await queue.renew(leases), sentMs + leaseMs);
      if (lost.length > 0) log.warn("leases lost to another relay", { messages: lost.length });
      onDatabase("renew", undefined);
    } catch (error) {
      onDatabase("renew", error);
    }
  }

  /** Resolves when all dialogues have ended and all outcomes are written, or after `giveUp`. */
  async finished(): Promise<void> {
    this.#finishing = true;
    const { signal } = this.#gaveUp;
    if (signal.aborted) return;
    const givenUp = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    await Promise.race([this.#ended(), givenUp]);
  }

  async #ended(): Promise<void> {
    if (this.#working > 0) await new Promise<void>((resolve) => this.#idle = resolve);
    await this.#settler.drained();
    await Promise.all(this.#releasing);
  }

  async #work(): Promise<void> {
    for (let holding = this.#holdings.next(); holding !== undefined; holding = this.#holdings.next()) {
      const { route, clock } = this.#options;
      const { limit, retryAtMs } = route.breaker.allowance(clock.now());
      // A relay that was frozen finds its leases at their end: what it starts now, another may be sending.
      if (limit === 0 || holding.leaseEndsMs <= clock.now()) {
        this.#giveBack([holding], Math.max(0, (retryAtMs ?? 0) - clock.now()));
      } else {
        await this.#deliver(holding);
      }
    }
    this.#working--;
    if (this.#working === 0) this.#idle?.();
  }

  async #deliver(holding: Holding): Promise<void> {
    const { message } = holding;
    const { route, clock, log, counters } = this.#options;
    route.breaker.started(message.id, clock.now());
    try {
      const delivered = await deliver(message, {
        ...this.#options,
        transport: route.transport,
        now: () => clock.now() + this.#aheadMs,
        signal: this.#gaveUp.signal,
      });
      if (delivered.kind === "settle") {
        if (delivered.settlement.outcomes.length > 0) route.breaker.succeeded();
        else route.breaker.released(message.id);
        this.#settler.add(delivered.settlement);
        return;
      }
      const { code, phase, reason, fix } = delivered.trouble;
      const { retryAtMs } = route.breaker.failed(message.id, delivered.trouble, clock.now());
      log.warn("route unavailable", { route: route.name, code, phase, reason, fix });
      counters.routeTrouble(reason);
      this.#routeOut.add(message.seq);
      this.#giveBack([holding], Math.max(0, retryAtMs - clock.now()));
    } catch (error) {
      // A fault of our own, or of the database before the mail was started: it goes back, and a later look tries again.
      route.breaker.released(message.id);
      log.error("delivery failed", { id: message.id, error });
      this.#giveBack([holding], 1_000);
    }
  }

  #giveBack(holdings: readonly Holding[], delayMs: number): void {
    if (holdings.length === 0) return;
    const given = this.#release(holdings, this.#options.clock.now() + delayMs)
      .then(() => this.#holdings.remove(holdings.map(({ message }) => message.seq)));
    this.#releasing.add(given);
    void given.finally(() => this.#releasing.delete(given));
  }

  /** Tries again while the database is away: a lease that only ran out would cost its message an attempt that it has not had. */
  async #release(holdings: readonly Holding[], dueMs: number): Promise<void> {
    const { queue, clock, log, onDatabase } = this.#options;
    for (;;) {
      try {
        const held = holdings.map(({ message: { seq, attempt } }) =>
          this.#holdings.current({ seq, attempt, lease: "" })
        );
        await queue.release(held, Math.max(0, dueMs - clock.now()));
        return onDatabase("release", undefined);
      } catch (error) {
        onDatabase("release", error);
        log.debug("cannot give back yet", { messages: holdings.length, error });
        const over = this.#finishing && holdings.every(({ leaseEndsMs }) => leaseEndsMs <= clock.now());
        if (over || this.#gaveUp.signal.aborted) {
          return log.warn("not given back: these leases run out by themselves", { messages: holdings.length, error });
        }
        await this.#pause(RELEASE_RETRY_MS);
      }
    }
  }

  /** Resolves after `delayMs`, or at once when it is given up. */
  async #pause(delayMs: number): Promise<void> {
    const { signal } = this.#gaveUp;
    await new Promise<void>((resolve) => {
      const cancel = this.#options.clock.after(delayMs, resolve);
      signal.addEventListener("abort", () => (cancel(), resolve()), { once: true });
    });
  }

  #settled(settlements: readonly Settlement[], ours: ReadonlySet<string>): void {
    const { counters, log, onDatabase } = this.#options;
    onDatabase("settle", undefined);
    for (const settlement of settlements) {
      this.#routeOut.delete(settlement.seq);
      if (ours.has(settlement.seq)) counters.settled(settlement);
      else counters.stale();
    }
    this.#pace.settled(settlements.length);
    const stale = settlements.length - ours.size;
    if (stale > 0) log.warn("settled too late: another relay has taken these messages over", { messages: stale });
    this.#holdings.remove(settlements.map(({ seq }) => seq));
  }
}
