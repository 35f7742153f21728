import type { Mailbox } from "../address.ts";
import type { Message } from "../message.ts";
import type { State } from "../state.ts";
import type { AttemptStatus } from "../status.ts";
import type { FakeMessage } from "./fake_template.ts";

/** One recipient of a mail in memory. */
export interface FakeRecipient {
  readonly position: number;
  readonly kind: "to" | "cc" | "bcc";
  readonly address: string;
  /** As it is stored: `scheduled` and `sending` follow from the mail. */
  readonly state: Exclude<State, "scheduled" | "sending">;
  readonly atMs: number;
  readonly reason: string | undefined;
  /** When this one is to be tried: in the queue, the first of a mail takes the others along. */
  readonly dueMs: number;
}

/** An attempt as it is stored; its time in milliseconds since 1970. */
export type FakeAttempt = Omit<AttemptStatus, "at" | "address"> & { readonly atMs: number; readonly position: number };

/** A mail in memory, as a row of `message` with those that belong to it. */
export interface FakeMail {
  readonly id: string;
  readonly idempotencyKey: string | undefined;
  /** What an equal key must come with. */
  readonly request: string;
  readonly message: FakeMessage;
  readonly createdAtMs: number;
  readonly scheduledAtMs: number | undefined;
  readonly expiresAtMs: number | undefined;
  /** How long after it is due, where its stream has said it. */
  readonly expiresAfterMs: number | undefined;
  /** When its age begins to count. */
  readonly firstDueMs: number;
  /** Undefined: it is in the queue no longer. */
  readonly dueMs: number | undefined;
  /** A relay holds it. */
  readonly isLeased: boolean;
  /** The name of its bulk send, and what tells it from the others there. */
  readonly batch?: string;
  readonly batchKey?: string;
  readonly recipients: readonly FakeRecipient[];
  readonly attempts: readonly FakeAttempt[];
  /** It is an item of a digest: the id of the mail in which it went out, its own when it was alone. */
  readonly item?: { readonly digest?: string } | undefined;
  /** It is a digest: of what, and of how many items. */
  readonly gathered?: { readonly key: string; readonly items: number };
}

/** The states of a message in the order in which they stand for it, as in the database (005_status.sql). */
const BY_RANK: readonly State[] = [
  ...["sending", "queued", "deferred", "scheduled", "held"] as const,
  ...["failed", "bounced", "expired", "canceled", "suppressed", "sent"] as const,
];

/** The recipients of a new mail. */
export function recipientsOf(
  message: Message,
  { nowMs, dueMs }: { readonly nowMs: number; readonly dueMs: number },
): readonly FakeRecipient[] {
  const kinds = ["to", "cc", "bcc"] as const;
  return kinds.flatMap((kind) => (message[kind] ?? []).map(({ email }: Mailbox) => [kind, email] as const))
    .map(([kind, address], position) => ({
      position,
      kind,
      address,
      state: "queued",
      atMs: nowMs,
      reason: undefined,
      dueMs,
    }));
}

/** Tells whether a recipient waits for an attempt, or for a person. */
export function isOpen({ state }: FakeRecipient): boolean {
  return state === "queued" || state === "deferred" || state === "held";
}

/**
 * All about a mail but its content, as the JSON of `status_v1`.
 *
 * @param digest what an item went out in tells its state
 */
export function describe(mail: FakeMail, nowMs: number, digest: FakeMail = mail): string {
  const { state, recipients, attempts, nextAttemptAt } = described(digest, nowMs);
  return JSON.stringify({ ...described(mail, nowMs), state, recipients, attempts, nextAttemptAt });
}

function described(mail: FakeMail, nowMs: number) {
  const { id, message, recipients, attempts, isLeased, dueMs } = mail;
  const shown = recipients.map((recipient) => shownState(mail, recipient, nowMs));
  // JSON leaves out what is undefined.
  return {
    id,
    app: "app",
    state: BY_RANK.find((state) => shown.includes(state)),
    createdAt: iso(mail.createdAtMs),
    scheduledAt: iso(mail.scheduledAtMs),
    expiresAt: iso(mail.expiresAtMs),
    nextAttemptAt: isLeased || dueMs === Infinity ? undefined : iso(dueMs),
    stream: message.stream,
    overrideSuppression: message.overrideSuppression || undefined,
    batch: mail.batch,
    digest: digestOf(mail),
    tags: message.tags ?? [],
    metadata: message.metadata ?? {},
    recipients: recipients.map(({ position, kind, address, atMs, reason }, index) => {
      const last = attempts.findLast((attempt) => attempt.position === position);
      return {
        ...{ position, kind, address, state: shown[index], at: iso(atMs) },
        ...{ code: last?.code, enhanced: last?.enhanced, reason: reason ?? last?.reply },
      };
    }),
    attempts: attempts.toSorted((one, other) => one.number - other.number || one.position - other.position)
      .map(({ atMs, position, ...attempt }) => ({ ...attempt, at: iso(atMs), address: recipients[position]?.address })),
    events: [],
  };
}

/** How a mail stands to a digest. */
function digestOf({ message: { digest }, item, gathered }: FakeMail): object | undefined {
  return item === undefined ? gathered : { key: digest?.key, id: item.digest };
}

/** The state that people see. */
export function shownState(mail: FakeMail, { state }: FakeRecipient, nowMs: number): State {
  if (state !== "queued" && state !== "deferred") return state;
  if (mail.isLeased) return "sending";
  const waits = state === "queued" && mail.attempts.length === 0 && (mail.scheduledAtMs ?? 0) > nowMs;
  return waits ? "scheduled" : state;
}

/** A time as JSON has it. */
export function iso(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : new Date(ms).toISOString();
}
