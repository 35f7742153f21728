import type { Row } from "../connection.ts";
import type { Message } from "../message.ts";
import { isOverridable } from "../suppression.ts";
import type { FakeBatch } from "./fake_batch.ts";
import { checkDigest, digestLatestMs } from "./fake_digest.ts";
import { type FakeMail, isOpen, recipientsOf } from "./fake_mail.ts";
import { STREAMS } from "./fake_streams.ts";
import type { FakeTable } from "./fake_table.ts";
import { type FakeMessage, type FakeTemplate, mailOfTemplate } from "./fake_template.ts";
import { Refused, refuseIssue } from "./refused.ts";
import { timestampMs } from "./timestamp.ts";

/** An address on the suppression list of the app. */
export interface FakeSuppression {
  readonly address: string;
  readonly reason: string;
  readonly createdAtMs: number;
}

/** What the queue in memory keeps. */
export interface FakeTables {
  readonly mails: FakeTable<FakeMail>;
  /** By name, or by id where there is none. */
  readonly batches: FakeTable<FakeBatch>;
  /** By address. */
  readonly suppressions: FakeTable<FakeSuppression>;
  /** Undefined: any name will do. */
  readonly templates: readonly FakeTemplate[] | undefined;
}

/** The times of a mail in milliseconds since 1970. */
export type MessageTimes = Pick<FakeMail, "scheduledAtMs" | "expiresAtMs" | "expiresAfterMs" | "firstDueMs">;

/** Puts a mail into the queue, as `enqueue_v1` does. */
export function enqueue(
  tables: FakeTables,
  given: Message & { readonly id: string; readonly idempotencyKey?: string },
  nowMs: number,
): Row {
  const { id, idempotencyKey, ...asked } = given;
  const request = canonical(asked);
  const known = tables.mails.all().find((mail) =>
    idempotencyKey !== undefined && mail.idempotencyKey === idempotencyKey
  );
  // Whatever has become of the template.
  if (asked.template !== undefined && known?.request === request) return { id: known.id, created: false };
  const message = mailOfTemplate(asked, tables.templates);
  const times = messageTimes(message, nowMs);
  if (tables.mails.get(id) !== undefined) return { id, created: false };
  if (known !== undefined && known.request !== request) {
    throw new Refused("MC004", `Idempotency key ${idempotencyKey} was used for another mail`);
  }
  if (known !== undefined) return { id: known.id, created: false };
  tables.mails.set(id, newMail(tables, message, { id, idempotencyKey, request, times, nowMs }));
  return { id, created: true };
}

/** Reads the times of a mail, and checks with them what only the database checks. */
export function messageTimes(message: Message, nowMs: number): MessageTimes {
  const timeOf = (name: "scheduledAt" | "expiresAt") => {
    const text = message[name];
    return text === undefined ? undefined : timestampMs(text) ?? refuseIssue(name, "is not a time");
  };
  const { digest } = message;
  if (digest !== undefined) checkDigest(message);
  const scheduledAtMs = digest === undefined ? timeOf("scheduledAt") : digestLatestMs(digest, nowMs);
  const expiresAtMs = timeOf("expiresAt");
  const firstDueMs = Math.max(scheduledAtMs ?? nowMs, nowMs);
  if (expiresAtMs !== undefined && expiresAtMs <= firstDueMs) {
    refuseIssue("expiresAt", "is not after the time of sending");
  }
  const { expiresAfterMs, refusesDigests } = STREAMS.get(message.stream) ?? {};
  if (digest !== undefined && refusesDigests) {
    refuseIssue("digest", `does not go with the stream ${message.stream}, whose mails go out one by one`);
  }
  // Of an item, from the end of its window, which does not come here.
  if (expiresAtMs !== undefined || expiresAfterMs === undefined || digest !== undefined) {
    return { scheduledAtMs, expiresAtMs, expiresAfterMs: undefined, firstDueMs };
  }
  return { scheduledAtMs, expiresAtMs: firstDueMs + expiresAfterMs, expiresAfterMs, firstDueMs };
}

/** A new mail; it is in the queue unless all of its recipients are suppressed. */
export function newMail(
  { suppressions }: FakeTables,
  message: FakeMessage,
  options: Pick<FakeMail, "id" | "idempotencyKey" | "request"> & {
    readonly times: MessageTimes;
    readonly nowMs: number;
  },
): FakeMail {
  const { times, nowMs, ...row } = options;
  const recipients = recipientsOf(message, { nowMs, dueMs: times.firstDueMs }).map((recipient) => {
    const suppression = suppressions.get(recipient.address.toLowerCase());
    if (suppression === undefined || (message.overrideSuppression && isOverridable(suppression.reason))) {
      return recipient;
    }
    return { ...recipient, state: "suppressed" as const, reason: `On the suppression list: ${suppression.reason}` };
  });
  return {
    ...{ ...row, ...times, message, recipients, createdAtMs: nowMs, isLeased: false, attempts: [] },
    // Windows do not end by themselves here: an item waits until something is simulated, or its window is closed.
    dueMs: !recipients.some(isOpen) ? undefined : message.digest === undefined ? times.firstDueMs : Infinity,
    // Suppressed from the start: it never was an item.
    item: message.digest !== undefined && recipients.some(isOpen) ? {} : undefined,
  };
}

/** The same text for the same mail, in whatever order the keys of its objects are: so does jsonb. */
export function canonical(value: unknown): string {
  return JSON.stringify(
    value,
    (_, part: unknown) =>
      typeof part === "object" && part !== null && !Array.isArray(part)
        ? Object.fromEntries(Object.entries(part).toSorted(([one], [other]) => one < other ? -1 : 1))
        : part,
  );
}
