import type { Message } from "../message.ts";
import type { Row } from "../connection.ts";
import { describe, type FakeMail, isOpen, recipientsOf } from "./fake_mail.ts";
import { Refused, refuseIssue } from "./refused.ts";
import { timestampMs } from "./timestamp.ts";

// DESIGN: the client is the real one, and only what its statements call is here: the functions of src/schema, on mails in memory, for one app
// that may send as anybody. A test runs the same cases on both (tests/testing/behaviour.ts), so a change of one that the other has not fails there.

/** The form of a Content-Type that the database takes (003_enqueue.sql), which is stricter than the client's. */
const CONTENT_TYPE =
  /^[!#$&^_.+A-Za-z0-9-]{1,127}\/[!#$&^_.+A-Za-z0-9-]{1,127}(?: *; *(?:[!#$%&*+.^_A-Za-z0-9-]+=(?:"(?:[ !#-[\]^-~]|\\[ -~])*"|[!#$%&*+.^_A-Za-z0-9-]+))?)* *$/;

/** The queue in memory. */
export class FakeDatabase {
  readonly #mails: Map<string, FakeMail>;
  readonly #changed = new Set<string>();
  readonly #now: () => number;

  constructor(now: () => number, mails: Iterable<FakeMail> = []) {
    this.#now = now;
    this.#mails = new Map([...mails].map((mail) => [mail.id, mail]));
  }

  /** In the order of their coming. */
  mails(): readonly FakeMail[] {
    return [...this.#mails.values()];
  }

  clear(): void {
    this.#mails.clear();
  }

  /** The same mails as a transaction sees and changes them. */
  begin(): FakeDatabase {
    return new FakeDatabase(this.#now, this.mails());
  }

  /** Takes over what a transaction has changed. */
  commit(transaction: FakeDatabase): void {
    for (const id of transaction.#changed) this.#put(transaction.#mails.get(id) as FakeMail);
  }

  /** Changes a mail. */
  update(mail: FakeMail, change: Partial<FakeMail>): void {
    this.#put({ ...mail, ...change });
  }

  /** Runs one of the client's statements. */
  run(text: string, values: readonly string[]): Row {
    const [first = "", second = ""] = values;
    switch (/mailchute\.(\w+)\(/.exec(text)?.[1]) {
      case "enqueue_v1":
        return this.#enqueue(JSON.parse(first));
      case "status_v1":
        return { answer: this.#find(first, (mail) => describe(mail, this.#now())) };
      case "cancel_v1":
        return { answer: this.#find(first, (mail) => this.#cancel(mail)) ?? "unknown" };
      case "reschedule_v1": {
        const atMs = timestampMs(second);
        if (atMs === undefined) throw new Refused("22008", `date/time field value out of range: "${second}"`);
        return { answer: this.#find(first, (mail) => this.#reschedule(mail, atMs)) ?? "unknown" };
      }
      default:
        throw new Refused("42883", "The fake mailer knows only the statements of its own client");
    }
  }

  #enqueue(
    { id, idempotencyKey, ...message }: Message & { readonly id: string; readonly idempotencyKey?: string },
  ): Row {
    const nowMs = this.#now();
    message.attachments?.forEach(({ contentType }, index) => {
      if (!CONTENT_TYPE.test(contentType)) {
        refuseIssue(`attachments.${index}.contentType`, "must be a MIME type such as application/pdf");
      }
    });
    const timeOf = (name: "scheduledAt" | "expiresAt") => {
      const text = message[name];
      return text === undefined ? undefined : timestampMs(text) ?? refuseIssue(name, "is not a time");
    };
    const scheduledAtMs = timeOf("scheduledAt");
    const expiresAtMs = timeOf("expiresAt");
    const firstDueMs = Math.max(scheduledAtMs ?? nowMs, nowMs);
    if (expiresAtMs !== undefined && expiresAtMs <= firstDueMs) {
      refuseIssue("expiresAt", "is not after the time of sending");
    }

    const request = canonical(message);
    if (this.#mails.has(id)) return { id, created: false };
    const known = this.mails().find((mail) => idempotencyKey !== undefined && mail.idempotencyKey === idempotencyKey);
    if (known !== undefined && known.request !== request) {
      throw new Refused("MC004", `Idempotency key ${idempotencyKey} was used for another mail`);
    }
    if (known !== undefined) return { id: known.id, created: false };
    this.#put({
      ...{ id, idempotencyKey, request, message, scheduledAtMs, expiresAtMs, firstDueMs },
      ...{ createdAtMs: nowMs, dueMs: firstDueMs, isLeased: false, attempts: [] },
      recipients: recipientsOf(message, { nowMs, dueMs: firstDueMs }),
    });
    return { id, created: true };
  }

  #cancel(mail: FakeMail): string {
    if (mail.dueMs !== undefined && !mail.isLeased) {
      const atMs = this.#now();
      const recipients = mail.recipients.map((recipient) =>
        isOpen(recipient)
          ? { ...recipient, state: "canceled" as const, reason: "Canceled by the app", atMs }
          : recipient
      );
      this.update(mail, { recipients, dueMs: undefined });
      return "canceled";
    }
    return mail.recipients.some(({ state }) => state === "canceled") ? "canceled" : "too_late";
  }

  #reschedule(mail: FakeMail, atMs: number): string {
    if (mail.expiresAtMs !== undefined && mail.expiresAtMs <= atMs) refuseIssue("at", "is not before expiresAt");
    if (mail.dueMs === undefined || mail.isLeased || mail.attempts.length > 0) return "too_late";
    const dueMs = Math.max(atMs, this.#now());
    this.update(mail, {
      scheduledAtMs: atMs,
      dueMs,
      recipients: mail.recipients.map((recipient) => ({ ...recipient, dueMs })),
    });
    return "rescheduled";
  }

  #find<T>(id: string, use: (mail: FakeMail) => T): T | undefined {
    const mail = this.#mails.get(id.toLowerCase());
    return mail === undefined ? undefined : use(mail);
  }

  #put(mail: FakeMail): void {
    this.#mails.set(mail.id, mail);
    this.#changed.add(mail.id);
  }
}

/** The same text for the same mail, in whatever order the keys of its objects are: so does jsonb. */
function canonical(value: unknown): string {
  return JSON.stringify(
    value,
    (_, part: unknown) =>
      typeof part === "object" && part !== null && !Array.isArray(part)
        ? Object.fromEntries(Object.entries(part).toSorted(([one], [other]) => one < other ? -1 : 1))
        : part,
  );
}
