import type { Leg } from "../delivery/holdings.ts";
import { LaneOrder } from "../drain/lane_order.ts";
import { Pace } from "../drain/pace.ts";
import type { RouteRoom } from "../drain/room.ts";
import type { Clock } from "../time/clock.ts";
import type { Route } from "./route.ts";

// DESIGN: every route of a station has a line of its own, with its own workers and its own share of what the relay
// holds, so that a route that is out or slow takes no room from the others. A leg counts in its line from the moment
// that it is put there until its message is settled or given back, or until it moves to the line of another route.
// Within a line, high mail goes before what was claimed earlier: it waits only for what the workers have begun.

/** The most mails held for each connection, at whatever pace: a stop gives back no more. */
const MOST_PER_CONNECTION = 150;

/**
 * The most recipients held for each connection, about: with those of its mail, a recipient takes more than a kilobyte
 * until it is settled.
 */
const RECIPIENTS_PER_CONNECTION = 2_500;

/** How much each mail moves what the next ones are expected to have in recipients. */
const NEWS = 1 / 16;

/** Dialogues begun for each connection: one on the wire, one right behind it, and one that is being composed. */
const WORKERS_PER_CONNECTION = 3;

/** How far apart the groups are in which mail comes back that this route could not take. */
const STEP_MS = 250;

/**
 * How many come back in a second, at least: few enough that claiming them and giving them back once more holds up
 * nobody else.
 */
const BACK_PER_SECOND = 2_000;

/** What a line needs; `work` takes one leg through the route. */
export interface RouteLineOptions {
  readonly route: Route;
  /** There is no other route: nothing is claimed that it could not take. */
  readonly isOnly: boolean;
  readonly clock: Clock;
  readonly work: (leg: Leg, line: RouteLine) => Promise<void>;
  /** A worker has ended. */
  readonly onIdle: () => void;
}

/** The legs that wait for one route, and the workers that take them through it. */
export class RouteLine {
  readonly route: Route;
  readonly #options: RouteLineOptions;
  readonly #waiting = new LaneOrder<Leg>();
  readonly #pace: Pace;
  readonly #most: number;
  #held = 0;
  /** How many recipients a mail has, by the last ones. */
  #recipients = 1;
  #working = 0;
  /** When the group is due that mail is being sent away to, and how many are in it. */
  #groupMs = 0;
  #inGroup = 0;
  #fullSinceMs: number | undefined;

  constructor(options: RouteLineOptions) {
    const { connections } = options.route;
    this.route = options.route;
    this.#options = options;
    this.#most = connections * WORKERS_PER_CONNECTION;
    this.#pace = new Pace({ least: this.#most, most: connections * MOST_PER_CONNECTION }, options.clock.now());
  }

  /** Workers that are under way. */
  get working(): number {
    return this.#working;
  }

  /**
   * For the rest of `run --once`: the route has been probed, and was still out. Mail for it waits for nothing, and no
   * limit is waited for on its account.
   */
  isGivenUp = false;

  /** No mail may be begun on this route now. */
  get isOut(): boolean {
    return this.isLeftAlone || this.route.breaker.allowance(this.#options.clock.now()).limit === 0;
  }

  /** It was given up, and has not been found to work since, by another database. */
  get isLeftAlone(): boolean {
    return this.isGivenUp && this.state !== "closed";
  }

  /** The state of the route's circuit breaker. */
  get state(): "closed" | "open" | "half-open" {
    return this.route.breaker.stateAt(this.#options.clock.now());
  }

  /** Whether one more leg may be put here. */
  get hasRoom(): boolean {
    return this.#options.isOnly || this.#held < this.#limit(this.#options.clock.now());
  }

  /** How many more messages may be claimed for this route. */
  room(): RouteRoom {
    const nowMs = this.#options.clock.now();
    const limit = this.#limit(nowMs);
    const free = limit - this.#held;
    const isFull = free < limit / 4;
    if (isFull) this.#pace.full();
    this.#fullSinceMs = isFull ? this.#fullSinceMs ?? nowMs : undefined;
    const allowance = this.isLeftAlone ? { limit: 0, retryAtMs: undefined } : this.route.breaker.allowance(nowMs);
    return {
      limit: allowance.limit,
      retryAtMs: allowance.retryAtMs,
      free: isFull ? 0 : free,
      fullSinceMs: this.#fullSinceMs,
    };
  }

  /** Takes a leg in. */
  push(leg: Leg): void {
    leg.line = this;
    this.#held++;
    this.#recipients += (leg.recipients.length - this.#recipients) * NEWS;
    this.#waiting.push(leg, leg.holding.message.lane);
    if (this.#working >= this.#most) return;
    this.#working++;
    void this.#run();
  }

  /** A leg has left: its message is settled or given back, or it goes another way. */
  leave(leg: Leg): void {
    leg.line = undefined;
    this.#held--;
  }

  /** The most mails to hold: as many as go out in a moment, and no more than there is memory for. */
  #limit(nowMs: number): number {
    const ofRecipients = (this.route.connections * RECIPIENTS_PER_CONNECTION) / this.#recipients;
    return Math.min(this.#pace.limit(nowMs), Math.max(this.#most, Math.floor(ofRecipients)));
  }

  /** Hands out all that no worker has begun. */
  takeWaiting(): readonly Leg[] {
    return this.#waiting.takeAll();
  }

  /** Counts mails of this route that were settled. */
  settled(count: number): void {
    this.#pace.settled(count);
  }

  /**
   * When a leg that found the route out comes back: at its next probe, or as soon as its turn comes after it. While the
   * probe is under way, nobody knows; then after about the wait that follows.
   */
  outAgainMs(): number {
    const { clock, isOnly } = this.#options;
    const { breaker } = this.route;
    const nowMs = clock.now();
    const { retryAtMs } = breaker.allowance(nowMs);
    // Nothing else is claimed before.
    if (isOnly) return retryAtMs ?? nowMs;
    const againMs = retryAtMs ?? nowMs + breaker.delayedMs;
    return Math.max(againMs, this.#turnFrom(againMs - this.#stepMs));
  }

  /** The same for the mail that failed: behind the others, or it would be the next probe for ever. */
  failedAgainMs(retryAtMs: number): number {
    if (this.#options.isOnly || !this.isOut) return retryAtMs;
    return Math.max(retryAtMs, this.#groupMs) + this.#stepMs;
  }

  /** When a leg that found no room comes back. */
  fullAgainMs(): number {
    return this.#turnFrom(this.#options.clock.now() + STEP_MS);
  }

  /** When the next probe has mail: what failed comes back last. */
  probedAgainMs(): number {
    const nowMs = this.#options.clock.now();
    const probeMs = this.route.breaker.allowance(nowMs).retryAtMs ?? nowMs;
    return this.#options.isOnly ? probeMs : probeMs + this.#stepMs;
  }

  /**
   * Gives out times after `fromMs`, one group after the other: all at once, the mail of this route would stand before
   * that of the others, again and again. A route that is faster gets larger groups.
   */
  #turnFrom(fromMs: number): number {
    const { clock } = this.#options;
    const most = Math.max(1, this.#pace.limit(clock.now()), BACK_PER_SECOND * this.#stepMs / 1_000);
    // A group that is filled while time goes on is one group all the same.
    if (this.#groupMs < fromMs) {
      this.#groupMs = fromMs + this.#stepMs;
      this.#inGroup = 0;
    } else if (this.#inGroup >= most) {
      this.#groupMs += this.#stepMs;
      this.#inGroup = 0;
    }
    this.#inGroup++;
    return this.#groupMs;
  }

  /** With a breaker that waits shorter, groups that are closer together. */
  get #stepMs(): number {
    return this.isOut ? Math.min(STEP_MS, this.route.breaker.delayedMs / 4) : STEP_MS;
  }

  async #run(): Promise<void> {
    for (let leg = this.#waiting.shift(); leg !== undefined; leg = this.#waiting.shift()) {
      await this.#options.work(leg, this);
    }
    this.#working--;
    if (this.#working < this.route.connections) this.#pace.dry();
    this.#options.onIdle();
  }
}
