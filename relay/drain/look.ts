import { guarded, type Safety } from "../delivery/safety.ts";
import type { Workers, WorkersOptions } from "../delivery/workers.ts";
import type { JournalGuard } from "../journal/guard.ts";
import type { Pauses } from "../limits/pauses.ts";
import type { Intake } from "./intake.ts";
import type { Outage } from "./outage.ts";

/** What a look at the database is made by. */
export interface LookerOptions extends Pick<WorkersOptions, "contents" | "clock" | "log" | "leaseMs"> {
  readonly intake: Intake;
  readonly workers: Workers;
  readonly journal: JournalGuard;
  readonly outage: Pick<Outage, "note" | "reason">;
  readonly pauses: Pauses;
  readonly safety: Safety;
  /** False in a copy of the database, and when its schema does not fit this program. */
  readonly mayClaim: () => Promise<boolean>;
  /** Called when something was claimed and begun. */
  readonly onTaken: () => Promise<void>;
}

/**
 * What a look found: all the room was filled, all that was due was claimed (maybe nothing), there was no room, all is
 * paused, or nothing of it is ours to send.
 */
export type Look = "filled" | "some" | "nothing" | "no_room" | "paused" | "refused" | "failed";

/** Claims as much as the workers have room for, and hands it to them. */
export class Looker {
  readonly #options: LookerOptions;
  #lastMs: number;
  #ownOnlyUntilMs = 0;

  constructor(options: LookerOptions) {
    this.#options = options;
    this.#lastMs = options.clock.now();
    this.leaveOthersAlone();
  }

  /** Epoch milliseconds of the last look. */
  get lastMs(): number {
    return this.#lastMs;
  }

  /** Until then, in epoch milliseconds, what other relays hold is not taken over. */
  get ownOnlyUntilMs(): number {
    return this.#ownOnlyUntilMs;
  }

  /**
   * Leaves alone what other relays hold, for the time of a lease: one whose lease has run out while the database was
   * away for all is alive, and renews it as soon as it is connected again.
   */
  leaveOthersAlone(): void {
    this.#ownOnlyUntilMs = this.#options.clock.now() + this.#options.leaseMs;
  }

  /** Looks once. */
  async look(): Promise<Look> {
    const { clock, intake, journal, mayClaim, outage, pauses, workers } = this.#options;
    this.#lastMs = clock.now();
    if (!journal.look()) return "no_room";
    await pauses.refresh();
    if (pauses.stopAll) return "paused";
    const { messages: room, isProbe } = workers.room();
    if (room < 1) return "no_room";
    try {
      if (!await mayClaim()) return "refused";
      const claimedMs = clock.now();
      // The first claim that is answered after an outage is what tells of its end: for that one it goes on.
      const ownOnly = outage.reason !== undefined || claimedMs < this.#ownOnlyUntilMs;
      const taken = await intake.claim(room, { probe: isProbe, ownOnly });
      if (taken === undefined) return "no_room";
      outage.note("claim", undefined);
      if (taken.messages.length === 0) return taken.filled ? "filled" : "nothing";
      await this.#begin(taken, claimedMs);
      return taken.filled ? "filled" : "some";
    } catch (error) {
      outage.note("claim", error);
      return "failed";
    }
  }

  async #begin(taken: NonNullable<Awaited<ReturnType<Intake["claim"]>>>, claimedMs: number): Promise<void> {
    const { contents, log, onTaken, safety, workers } = this.#options;
    const { messages } = taken;
    const takenOver = messages.filter((message) => message.takenOver).length;
    if (takenOver > 0) log.warn("took over messages whose lease had run out", { messages: takenOver });
    const sendable = messages.map((message) => guarded(message, safety));
    const held = workers.hold({ ...taken, messages: sendable }, claimedMs);
    // Contents that cannot be fetched now are fetched one by one: the claim stands.
    await contents.prefetch(messages.map((message) => message.contentId)).catch(() => undefined);
    workers.begin(held);
    await onTaken();
  }
}
