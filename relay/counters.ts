import type { Settlement } from "./queue.ts";

/** What a relay has done since its start, for the status page, the metrics and the health check. */
export class Counters {
  /** Recipients by what their attempt or end was: sent, deferred, bounced, uncertain, failed, expired, held. */
  readonly byKind: Map<string, number> = new Map();
  /** Messages whose settlement came after another relay had taken them over. */
  settledStale = 0;
  /** Mails that the next hop has answered for, in whatever way. */
  answered = 0;
  /** When the next hop last took a mail, in epoch milliseconds. */
  lastSentAtMs: number | undefined;
  readonly #now: () => number;
  /** The latest trouble of the route, kept until a mail is answered. */
  trouble: string | undefined;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Takes in what was written. */
  settled({ outcomes, recipients }: Settlement): void {
    for (const { kind } of outcomes) this.#count(kind);
    for (const { state } of recipients) {
      // The others are counted as outcomes.
      if (state === "failed" || state === "expired" || state === "held") this.#count(state);
    }
    if (outcomes.length === 0) return;
    this.answered++;
    if (outcomes.some(({ kind }) => kind === "sent")) this.lastSentAtMs = this.#now();
    this.trouble = undefined;
  }

  /** A settlement that the fence refused. */
  stale(): void {
    this.settledStale++;
  }

  /** The route was out for one mail. */
  routeTrouble(reason: string): void {
    this.trouble = reason;
  }

  #count(kind: string): void {
    this.byKind.set(kind, (this.byKind.get(kind) ?? 0) + 1);
  }
}
