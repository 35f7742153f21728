import type { Delivery, RouteTrouble } from "../transport.ts";
import type { Target } from "./connection.ts";
import { troubleOf } from "./ending.ts";
import { Line } from "./line.ts";
import { Link, type LinkEvents, type Rim } from "./link.ts";
import type { SessionSettings } from "./session.ts";
import type { Mail } from "./command.ts";

/**
 * DESIGN: up to N connections to one server, and one line of mails that wait for them, first come first served.
 *
 * A link is opening, idle, busy or quitting, and counts against N until it is closed. Links open only while more mails
 * wait than links are on their way. A mail that finds its reused connection dead goes once to a fresh one, before those
 * in the line: a server may close an idle connection at any time, and that is no trouble of the route.
 * Guarantee: every mail that was taken gets exactly one Delivery.
 */

export interface PoolSettings {
  readonly target: Target;
  readonly session: SessionSettings;
  readonly rim: Rim;
  readonly connections: number;
  /** Mails after which a connection is replaced. */
  readonly maxMailsPerConnection: number;
  readonly maxConnectionAgeMs: number;
}

interface Job {
  readonly mail: Mail;
  readonly signal: AbortSignal;
  readonly settle: (delivery: Delivery) => void;
}

/** Troubles by which a dead connection shows; a fresh one may have none of them. */
const SIGNS_OF_A_DEAD_CONNECTION: ReadonlySet<string> = new Set(["closed", "shutting_down", "protocol", "timeout"]);

// A server that takes fewer connections than N says so with each one more: asked again after a while, ever more rarely.
const MIN_REOPEN_MS = 1_000;
const MAX_REOPEN_MS = 60_000;

export class Pool implements LinkEvents {
  readonly #settings: PoolSettings;
  readonly #links = new Set<Link>();
  readonly #idle: Link[] = [];
  readonly #jobs = new Map<Link, Job>();
  readonly #fresh = new WeakSet<Link>();
  readonly #waiting = new Line<Job>();
  /** Mails that found their connection dead: only for fresh connections. */
  readonly #again = new Line<Job>();
  readonly #watched = new WeakSet<AbortSignal>();
  readonly #ended = new AbortController();
  #openingCount = 0;
  #reopenMs = MIN_REOPEN_MS;
  #reopenTimer: unknown;
  #isClosing = false;
  #closed: PromiseWithResolvers<void> | undefined;

  constructor(settings: PoolSettings) {
    this.#settings = settings;
  }

  /** Connections that are open or being opened. */
  get size(): number {
    return this.#links.size;
  }

  /** Delivers a mail, at once or when its turn comes. */
  deliver(mail: Mail, signal: AbortSignal): Promise<Delivery> {
    if (this.#isClosing) return Promise.resolve(aborted("The transport is closed"));
    if (signal.aborted) return Promise.resolve(aborted("The mail was given up before it was begun"));
    return new Promise((settle) => {
      const job: Job = { mail, signal, settle };
      const link = this.#takeIdle();
      if (link !== undefined) return this.#begin(link, job);
      this.#waiting.push(job);
      this.#watch(signal);
      this.#grow();
    });
  }

  /** Gives up what waits, lets busy connections finish, and ends the others with QUIT. */
  close(): Promise<void> {
    if (this.#closed !== undefined) return this.#closed.promise;
    this.#isClosing = true;
    this.#closed = Promise.withResolvers<void>();
    if (this.#reopenTimer !== undefined) this.#settings.rim.timers.stop(this.#reopenTimer);
    this.#ended.abort();
    this.#giveUp(aborted("The transport is closed"));
    for (const link of [...this.#links]) if (!link.isBusy) link.quit();
    this.#closeWhenEmpty();
    return this.#closed.promise;
  }

  /** Breaks busy connections off too: what they were sending is uncertain once its final dot is out. */
  abort(): void {
    void this.close();
    for (const link of [...this.#links]) link.quit();
  }

  ready(link: Link): void {
    this.#openingCount--;
    this.#reopenMs = MIN_REOPEN_MS;
    this.#fresh.add(link);
    const job = this.#again.shift() ?? this.#waiting.shift();
    if (job !== undefined) return this.#begin(link, job);
    this.#fresh.delete(link);
    this.#rest(link);
  }

  delivered(link: Link, delivery: Delivery): void {
    const job = this.#jobs.get(link);
    this.#jobs.delete(link);
    const wasFresh = this.#fresh.delete(link);
    if (job === undefined) throw new Error("Cannot settle a mail: this connection had none");

    // A second time cannot follow: from `#again` a mail goes to fresh connections only.
    if (!wasFresh && !this.#isClosing && isDeadConnection(delivery)) this.#again.push(job);
    else job.settle(delivery);
    if (!link.isClosed) this.#next(link);
  }

  closed(link: Link, trouble: RouteTrouble): void {
    this.#links.delete(link);
    const at = this.#idle.indexOf(link);
    if (at !== -1) this.#idle.splice(at, 1);
    if (!link.isOpen) this.#openingFailed(trouble);
    this.#grow();
    this.#closeWhenEmpty();
  }

  #begin(link: Link, job: Job): void {
    this.#jobs.set(link, job);
    link.deliver(job.mail);
  }

  /** What a connection does after a mail. */
  #next(link: Link): void {
    if (this.#isClosing || this.#isWornOut(link)) return link.quit();
    const job = this.#waiting.shift();
    if (job !== undefined) return this.#begin(link, job);
    this.#rest(link);
  }

  #rest(link: Link): void {
    if (this.#isClosing) return link.quit();
    this.#idle.push(link);
  }

  /** The connection used last comes first, so that those too many become old and end. */
  #takeIdle(): Link | undefined {
    for (let link = this.#idle.pop(); link !== undefined; link = this.#idle.pop()) {
      if (!this.#isWornOut(link)) return link;
      link.quit();
    }
    return undefined;
  }

  #isWornOut(link: Link): boolean {
    const { maxMailsPerConnection, maxConnectionAgeMs, rim } = this.#settings;
    return link.mailCount >= maxMailsPerConnection || rim.timers.nowMs() - link.openedMs >= maxConnectionAgeMs;
  }

  #grow(): void {
    const { connections, target, session, rim } = this.#settings;
    if (this.#isClosing || (this.#reopenTimer !== undefined && this.#links.size > 0)) return;
    while (this.#links.size < connections && this.#openingCount < this.#waiting.length + this.#again.length) {
      this.#openingCount++;
      this.#links.add(new Link(target, session, { rim, events: this }));
    }
  }

  #openingFailed(trouble: RouteTrouble): void {
    this.#openingCount--;
    if (this.#isClosing) return;
    // Others work, or may: the mails wait for these. Only the last one speaks for the route.
    if (this.#links.size === 0) return this.#giveUp({ kind: "unavailable", trouble });
    const { timers } = this.#settings.rim;
    if (this.#reopenTimer !== undefined) return;
    this.#reopenTimer = timers.start(() => {
      this.#reopenTimer = undefined;
      this.#grow();
    }, this.#reopenMs);
    this.#reopenMs = Math.min(this.#reopenMs * 2, MAX_REOPEN_MS);
  }

  #giveUp(delivery: Delivery): void {
    for (const job of [...this.#again.remove(() => true), ...this.#waiting.remove(() => true)]) job.settle(delivery);
  }

  /** One listener per signal, not per mail: a relay passes the same one with every mail. */
  #watch(signal: AbortSignal): void {
    if (this.#watched.has(signal)) return;
    this.#watched.add(signal);
    signal.addEventListener("abort", () => {
      const given = this.#waiting.remove((job) => job.signal === signal);
      for (const job of given) job.settle(aborted("The mail was given up before it was begun"));
    }, { once: true, signal: this.#ended.signal });
  }

  #closeWhenEmpty(): void {
    if (this.#links.size === 0) this.#closed?.resolve();
  }
}

function isDeadConnection(delivery: Delivery): boolean {
  return delivery.kind === "unavailable" && SIGNS_OF_A_DEAD_CONNECTION.has(delivery.trouble.code);
}

function aborted(reason: string): Delivery {
  return { kind: "unavailable", trouble: troubleOf("aborted", "connect", { reason }) };
}
