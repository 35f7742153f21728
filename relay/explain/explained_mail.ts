import type { Pause } from "../limits/pause.ts";

// What is looked at to say why a mail is not going out (explanation.ts).

/** The queue may be long: so far is counted how many stand before a mail. */
export const MOST_AHEAD = 10_000;

/** One recipient, as `mailchute.describe` tells it. */
export interface ExplainedRecipient {
  readonly position: number;
  readonly address: string;
  readonly state: string;
  readonly reason?: string;
  readonly at: string;
}

/** What is known of a mail and of those who could send it. */
export interface ExplainedMail {
  readonly id: string;
  /** What the log of a server has it under. */
  readonly messageId: string;
  readonly app: string;
  readonly state: string;
  readonly stream?: string;
  /** The id of its batch. */
  readonly batchId?: string | undefined;
  readonly scheduledAt?: string;
  readonly expiresAt?: string;
  /** It goes past a suppression as `unsubscribe` or `manual`. */
  readonly overrideSuppression?: boolean;
  readonly recipients: readonly ExplainedRecipient[];
  readonly attempts: readonly {
    readonly number: number;
    readonly at: string;
    readonly address: string;
    readonly outcome: string;
    readonly route: string;
    readonly reply: string;
  }[];
  /**
   * It is an item of a digest: in which mail it went out, once its window was closed; or it is that mail, and has so
   * many items.
   */
  readonly digest?: { readonly key: string; readonly id?: string; readonly items?: number };
  /** Its row of the queue; undefined: all its recipients are final, or it is in a digest. */
  readonly row?: ExplainedRow | undefined;
  readonly suppressions: readonly SuppressionRow[];
}

/** A row of the suppression list that keeps a recipient from getting the mail. */
export interface SuppressionRow {
  readonly address: string;
  readonly scope: string;
  readonly reason: string;
  readonly by: string;
  readonly createdAt: string;
  readonly until?: string;
}

/** A way out, as the relay on this machine sees it. */
export interface ExplainedRoute {
  readonly name: string;
  readonly state: "closed" | "open" | "half-open";
  readonly since?: Date | undefined;
  readonly reason?: string | undefined;
}

/** What concerns more than this mail. */
export interface Surroundings {
  readonly database: string;
  /** The database's clock. */
  readonly now: Date;
  /** Where it is drained, when this is a copy. */
  readonly copyOf: string | undefined;
  readonly relays: { readonly alive: number; readonly last: { readonly host: string; readonly at: Date } | undefined };
  readonly pauses: readonly Pause[];
  /** When the throttle that it waits for will be full. */
  readonly throttleFullAt: Date | undefined;
  /** The routes that its open recipients may take; empty when no relay answers on this machine. */
  readonly routes: readonly ExplainedRoute[];
}

/** The row of the queue of a mail. */
export interface ExplainedRow {
  /** Undefined while it is held for a person. */
  readonly due: Date | undefined;
  readonly throttle: string | undefined;
  readonly crashes: number;
  /** Mails of its lane that are due and stand before it, counted up to `MOST_AHEAD`. */
  readonly ahead: number;
  readonly holder: Holder | undefined;
}

/** The relay that has claimed a mail. */
export interface Holder {
  readonly host: string;
  readonly pid: number;
  readonly isAlive: boolean;
  readonly seenAt: Date;
}
