import type { Pause } from "../limits/pause.ts";

/** One database as the relay last saw it. */
export interface DatabaseStatus {
  readonly name: string;
  readonly reachable: boolean;
  readonly schemaVersion?: number;
  /** Age of the oldest row that is due; undefined when nothing is due. */
  readonly oldestDueSeconds?: number;
  /** Messages that this relay has claimed. */
  readonly inFlight: number;
  /**
   * Open messages by state, about, as the relay has counted them a minute ago at most; undefined: it has not, such as
   * while it lets the database sleep.
   */
  readonly messages?: Readonly<Record<string, number>>;
  readonly lastError?: string;
  /** It is a copy, from which nothing is sent: of what, and who decides. */
  readonly copy?: string;
  /** Nothing is claimed: why its schema does not fit this program, and the fix. */
  readonly schemaProblem?: string;
  /** With RELAY_MAX_QUEUE: about how many messages are open, and whether apps are refused for it. */
  readonly queue?: { readonly messages: number; readonly limit: number; readonly isFull: boolean };
  /** LISTEN works; otherwise mail waits for the poll. */
  readonly listening: boolean;
}

/** One of the ways out. */
export interface RouteStatus {
  readonly name: string;
  /** `open`: the circuit breaker keeps mail back; `half-open`: one mail is on its way to find out. */
  readonly state: "closed" | "open" | "half-open";
  /** Why it is not closed. */
  readonly reason?: string;
  /** Since when it is out. */
  readonly outSince?: Date;
  /** Connections that are open now. */
  readonly connections: number;
  /** Attempts since the start, by outcome and recipient. */
  readonly attempts: {
    readonly sent: number;
    readonly deferred: number;
    readonly bounced: number;
    readonly uncertain: number;
  };
  /** When this next hop last took a mail. */
  readonly lastSentAt?: Date;
}

/** A limit of RELAY_RATE that keeps mail back. */
export interface LimitStatus {
  /** As it is written there; `domain:*` stands as the domain that it holds for. */
  readonly limit: string;
  /** When the next mail may start. */
  readonly until: Date;
}

/** What happened since the start: attempts by outcome and recipient, and ends without one. */
export interface StatusCounters {
  readonly sent: number;
  readonly deferred: number;
  readonly bounced: number;
  readonly uncertain: number;
  readonly failed: number;
  readonly expired: number;
  readonly suppressed: number;
  /** Outcomes whose lease had gone to somebody else when they were written. */
  readonly settledStale: number;
}

/** The relay as a whole. It holds no mail address. */
export interface RelayStatus {
  readonly version: string;
  readonly playground: boolean;
  readonly startedAt: Date;
  readonly databases: readonly DatabaseStatus[];
  /** In the order of the settings; the playground's only one leads to its inbox. */
  readonly routes: readonly RouteStatus[];
  /** The limits that keep mail back now, and how many they are: of many domains, not all are listed. */
  readonly limits?: { readonly reached: number; readonly listed: readonly LimitStatus[] };
  /** What a person has paused in the home database, that of all mail first; it holds in all databases. */
  readonly pauses?: readonly Pause[];
  readonly counters: StatusCounters;
}

/** Where the HTTP side learns about the relay. */
export interface StatusSource {
  status(): Promise<RelayStatus>;
  /** The event loop and the claim loop, and nothing else: a database that is away must get nobody killed. */
  alive(): boolean;
  /** Whether mail can flow; the reasons hold no address. */
  ready(): Promise<{ readonly ok: boolean; readonly reasons: readonly string[] }>;
}
