import type { RouteTrouble } from "../delivery/transport.ts";
import type { Mail } from "./command.ts";
import type { Target } from "./connection.ts";
import { sizeOf } from "./content.ts";
import { DomainLimit } from "./domain_limit.ts";
import { troubleOf } from "./ending.ts";
import { ONE_WRITE_BYTES } from "./gate.ts";
import { Line } from "./line.ts";
import { Link, type LinkEvents, type Rim } from "./link.ts";
import type { SessionSettings } from "./session.ts";
import { SlowStart } from "./slow_start.ts";
import type { TransactionResult } from "./transaction_frame.ts";

/**
 * DESIGN: up to N connections to one server, and one line of mails that wait for them, first come first served.
 *
 * A link is opening, idle, busy or quitting, and counts against N until it is closed. Links open only while more mails
 * wait than links are on their way. A busy link takes a second mail right behind the end of the first (`roomy`), when
 * nothing is idle. A mail that finds its reused connection dead goes once to a fresh one, before those in the line: a
 * server may close an idle connection at any time, and that is no trouble of the route.
 * Guarantee: every mail that was taken gets exactly one result.
 */

export interface PoolSettings {
  readonly target: Target;
  readonly session: SessionSettings;
  readonly rim: Rim;
  readonly connections: number;
  /** The most connections that are busy with mail for one recipient domain. */
  readonly connectionsPerDomain: number;
  /** Mails after which a connection is replaced. */
  readonly maxMailsPerConnection: number;
  readonly maxConnectionAgeMs: number;
}

interface Job {
  readonly mail: Mail;
  /** Of its recipients, as far as they count. */
  readonly domains: readonly string[];
  readonly signal: AbortSignal;
  readonly settle: (result: TransactionResult) => void;
  /** It was the first on its connection. */
  wasFirst: boolean;
}

/** Troubles by which a dead connection shows; a fresh one may have none of them. */
const SIGNS_OF_A_DEAD_CONNECTION: ReadonlySet<string> = new Set(["closed", "shutting_down", "protocol", "timeout"]);

export class Pool implements LinkEvents {
  readonly #settings: PoolSettings;
  readonly #links = new Set<Link>();
  readonly #idle: Link[] = [];
  /** Busy ones that can take a second mail. */
  readonly #roomy = new Set<Link>();
  /** Those under way. */
  readonly #jobs = new Map<Mail, Job>();
  readonly #waiting = new Line<Job>();
  /** Mails that found their connection dead: only for fresh connections. */
  readonly #again = new Line<Job>();
  readonly #watched = new WeakSet<AbortSignal>();
  readonly #ended = new AbortController();
  readonly #slowStart: SlowStart;
  readonly #domains: DomainLimit;
  #session: SessionSettings;
  #openingCount = 0;
  #isClosing = false;
  #closed: PromiseWithResolvers<void> | undefined;

  constructor(settings: PoolSettings) {
    this.#settings = settings;
    this.#session = settings.session;
    this.#slowStart = new SlowStart(settings.rim.timers, settings.connections, () => this.#grow());
    this.#domains = new DomainLimit(settings.connectionsPerDomain);
  }

  /** Connections that are open or being opened. */
  get size(): number {
    return this.#links.size;
  }

  /** Delivers a mail, at once or when its turn comes. */
  deliver(mail: Mail, signal: AbortSignal): Promise<TransactionResult> {
    if (this.#isClosing) return Promise.resolve(aborted("The transport is closed"));
    if (signal.aborted) return Promise.resolve(aborted("The mail was given up before it was begun"));
    return new Promise((settle) => {
      this.#waiting.push({ mail, domains: this.#domains.domainsOf(mail), signal, settle, wasFirst: false });
      this.#watch(signal);
      this.#match();
    });
  }

  /** Gives up what waits, lets busy connections finish, and ends the others with QUIT. */
  close(): Promise<void> {
    if (this.#closed !== undefined) return this.#closed.promise;
    this.#isClosing = true;
    this.#closed = Promise.withResolvers<void>();
    this.#slowStart.stop();
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
    this.#slowStart.opened();
    const job = this.#again.shift();
    if (job !== undefined) return this.#give(link, job);
    this.#rest(link);
    this.#match();
  }

  roomy(link: Link): void {
    if (this.#isClosing || this.#isWornOut(link)) return;
    const job = this.#nextBehind();
    if (job !== undefined) return this.#begin(link, job);
    this.#roomy.add(link);
  }

  delivered(link: Link, mail: Mail, result: TransactionResult): void {
    this.#roomy.delete(link);
    const job = this.#jobs.get(mail);
    if (job === undefined) throw new Error("Cannot settle a mail: it is not under way");
    this.#jobs.delete(mail);
    if (result.kind === "attempted") this.#slowStart.answered();

    // It keeps its place under the limit of its domain: nobody may go before it.
    if (!this.#isClosing && this.#deservesAnother(job, result)) this.#again.push(job);
    else this.#settle(job, result);
    if (!link.isClosed && !link.isBusy) {
      if (this.#isClosing || this.#isWornOut(link)) link.quit();
      else this.#rest(link);
    }
    this.#match();
  }

  closed(link: Link, trouble: RouteTrouble): void {
    this.#links.delete(link);
    this.#roomy.delete(link);
    const at = this.#idle.indexOf(link);
    if (at !== -1) this.#idle.splice(at, 1);
    if (!link.isOpen) this.#openingFailed(trouble);
    this.#grow();
    this.#closeWhenEmpty();
  }

  /** Gives the mails that wait to the connections that are free. */
  #match(): void {
    for (let link = this.#takeIdle(); link !== undefined; link = this.#takeIdle()) {
      const job = this.#next();
      if (job === undefined) {
        this.#idle.push(link);
        break;
      }
      this.#begin(link, job);
    }
    this.#grow();
    // No link is idle and none may be opened: behind another mail is sooner than after it.
    for (const link of this.#roomy) {
      if (this.#openingCount > 0) return;
      if (this.#isWornOut(link)) continue;
      const job = this.#nextBehind();
      if (job === undefined) return;
      this.#roomy.delete(link);
      this.#begin(link, job);
    }
  }

  /** The next mail in the line that may go now. */
  #next(): Job | undefined {
    for (let job = this.#take(); job !== undefined; job = this.#take()) {
      if (mayBegin(job)) return job;
      job.settle(aborted("It has waited for its connection for too long"));
    }
    return undefined;
  }

  #take(): Job | undefined {
    return this.#waiting.take(({ domains }) => this.#domains.allows(domains));
  }

  /**
   * The same for a place right behind another mail. A large one waits until that is answered: one reply too many to the
   * mail before would be seen by the 354 of DATA, and not by BDAT.
   */
  #nextBehind(): Job | undefined {
    const next = this.#waiting.find(({ domains }) => this.#domains.allows(domains));
    const fits = next !== undefined && sizeOf(next.mail.content) <= ONE_WRITE_BYTES && mayBegin(next);
    return fits ? this.#take() : undefined;
  }

  #begin(link: Link, job: Job): void {
    this.#domains.began(job.domains);
    this.#give(link, job);
  }

  #give(link: Link, job: Job): void {
    job.wasFirst = link.mailCount === 0;
    this.#jobs.set(job.mail, job);
    link.deliver(job.mail);
  }

  /** Ends a mail that was begun. */
  #settle(job: Job, result: TransactionResult): void {
    this.#domains.ended(job.domains);
    // At once, not when its promise is looked at: now it is noted together with the next mail on this connection.
    if (result.kind === "attempted") job.mail.witness?.concluded(result.outcomes);
    job.settle(result);
  }

  #rest(link: Link): void {
    if (this.#isClosing) return link.quit();
    this.#idle.push(link);
  }

  /** The connection used last comes first, so that those too many become old and end. */
  #takeIdle(): Link | undefined {
    for (let link = this.#idle.pop(); link !== undefined; link = this.#idle.pop()) {
      // It was idle for too long, and has said QUIT by itself.
      if (!link.canDeliver) continue;
      if (!this.#isWornOut(link)) return link;
      link.quit();
    }
    return undefined;
  }

  #isWornOut(link: Link): boolean {
    const { maxMailsPerConnection, maxConnectionAgeMs, rim } = this.#settings;
    return link.mailCount >= maxMailsPerConnection || rim.timers.nowMs() - link.openedMs >= maxConnectionAgeMs;
  }

  #deservesAnother(job: Job, result: TransactionResult): boolean {
    if (result.kind !== "unavailable" || job.signal.aborted) return false;
    if (result.trouble.code !== "chunking_broken") {
      // A second time cannot follow: from `#again` a mail goes to fresh connections only.
      return !job.wasFirst && SIGNS_OF_A_DEAD_CONNECTION.has(result.trouble.code);
    }
    // Only connections from before this can say it again, and each of them once: it has ended with it.
    this.#session = { ...this.#session, chunking: false };
    return true;
  }

  #grow(): void {
    const { target, rim } = this.#settings;
    if (this.#isClosing || (this.#slowStart.isPausing && this.#links.size > 0)) return;
    if (this.#links.size >= this.#slowStart.limit) return;
    const allowed = this.#domains.isLimited
      ? this.#waiting.count(({ domains }) => this.#domains.allows(domains))
      : this.#waiting.length;
    const wanted = this.#again.length + allowed;
    while (this.#links.size < this.#slowStart.limit && this.#openingCount < wanted) {
      this.#openingCount++;
      this.#links.add(new Link(target, this.#session, { rim, events: this }));
    }
  }

  #openingFailed(trouble: RouteTrouble): void {
    this.#openingCount--;
    if (this.#isClosing) return;
    // Others work, or may: the mails wait for these. Only the last one speaks for the route.
    if (this.#links.size === 0) return this.#giveUp({ kind: "unavailable", trouble });
    this.#slowStart.refused(this.#links.size);
  }

  #giveUp(result: TransactionResult): void {
    for (const job of this.#again.remove(() => true)) this.#settle(job, result);
    for (const job of this.#waiting.remove(() => true)) job.settle(result);
  }

  /** One listener per signal, not per mail: a relay passes the same one with every mail. */
  #watch(signal: AbortSignal): void {
    if (this.#watched.has(signal)) return;
    this.#watched.add(signal);
    signal.addEventListener("abort", () => {
      const result = aborted("The mail was given up before it was begun");
      const isIts = (job: Job): boolean => job.signal === signal;
      for (const job of this.#again.remove(isIts)) this.#settle(job, result);
      for (const job of this.#waiting.remove(isIts)) job.settle(result);
    }, { once: true, signal: this.#ended.signal });
  }

  #closeWhenEmpty(): void {
    if (this.#links.size === 0) this.#closed?.resolve();
  }
}

function mayBegin({ mail: { witness } }: Job): boolean {
  return witness?.mayBegin?.() !== false;
}

function aborted(reason: string): TransactionResult {
  return { kind: "unavailable", trouble: troubleOf("aborted", "connect", { reason }) };
}
