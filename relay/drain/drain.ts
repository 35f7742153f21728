import { Workers, type WorkersOptions } from "../delivery/workers.ts";
import { JournalGuard } from "../journal/guard.ts";
import type { Remaining } from "../queue/queue.ts";
import { periodic } from "../time/periodic.ts";
import { Bell } from "./bell.ts";
import { Intake, type Rates, type ReachedLimit } from "./intake.ts";
import { type Look, Looker, type LookerOptions } from "./look.ts";
import { Outage } from "./outage.ts";
import { Rest, type RestOptions } from "./rest.ts";

// DESIGN: one drain serves one database. Its loop claims as much as the workers have room for, and otherwise sleeps
// until the bell (NOTIFY, or room), the next due time, the poll, or the breaker's next probe. Before it sleeps it says
// so in the database, where enqueue reads it, and looks once more: a commit between the two can miss the bell, and
// waits for a short poll. While mail flows it looks often.

/** What a drain needs, beside what its workers do. */
export interface DrainOptions
  extends
    Omit<WorkersOptions, "intake" | "onRoom" | "onDatabase" | "pauses">,
    Pick<LookerOptions, "mayClaim" | "pauses" | "safety">,
    RestOptions {
  /** The limits that mail is started by; undefined: none. */
  readonly rates?: Rates | undefined;
  /** The longest wait between two looks. */
  readonly pollMs: number;
  /** Tells enqueue whether it has to ring. */
  readonly sleep: (asleep: boolean) => Promise<void>;
}

/** The shortest wait between two looks, right after there was something to do; it doubles up to the poll. */
const FIRST_POLL_MS = 50;
/** What fell due so shortly before is looked for again soon: the timer of its time may have rung a moment early. */
const JUST_DUE_MS = 250;
const LOOK_AGAIN_MS = 5;
/** What is given back is due by the clock of the database, and so a little later than it was meant to be. */
const RELEASE_MS = 50;
/** How soon a journal that could not be written is tried again. */
const JOURNAL_RETRY_MS = 1_000;
/** How often `run --once` looks whether the database is gone. */
const WATCH_MS = 1_000;

/** How often a database is looked at in which nothing may be claimed: somebody may have adopted the copy. */
const REFUSED_MS = 10_000;

/** Takes what is due in one database through the routes. */
export class Drain {
  readonly #options: DrainOptions;
  readonly #bell: Bell;
  readonly #intake: Intake;
  readonly #workers: Workers;
  readonly #looker: Looker;
  readonly #outage: Outage;
  readonly #rest: Rest;
  readonly #journal: JournalGuard;
  #stopping = false;
  #asleep = false;

  constructor(options: DrainOptions) {
    this.#options = options;
    this.#bell = new Bell(options.clock);
    this.#rest = new Rest(options);
    this.#journal = new JournalGuard(options);
    this.#outage = new Outage({ ...options, onEnd: () => this.#looker.leaveOthersAlone() });
    this.#intake = new Intake(options);
    this.#workers = new Workers({
      ...options,
      intake: this.#intake,
      onRoom: () => this.#bell.ring(),
      onDatabase: (doing, error) => this.#outage.note(doing, error),
    });
    this.#looker = new Looker({
      ...options,
      intake: this.#intake,
      workers: this.#workers,
      journal: this.#journal,
      outage: this.#outage,
      onTaken: () => this.#noteTaken(),
    });
  }

  /** Messages held at the moment. */
  get inFlight(): number {
    return this.#workers.size;
  }

  /** The limits that keep mail back now. */
  get reachedLimits(): readonly ReachedLimit[] {
    return this.#intake.reached;
  }

  /** Counts what is left in the database. */
  async remaining(): Promise<Remaining> {
    if (this.#outage.isGone) throw new Error("Cannot count what is left: the database does not answer");
    return await this.#options.queue.remaining(this.#workers.skipped.seqs);
  }

  /** Epoch milliseconds of the last turn of the claim loop. */
  get lastTurnMs(): number {
    return this.#looker.lastMs;
  }

  /** Why the database could not be used; undefined while it answers. */
  get lastError(): string | undefined {
    return this.#outage.reason;
  }

  /** Why the journal cannot be written; undefined while it can. */
  get journalTrouble(): string | undefined {
    return this.#journal.trouble;
  }

  /** The database is left alone: nothing was due at the last look, and nothing will be before the next one. */
  get isResting(): boolean {
    return this.#rest.isOn;
  }

  /** Looks now: something may be due. */
  ring(): void {
    this.#bell.ring();
  }

  /** Looks which limits mail waits for, whoever has put it there. */
  async discover(): Promise<void> {
    try {
      if (!this.#stopping && await this.#options.mayClaim()) await this.#intake.discover();
    } catch (error) {
      // After a stop nobody waits for this, and the connections end under it.
      if (!this.#stopping) this.#outage.note("look", error);
    }
  }

  /**
   * Pauses have begun or ended: what is not on the wire is looked at anew, and what waits for one that has ended is
   * due.
   */
  async notePauses(): Promise<void> {
    this.#workers.recall();
    await this.discover();
    this.#bell.ring();
  }

  /** Prolongs all leases. */
  renew(): Promise<void> {
    return this.#workers.renew();
  }

  /** Works until `stop`, and then until the dialogues under way have ended. */
  async run(): Promise<void> {
    await this.discover();
    let pollMs = FIRST_POLL_MS;
    while (!this.#stopping) {
      const look = await this.#looker.look();
      if (look === "filled" || look === "some") this.#rest.noteWork();
      if (look === "filled") continue;
      if (look === "some") pollMs = FIRST_POLL_MS;
      const rang = await this.#bell.wait(await this.#waitMs(look, pollMs));
      await this.#rest.end();
      pollMs = rang ? FIRST_POLL_MS : Math.min(pollMs * 2, this.#options.pollMs);
    }
    await this.#workers.finished();
  }

  /**
   * Works until nothing is due or waits for a limit, or what does waits for routes that are out and one probe of each
   * has failed, or the database does not answer.
   */
  async runOnce(): Promise<void> {
    await this.discover();
    const { clock, log } = this.#options;
    const probed = new Set<string>();
    const stopWatching = periodic(() => Promise.resolve(this.#leaveIfGone()), {
      everyMs: WATCH_MS,
      clock,
      onError: (error) => log.error("cannot watch the database", { error }),
    });
    this.#workers.skipped.begin();
    while (!this.#stopping) {
      const look = await this.#looker.look();
      const idle = this.#workers.size === 0;
      if (look === "failed" || look === "refused" || look === "paused" || this.#outage.isGone) break;
      if (idle && (look === "nothing" || look === "no_room")) {
        if (!await this.#waitsOn(look, probed)) break;
      } else if (look !== "filled" && !idle) {
        await this.#bell.wait(this.#options.pollMs);
      }
    }
    await this.#workers.finished();
    stopWatching();
  }

  /**
   * Of `run --once` with nothing to do: waits for what may become due.
   * @returns false when nothing will, or the database cannot say so
   */
  async #waitsOn(look: "nothing" | "no_room", probed: Set<string>): Promise<boolean> {
    try {
      const untilMs = await this.#workers.worthWaitingUntilMs(probed);
      if (untilMs === undefined) return look === "nothing" && await this.#waitsForDeadLease();
      await this.#pause(untilMs + RELEASE_MS - this.#options.clock.now());
      return true;
    } catch (error) {
      // What other databases have under way goes on; what is left here is counted at the end.
      this.#outage.note("look", error);
      return false;
    }
  }

  /** Takes nothing new, gives back what was not started, and lets dialogues under way end. */
  stop(): void {
    this.#stopping = true;
    this.#workers.giveBackUnstarted();
    this.#bell.ring();
  }

  /**
   * Stops waiting for the server and the database: what is still held keeps its lease and is taken up when that ends.
   */
  giveUp(): void {
    this.#workers.giveUp();
  }

  /** Dialogues end in their own time; what they bring cannot be written, and is left to the end of its lease. */
  #leaveIfGone(): void {
    if (!this.#outage.isGone) return;
    this.#bell.ring();
    if (this.#workers.underWay > 0) return;
    this.#options.log.error("gave up the database", { messages: this.#workers.size, reason: this.#outage.reason });
    this.giveUp();
  }

  async #noteTaken(): Promise<void> {
    if (this.#stopping) this.#workers.giveBackUnstarted();
    if (this.#asleep) await this.#setAsleep(false);
  }

  async #waitMs(look: Look, pollMs: number): Promise<number> {
    if (look === "refused") return this.#options.idleMs ?? REFUSED_MS;
    if (look === "paused") return this.#options.pollMs;
    return look === "no_room" ? this.#roomWaitMs() : this.#rest.flowMs || await this.#sleepMs(pollMs);
  }

  /** Goes to sleep, looks when something is due, and says how long to wait for the bell. */
  async #sleepMs(pollMs: number): Promise<number> {
    const { queue, idleMs } = this.#options;
    try {
      if (!this.#asleep) await this.#setAsleep(true);
      const tokenMs = this.#intake.waitMs(Math.min(pollMs, this.#options.pollMs));
      // What is due after the next look does not matter, unless there may be a rest.
      const dueMs = await queue.nextDueMs({ sinceClaim: true, withinMs: idleMs === undefined ? tokenMs : undefined });
      this.#outage.note("look", undefined);
      const mayRest = this.#workers.size === 0 && !this.#intake.isWaiting;
      const restMs = mayRest ? await this.#rest.begin(dueMs) : undefined;
      if (restMs !== undefined) return restMs;
      if (dueMs === undefined) return tokenMs;
      // Due since the claim, or locked by another relay: then it is not claimed a second time either.
      if (dueMs <= 0) return dueMs > -JUST_DUE_MS ? LOOK_AGAIN_MS : pollMs > FIRST_POLL_MS ? pollMs : 0;
      return Math.min(dueMs, tokenMs);
    } catch (error) {
      this.#outage.note("look", error);
      return Math.max(pollMs, 1_000);
    }
  }

  /** How long there is no room; without a time of its own (a full house, a probe under way) the bell ends the wait. */
  #roomWaitMs(): number {
    const { clock, pollMs } = this.#options;
    if (this.#journal.trouble !== undefined) return JOURNAL_RETRY_MS;
    const { messages, againMs } = this.#workers.room();
    if (messages > 0) return this.#intake.waitMs(pollMs);
    return againMs === undefined ? pollMs : Math.max(1, againMs - clock.now());
  }

  async #setAsleep(asleep: boolean): Promise<void> {
    await this.#options.sleep(asleep);
    this.#asleep = asleep;
  }

  /** Waits in full: rings mean room or news, and neither matters here. */
  async #pause(delayMs: number): Promise<void> {
    const { clock } = this.#options;
    for (const endMs = clock.now() + delayMs; clock.now() < endMs && !this.#stopping;) {
      await this.#bell.wait(endMs - clock.now());
    }
  }

  /** Waits for the end of the leases of dead relays, if there are any. */
  async #waitsForDeadLease(): Promise<boolean> {
    const waitMs = await this.#options.queue.deadLeaseMs();
    if (waitMs === undefined) return false;
    await this.#pause(Math.max(waitMs, this.#looker.ownOnlyUntilMs - this.#options.clock.now(), 1) + 1);
    return true;
  }
}
