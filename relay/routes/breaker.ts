import type { RouteTrouble } from "../delivery/transport.ts";

/**
 * DESIGN: one circuit breaker per route. Pure: time and randomness are arguments.
 *
 * ```
 * closed ──different mails fail in a row──▶ open ──delay──▶ half-open ──the probe succeeds──▶ closed
 *                                            ▲                  └──the probe fails: twice the delay──┐
 *                                            └───────────────────────────────────────────────────────┘
 * ```
 * One mail alone never opens it: a mail that the server chokes on is not the route's trouble. `failed` tells how long
 * such a mail has to wait by itself.
 */

export interface BreakerRules {
  /** Different mails in a row after which the breaker opens. @default {3} */
  readonly mails: number;
  /** @default {1_000} */
  readonly firstDelayMs: number;
  /** The longest delay, before its jitter. @default {60_000} */
  readonly maxDelayMs: number;
  /** The share by which a delay may be shorter or longer. @default {0.2} */
  readonly jitter: number;
}

export const BREAKER_RULES: BreakerRules = { mails: 3, firstDelayMs: 1_000, maxDelayMs: 60_000, jitter: 0.2 };

/** How many mails may be begun now; `retryAtMs` says when to ask again, if time alone can change the answer. */
export interface Allowance {
  readonly limit: number;
  readonly retryAtMs?: number;
}

/** What a failure means for the mail, and for those who are told of the route. */
export interface Setback {
  /** When this mail may be tried again at the earliest. */
  readonly retryAtMs: number;
  /**
   * With this failure the route is out: the breaker has opened, or the only mail has failed as often as that takes.
   * Once for each outage.
   */
  readonly wentOut: boolean;
  /** The first one since the route last worked: perhaps no more than that. */
  readonly isFirst: boolean;
}

/**
 * Troubles that are the route's by their nature, whatever the mail: settings, certificates, credentials, a server that
 * wants nothing from us.
 */
const OF_THE_ROUTE: ReadonlySet<string> = new Set([
  "greeting_refused",
  "auth_rejected",
  "auth_unavailable",
  "auth_required",
  "tls_required",
  "tls_verify",
  "tls_injection",
  "tls_handshake",
]);

/**
 * Stops sending on a route that has trouble, and finds out when it works again.
 *
 * @example
 * ```ts
 * const breaker = new Breaker(Math.random);
 * const nowMs = 0;
 * if (breaker.allowance(nowMs).limit !== Infinity) throw new Error("unexpected");
 * for (const id of ["a", "b", "c"]) {
 *   breaker.started(id, nowMs);
 *   breaker.failed(id, { code: "connect_refused" }, nowMs);
 * }
 * if (breaker.allowance(nowMs).limit !== 0) throw new Error("unexpected");
 * ```
 */
export class Breaker {
  readonly #random: () => number;
  readonly #rules: BreakerRules;
  #failedMails = new Set<string>();
  /** Failures in a row, of whichever mail. */
  #failures = 0;
  #state: "closed" | "open" = "closed";
  /** While open: when a probe may go. */
  #probeAtMs = 0;
  #probe: string | undefined;
  #openings = 0;
  #delayedMs = 0;
  #outSinceMs: number | undefined;

  constructor(random: () => number, rules: Partial<BreakerRules> = {}) {
    this.#random = random;
    this.#rules = { ...BREAKER_RULES, ...rules };
  }

  /**
   * What people call it; half-open while one mail may find out, or is on its way, and while the only mail goes on
   * failing: it keeps no other back, but a route that nothing gets through must not look well to those who watch it.
   */
  stateAt(nowMs: number): "closed" | "open" | "half-open" {
    const { limit, retryAtMs } = this.allowance(nowMs);
    if (limit === Infinity) return this.#outSinceMs === undefined ? "closed" : "half-open";
    return limit === 0 && retryAtMs !== undefined ? "open" : "half-open";
  }

  /** Since when the route is out; undefined: it is not. */
  get outSinceMs(): number | undefined {
    return this.#outSinceMs;
  }

  /** The length of the wait that it is in, or was in last. */
  get delayedMs(): number {
    return this.#delayedMs;
  }

  /** Says how many mails may be begun. Asking changes nothing: a probe is out when `started` says so. */
  allowance(nowMs: number): Allowance {
    if (this.#state === "closed") return { limit: Infinity };
    // A clock that was set back must not keep the route shut for as long.
    const longestMs = this.#rules.maxDelayMs * (1 + this.#rules.jitter);
    if (this.#probeAtMs - nowMs > longestMs) this.#probeAtMs = nowMs;
    if (nowMs < this.#probeAtMs) return { limit: 0, retryAtMs: this.#probeAtMs };
    return { limit: this.#probe === undefined ? 1 : 0 };
  }

  /** A mail has been begun. While the breaker is half-open, the first one is the probe. */
  started(mailId: string, nowMs: number): void {
    if (this.#state === "open" && this.#probe === undefined && nowMs >= this.#probeAtMs) this.#probe = mailId;
  }

  /** A mail was given back untried: if it was the probe, another may be. */
  released(mailId: string): void {
    if (this.#probe === mailId) this.#probe = undefined;
  }

  /**
   * The server has taken up a mail, whatever it said about it: the route works.
   * @returns for how long it was out, if it was
   */
  succeeded(nowMs: number): number | undefined {
    const sinceMs = this.#outSinceMs;
    this.#outSinceMs = undefined;
    this.#state = "closed";
    this.#probe = undefined;
    this.#failures = 0;
    this.#openings = 0;
    if (this.#failedMails.size > 0) this.#failedMails = new Set();
    return sinceMs === undefined ? undefined : Math.max(0, nowMs - sinceMs);
  }

  /** A mail met trouble of the route. Returns when this mail may be tried again at the earliest. */
  failed(mailId: string, trouble: Pick<RouteTrouble, "code">, nowMs: number): Setback {
    if (trouble.code === "aborted") {
      // We ourselves gave it up.
      this.released(mailId);
      return { retryAtMs: nowMs, wentOut: false, isFirst: false };
    }
    if (this.#state === "open") {
      return { retryAtMs: this.#failedWhileOpen(mailId, nowMs), wentOut: false, isFirst: false };
    }

    const isFirst = this.#failures++ === 0;
    if (this.#failedMails.size < this.#rules.mails) this.#failedMails.add(mailId);
    const opens = this.#failedMails.size >= this.#rules.mails || OF_THE_ROUTE.has(trouble.code);
    const wentOut = this.#outSinceMs === undefined && (opens || this.#failures >= this.#rules.mails);
    if (wentOut) this.#outSinceMs = nowMs;
    if (!opens) return { retryAtMs: nowMs + this.#delayMs(this.#failures - 1), wentOut, isFirst };
    return { retryAtMs: this.#open(nowMs), wentOut, isFirst };
  }

  /** Mails that were under way when it opened tell nothing new; only the probe does. */
  #failedWhileOpen(mailId: string, nowMs: number): number {
    if (mailId !== this.#probe) return Math.max(this.#probeAtMs, nowMs);
    return this.#open(nowMs);
  }

  #open(nowMs: number): number {
    this.#state = "open";
    this.#probe = undefined;
    this.#delayedMs = this.#delayMs(this.#openings++);
    this.#probeAtMs = nowMs + this.#delayedMs;
    return this.#probeAtMs;
  }

  #delayMs(doublings: number): number {
    const { firstDelayMs, maxDelayMs, jitter } = this.#rules;
    // 2 ** 1024 is Infinity, which the maximum takes care of.
    const delayMs = Math.min(maxDelayMs, firstDelayMs * 2 ** doublings);
    return Math.round(delayMs * (1 - jitter + 2 * jitter * this.#random()));
  }
}
