import type { Settlement } from "../queue/queue.ts";

/** What one route has done. */
export interface RouteCounters {
  /** Recipients by what the next hop said of them. */
  readonly byKind: Map<string, number>;
  /** When the next hop last took a mail, in epoch milliseconds. */
  lastSentAtMs: number | undefined;
  /** The latest trouble, kept until a mail is answered. */
  trouble: string | undefined;
}

/** States that no outcome stands for. */
const UNTRIED: ReadonlySet<string> = new Set(["failed", "expired", "held", "suppressed"]);

/** What a relay has done since its start, for the status page, the metrics and the health check. */
export class Counters {
  /**
   * Recipients by what their attempt or end was: sent, deferred, bounced, uncertain, failed, expired, held, suppressed.
   */
  readonly byKind: Map<string, number> = new Map();
  /** Messages whose settlement came after another relay had taken them over. */
  settledStale = 0;
  /** Mails that the next hop has answered for, in whatever way. */
  answered = 0;
  readonly #byRoute = new Map<string, RouteCounters>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Takes in what was written, or refused by the fence. */
  settled({ outcomes, recipients }: Settlement, { isOurs }: { readonly isOurs: boolean }): void {
    if (!isOurs) return void this.settledStale++;
    for (const { kind, route } of outcomes) {
      count(this.byKind, kind);
      const counters = this.route(route);
      count(counters.byKind, kind);
      if (kind === "sent") counters.lastSentAtMs = this.#now();
      counters.trouble = undefined;
    }
    for (const { state } of recipients) {
      // The others are counted as outcomes.
      if (UNTRIED.has(state)) count(this.byKind, state);
    }
    if (outcomes.length > 0) this.answered++;
  }

  /** Those of one route. */
  route(name: string): RouteCounters {
    const known = this.#byRoute.get(name);
    if (known !== undefined) return known;
    const counters: RouteCounters = { byKind: new Map(), lastSentAtMs: undefined, trouble: undefined };
    this.#byRoute.set(name, counters);
    return counters;
  }

  /** A route was out for one mail. */
  routeTrouble(name: string, reason: string): void {
    this.route(name).trouble = reason;
  }
}

function count(numbers: Map<string, number>, kind: string): void {
  numbers.set(kind, (numbers.get(kind) ?? 0) + 1);
}
