import { holdsUncertain, type RetryRules } from "../../src/policy.ts";
import type { Intake } from "../drain/intake.ts";
import { PATIENCE_MS, type Room, roomFor } from "../drain/room.ts";
import type { Journal } from "../journal/journal.ts";
import { markOf, witnessOf } from "../journal/witness.ts";
import type { Pauses } from "../limits/pauses.ts";
import { preclude } from "../queue/crash.ts";
import type { Claim, Queue, Settlement } from "../queue/queue.ts";
import { conclude, type ConclusionContext, earliestLook, type LegResult } from "../queue/settlement.ts";
import type { RouteLine } from "../routes/route_line.ts";
import { RouteLines } from "../routes/route_lines.ts";
import type { Route } from "../routes/route.ts";
import type { RoutingRule } from "../routes/routing.ts";
import type { Clock } from "../time/clock.ts";
import type { Contents } from "./contents.ts";
import type { Counters } from "./counters.ts";
import { prepare, toEnvelope } from "./delivery.ts";
import { Flights, type FlightsOptions } from "./flights.ts";
import { type Holding, Holdings, isConcluded, isPaused, type Leg, legsOf, setAside } from "./holdings.ts";
import { Releaser } from "./releaser.ts";
import { reportSettled, reportSuccess, reportTrouble, type SettledReport } from "./report.ts";
import { Settler } from "./settler.ts";
import { Skipped } from "./skipped.ts";
import type { RouteTrouble } from "./transport.ts";

// DESIGN: what happens to a message between claim and settled. Its open recipients are parted into legs, one for each
// way; each leg is in exactly one place; the last one to end settles the message, or gives it back, in one statement:
//
//   queue ──claim──▶ leg: in the line of its route ──worker──▶ started ──▶ attempted ─┐
//     ▲               │          ▲          │                     │                   ├──▶ message settled (an outcome for each attempted)
//     │               │          └─failover─┴───── route out ─────┘                   │
//     └── released ◀──┴── skipped: its routes are out or full, paused, we stop ────────┘
// A leg goes to its next route only while nothing of it can have been taken: a breaker is open, or it is `unavailable`.

/** What the workers need. Time, chance and the doors to the outside are arguments. */
export interface WorkersOptions extends Pick<FlightsOptions, "solitude" | "mayBegin">, SettledReport {
  readonly queue: Queue;
  /** The name of the database. */
  readonly database: string;
  readonly journal: Journal;
  readonly intake: Intake;
  readonly pauses: Pick<Pauses, "keys">;
  readonly contents: Contents;
  readonly routes: readonly Route[];
  readonly routing: readonly RoutingRule[];
  readonly rules: RetryRules;
  /** The envelope's reverse-path for messages that name none; undefined: their From address. */
  readonly returnPath: string | undefined;
  readonly leaseMs: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly counters: Counters;
  /** There is more room than before. */
  readonly onRoom: () => void;
  /** A statement was answered (undefined) or failed. */
  readonly onDatabase: (doing: string, error: unknown) => void;
}

/** Takes claimed messages through their routes, and writes what became of them. */
export class Workers {
  readonly skipped: Skipped = new Skipped();
  readonly #options: WorkersOptions;
  readonly #holdings: Holdings;
  readonly #settler: Settler;
  readonly #releaser: Releaser;
  readonly #flights: Flights;
  readonly #lines: RouteLines;
  readonly #gaveUp = new AbortController();
  readonly #stopped = new AbortController();
  /** Calls back what waits for a connection. */
  #recall = new AbortController();
  /** By how much the database's clock, which made every time in its rows, is ahead of ours. */
  #aheadMs = 0;
  #idle: (() => void) | undefined;

  constructor(options: WorkersOptions) {
    this.#options = options;
    this.#holdings = new Holdings((holding, lease) => options.journal.moved(markOf(holding, options.database), lease));
    const { routes, queue, clock, log, onDatabase, onRoom } = options;
    this.#flights = new Flights(options);
    this.#lines = new RouteLines(routes, {
      work: (leg, line) => this.#fly(leg, line),
      onIdle: () => this.underWay === 0 && this.#idle?.(),
      clock,
    });
    this.#settler = new Settler({
      settle: (settlements) => queue.settle(settlements.map((each) => this.#holdings.current(each))),
      written: (settlements, ours) => this.#settled(settlements, ours),
      failed: (error) => onDatabase("settle", error),
      ...{ clock, signal: this.#gaveUp.signal },
    });
    this.#releaser = new Releaser({
      release: (held) => queue.release(held),
      released: (holdings) => (this.begin(this.#holdings.remove(holdings)), onRoom()),
      ...{ onDatabase, clock, log, signal: this.#gaveUp.signal },
    });
  }

  /** Messages held at the moment. */
  get size(): number {
    return this.#holdings.size;
  }

  /** Mails that are on their way through a route at the moment. */
  get underWay(): number {
    return this.#lines.working;
  }

  /** How many messages to claim now. */
  room(): Room {
    const patienceMs = this.skipped.isKept ? Infinity : PATIENCE_MS;
    return roomFor(this.#lines.rooms(), this.#options.clock.now(), patienceMs);
  }

  /** Until when `run --once` should wait for what was given back, or for a limit; see there. */
  async worthWaitingUntilMs(probed: Set<string>): Promise<number | undefined> {
    const untilMs = this.skipped.worthWaitingUntilMs(this.#lines.all, probed);
    // What waits for a limit goes nowhere while all routes are out.
    return untilMs ?? (this.#lines.areLeftAlone ? undefined : await this.#options.intake.worthWaitingUntilMs());
  }

  /** Takes in what was claimed, as soon as that is known; `claimedMs`: by our clock. @returns what is to be begun */
  hold({ messages, nowMs }: Claim, claimedMs: number): readonly Holding[] {
    this.#aheadMs = nowMs - claimedMs;
    return this.#holdings.add(messages, claimedMs + this.#options.leaseMs);
  }

  /** Begins what is held. */
  begin(holdings: readonly Holding[]): void {
    for (const holding of holdings) if (this.#holdings.has(holding)) this.#begin(holding);
  }

  /** Gives back what was not started, also what waits for a connection, and starts nothing more. */
  giveBackUnstarted(): void {
    this.#stopped.abort();
    this.#recall.abort();
    for (const leg of this.#lines.takeWaiting()) this.#place(leg);
  }

  /** Calls back what waits for a connection, to be looked at anew: it may be paused. */
  recall(): void {
    this.#recall.abort();
    // After a stop nothing is begun.
    if (!this.#stopped.signal.aborted) this.#recall = new AbortController();
  }

  /** Stops waiting for the server and the database: what is still held is taken up when its lease ends. */
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
    const { signal } = this.#gaveUp;
    if (signal.aborted) return;
    const givenUp = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    await Promise.race([this.#ended(), givenUp]);
  }

  async #ended(): Promise<void> {
    if (this.underWay > 0) await new Promise<void>((resolve) => this.#idle = resolve);
    await this.#settler.drained();
    await this.#releaser.finished();
  }

  #begin(holding: Holding): void {
    const settlement = this.#holdings.unwritten(holding) ?? preclude(holding.message, this.#context());
    if (settlement !== undefined) return this.#settler.add(this.#holdings.ended(holding, settlement));
    holding.legs = legsOf(holding, this.#options.routing);
    // Nobody is left to be sent to: they are suppressed, or somebody else has changed the recipients.
    if (holding.legs.every(isConcluded)) return this.#conclude(holding);
    for (const leg of holding.legs) if (!isConcluded(leg)) this.#place(leg);
  }

  /** Puts a leg into the line of the first of its routes that is not out. */
  #place(leg: Leg): void {
    leg.line?.leave(leg);
    const nowMs = this.#options.clock.now();
    if (this.#stopped.signal.aborted) return this.#end(leg, { kind: "skipped", againMs: Math.min(leg.againMs, nowMs) });
    const paused = setAside(leg, { pauses: this.#options.pauses.keys, nowMs });
    if (paused !== undefined) return this.#end(leg, paused);
    const line = this.#lines.choose(leg);
    if ("kind" in line) return this.#end(leg, line);
    const refusal = this.#options.intake.mustWait(leg, line.route.name);
    if (refusal !== undefined) return this.#end(leg, refusal);
    if (line.hasRoom || this.skipped.isKept) line.push(leg);
    else this.#end(leg, { kind: "skipped", againMs: line.fullAgainMs() });
  }

  /** With the mail on record as in flight, and alone where it has to be. */
  async #fly(leg: Leg, line: RouteLine): Promise<void> {
    const againMs = await this.#flights.take(leg.holding, () => this.#deliver(leg, line), this.#stopped.signal);
    if (againMs !== undefined && this.#holdings.has(leg.holding)) this.#end(leg, { kind: "skipped", againMs });
  }

  async #deliver(leg: Leg, line: RouteLine): Promise<void> {
    const { contents, clock, intake, log, pauses, queue, returnPath, rules } = this.#options;
    const { holding, holding: { message }, recipients } = leg;
    const { breaker, name, transport } = line.route;
    if (!this.#holdings.has(holding)) return;
    // A relay that was frozen finds its leases at their end: what it starts now, another may be sending.
    const witness = witnessOf(holding, name, this.#options);
    if (!witness.mayBegin()) return this.#end(leg, { kind: "skipped", againMs: clock.now() });
    if (line.isOut || isPaused(leg, pauses.keys)) return this.#place(leg);
    holding.started = true;
    try {
      const prepared = await prepare(message, contents);
      if (prepared.kind === "failed") return this.#end(leg, prepared);
      const refusal = intake.isLimited ? await intake.take(leg, name) : undefined;
      if (refusal !== undefined) return this.#end(leg, refusal);
      // It says in the database that it may be sent, so that a relay that takes over knows.
      const mayGo = !holdsUncertain(message, rules) || await queue.intend({ seq: message.seq, lease: holding.lease });
      if (!mayGo) return this.#end(leg, { kind: "skipped", againMs: clock.now() });
      // Another mail may have become the probe meanwhile, a pause begun, or the lease ended. Nothing may be waited for
      // between here and `started`.
      if (line.isOut || isPaused(leg, pauses.keys) || !witness.mayBegin()) return this.#place(leg);
      breaker.started(message.id, clock.now());
      const envelope = toEnvelope(message, recipients, returnPath);
      const delivery = await transport.send(envelope, prepared.wire, this.#recall.signal, witness);
      if (delivery.kind === "unavailable") return this.#unavailable(leg, { line, trouble: delivery.trouble });
      reportSuccess(log, name, breaker.succeeded(clock.now()));
      this.#end(leg, { kind: "attempted", route: name, outcomes: delivery.outcomes });
    } catch (error) {
      // A fault of our own, or of the database before the mail was started: it goes back, and a later look tries again.
      breaker.released(message.id);
      log.error("delivery failed", { id: message.id, error });
      this.#end(leg, { kind: "skipped", againMs: clock.now() + 1_000 });
    }
  }

  /** The server took nothing: the next of its routes, if it has another, or a later time. */
  #unavailable(leg: Leg, { line, trouble }: { readonly line: RouteLine; readonly trouble: RouteTrouble }): void {
    const { clock, log, counters } = this.#options;
    const { route } = line;
    const { retryAtMs, ...setback } = route.breaker.failed(leg.holding.message.id, trouble, clock.now());
    // We ourselves called it back.
    if (trouble.code === "aborted") return this.#place(leg);
    reportTrouble(log, route, { trouble, ...setback });
    counters.routeTrouble(route.name, trouble.reason);
    leg.againMs = Math.min(leg.againMs, line.failedAgainMs(retryAtMs));
    leg.routes = leg.routes.slice(1);
    this.#place(leg);
  }

  /** Notes what became of a leg; with the last one, the message is settled or given back. */
  #end(leg: Leg, result: LegResult): void {
    leg.result = result;
    if (leg.holding.legs.every(isConcluded)) this.#conclude(leg.holding);
  }

  #conclude(holding: Holding): void {
    const legs = holding.legs.filter(isConcluded);
    this.skipped.note(holding.message.seq, earliestLook(legs));
    const conclusion = conclude(holding.message, legs, this.#context());
    if (conclusion.kind === "settle") this.#settler.add(this.#holdings.ended(holding, conclusion.settlement));
    else this.#releaser.add(holding, conclusion.againMs, conclusion.throttle);
  }

  #context(): ConclusionContext {
    const { rules, clock, random } = this.#options;
    return { rules, random, nowMs: clock.now(), aheadMs: this.#aheadMs };
  }

  #settled(settlements: readonly Settlement[], ours: ReadonlySet<string>): void {
    const { counters, database, journal, log, onDatabase, onRoom } = this.#options;
    onDatabase("settle", undefined);
    const holdings: Holding[] = [];
    for (const settlement of settlements) {
      const isOurs = ours.has(settlement.seq);
      counters.settled(settlement, { isOurs });
      const holding = this.#holdings.get(settlement.seq);
      if (holding === undefined) continue;
      if (isOurs) reportSettled(this.#options, holding.message, settlement);
      else if (holding.again === undefined) this.#holdings.keep(settlement);
      holdings.push(holding);
      journal.settled(markOf(holding, database));
      for (const { line } of holding.legs) line?.settled(1);
    }
    const stale = settlements.length - ours.size;
    if (stale > 0) log.warn("settled too late: another relay has taken these messages over", { messages: stale });
    this.begin(this.#holdings.remove(holdings));
    onRoom();
  }
}
