import type { State } from "./state.ts";

/** What became of one recipient. */
export interface RecipientStatus {
  /** Counted from 0 over To, then Cc, then Bcc. */
  readonly position: number;
  /** The field that the app has put the address into. */
  readonly kind: "to" | "cc" | "bcc";
  /** As the app gave it, without a name. */
  readonly address: string;
  /** Where it is now. */
  readonly state: State;
  /** When it came into this state. */
  readonly at: Date;
  /** The code of the last reply, 200 to 599. */
  readonly code?: number;
  /** The RFC 3463 code of the last reply, such as `5.1.1`. */
  readonly enhanced?: string;
  /** Why it is in this state: the last reply, or what happened instead. */
  readonly reason?: string;
}

/** What the next hop said to one recipient in one attempt. */
export interface AttemptStatus {
  /** Counted from 1. */
  readonly number: number;
  /** When its outcome was written. */
  readonly at: Date;
  /** The recipient. */
  readonly address: string;
  /** What it meant for the recipient. */
  readonly outcome: "sent" | "deferred" | "bounced" | "uncertain";
  /** The part of the SMTP dialogue in which it was decided, such as `rcpt`. */
  readonly phase: string;
  /** Who has to change something: message, recipient, sender, route or network; nobody when it was sent. */
  readonly blame?: string;
  /** The code of the reply, 200 to 599. */
  readonly code?: number;
  /** The RFC 3463 code of the reply, such as `5.1.1`. */
  readonly enhanced?: string;
  /** What the server said, or what happened instead. */
  readonly reply: string;
  /** The name of the SMTP server in the relay's settings. */
  readonly route: string;
}

/** All about a mail but its content. */
export interface MessageStatus {
  /** A UUIDv7, as `send` has told it. */
  readonly id: string;
  /** The app that has sent it. */
  readonly app: string;
  /** Derived from the recipients': the open ones first, then the worst final one. */
  readonly state: State;
  /** When it came into the queue. */
  readonly createdAt: Date;
  /** Not before this time. */
  readonly scheduledAt?: Date;
  /** Not after this time. */
  readonly expiresAt?: Date;
  /** Undefined while it is being sent or held, and when it is final. */
  readonly nextAttemptAt?: Date;
  /** The stream that it belongs to. */
  readonly stream?: string;
  /** It goes past the suppression list, where that may be. */
  readonly overrideSuppression?: boolean;
  /** The bulk send that it belongs to. */
  readonly batch?: string;
  /** How it stands to a digest, of an item and of a digest itself. */
  readonly digest?: DigestStatus;
  /** Labels, the mailer's first. */
  readonly tags: readonly string[];
  /** What the app has noted with it. */
  readonly metadata: Readonly<Record<string, string>>;
  /** In the order of their positions. */
  readonly recipients: readonly RecipientStatus[];
  /** Oldest first, one entry for each recipient. */
  readonly attempts: readonly AttemptStatus[];
  /** What came back after sending (`mailchute bounce`), oldest first; empty where no reports are taken in. */
  readonly events: readonly EventStatus[];
}

/**
 * What was reported of one recipient after the server had taken the mail (RFC 3464, RFC 5965, RFC 8098). Whoever knows
 * the mail's id can forge it.
 */
export interface EventStatus {
  /**
   * `bounced`: the recipient's state is that too; `complained`: the reader has called it spam; `opened`: it was shown
   * to the reader, who has told so.
   */
  readonly type: "delivered" | "delayed" | "bounced" | "complained" | "opened";
  /** When it was taken in. */
  readonly at: Date;
  /** The recipient. */
  readonly address: string;
  /** The code of the reply that it tells of, 200 to 599. */
  readonly code?: number;
  /** The RFC 3463 code, such as `5.1.1`. */
  readonly enhanced?: string;
  /** What the server said, or what the report says instead. */
  readonly reply: string;
  /** The server that has refused it, or that reports; of `opened` the reader's program. */
  readonly reporter?: string;
}

/**
 * How a mail stands to a digest. An item that is in one tells the digest's state, recipients and attempts as its own.
 */
export interface DigestStatus {
  /** What its items share. */
  readonly key: string;
  /** Of an item: the mail that it went out in, its own id when it was alone; undefined while it waits. */
  readonly id?: string;
  /** Of a digest: how many items it has. */
  readonly items?: number;
}

/** How far a bulk send is, by the messages that retention has left. */
export interface BatchStatus {
  /** Its name, or the id that stands for it. */
  readonly batch: string;
  /** When its first part was sent. */
  readonly createdAt: Date;
  /** How many messages there are. */
  readonly total: number;
  /** How many messages are in each state; a state that none has is left out. */
  readonly states: Readonly<Partial<Record<State, number>>>;
  /** Of how many messages such a report has come back; what of none has is left out. */
  readonly events: Readonly<Partial<Record<EventStatus["type"], number>>>;
}

/** Reads the answer of the database; its times become Dates. */
export function parseStatus(json: string): MessageStatus {
  const message = JSON.parse(json);
  const dated = (entries: readonly object[]) => entries.map((entry) => withDates(entry, ["at"]));
  return {
    ...withDates(message, ["createdAt", "scheduledAt", "expiresAt", "nextAttemptAt"]),
    recipients: dated(message.recipients),
    attempts: dated(message.attempts),
    events: dated(message.events),
  } as unknown as MessageStatus;
}

/** Reads a flat answer of the database; its times become Dates. */
export function parseDated<T>(json: string): T {
  return withDates(JSON.parse(json), ["createdAt", "until"]) as T;
}

function withDates(object: object, names: readonly string[]): object {
  const entries = Object.entries(object).map(([name, value]) => [name, names.includes(name) ? new Date(value) : value]);
  return Object.fromEntries(entries);
}
