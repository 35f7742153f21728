import type { Row } from "../connection.ts";
import { isOverridable } from "../suppression.ts";
import { enqueueMany, type FakeBatch } from "./fake_batch.ts";
import { closeDigests } from "./fake_digest_close.ts";
import { enqueue, type FakeSuppression, type FakeTables } from "./fake_enqueue.ts";
import { describe, type FakeMail, iso, isOpen, shownState } from "./fake_mail.ts";
import { FakeTable } from "./fake_table.ts";
import type { FakeTemplate } from "./fake_template.ts";
import { Refused, refuseIssue } from "./refused.ts";
import { timestampMs } from "./timestamp.ts";

// DESIGN: the client is the real one, and only what its statements call is here: the functions of src/schema, on mails
// in memory, for one app that may send as anybody. A test runs the same cases on both (tests/testing/behaviour.ts), so
// a change of one that the other has not fails there.

/** The queue in memory. */
export class FakeDatabase {
  readonly #tables: FakeTables;
  readonly #now: () => number;

  constructor(
    now: () => number,
    templates?: readonly FakeTemplate[],
    tables: FakeTables = { mails: new FakeTable(), batches: new FakeTable(), suppressions: new FakeTable(), templates },
  ) {
    this.#now = now;
    this.#tables = tables;
  }

  /** In the order of their coming. */
  mails(): readonly FakeMail[] {
    return this.#tables.mails.all();
  }

  clear(): void {
    const { mails, batches, suppressions } = this.#tables;
    for (const table of [mails, batches, suppressions]) table.clear();
  }

  /** The same rows as a transaction sees and changes them. */
  begin(): FakeDatabase {
    const { mails, batches, suppressions, templates } = this.#tables;
    const tables = { mails: mails.begin(), batches: batches.begin(), suppressions: suppressions.begin(), templates };
    return new FakeDatabase(this.#now, templates, tables);
  }

  /** Takes over what a transaction has changed. */
  commit(transaction: FakeDatabase): void {
    const { mails, batches, suppressions } = transaction.#tables;
    this.#tables.mails.commit(mails);
    this.#tables.batches.commit(batches);
    this.#tables.suppressions.commit(suppressions);
  }

  /** Why an address is on the list of those that get no mail; undefined: it is not. */
  suppressionOf(address: string): string | undefined {
    return this.#tables.suppressions.get(address.toLowerCase())?.reason;
  }

  /** What a mail went out in: itself, but for an item of a digest. */
  carrierOf(id: string): FakeMail | undefined {
    return this.#find(id, (mail) => this.#tables.mails.get(mail.item?.digest ?? mail.id));
  }

  /** Ends the windows of all digests. @returns the mails that go out, in the order of their first items */
  closeDigests(): readonly FakeMail[] {
    return closeDigests(this.#tables, this.#now()).flatMap((id) => this.#tables.mails.get(id) ?? []);
  }

  /** Changes a mail. */
  update(mail: FakeMail, change: Partial<FakeMail>): void {
    this.#tables.mails.set(mail.id, { ...mail, ...change });
  }

  /** Runs one of the client's statements: all of it, or nothing when it throws. */
  run(text: string, values: readonly string[]): Row {
    const statement = this.begin();
    const row = statement.#call(/mailchute\.(\w+)\(/.exec(text)?.[1], values);
    this.commit(statement);
    return row;
  }

  #call(name: string | undefined, [first = "", second = ""]: readonly string[]): Row {
    switch (name) {
      case "enqueue_v1":
        return enqueue(this.#tables, JSON.parse(first), this.#now());
      case "enqueue_many_v1":
        return enqueueMany(this.#tables, JSON.parse(first), this.#now());
      case "status_v1":
        return { answer: this.#find(first, (mail) => describe(mail, this.#now(), this.carrierOf(mail.id))) };
      case "batch_status_v1":
        return { answer: this.#batchStatus(first) };
      case "cancel_v1":
        return { answer: this.#find(first, (mail) => this.#cancel(mail)) ?? "unknown" };
      case "cancel_many_v1":
        return { answer: this.#cancelMany(JSON.parse(first)) };
      case "reschedule_v1": {
        const atMs = timestampMs(second);
        if (atMs === undefined) throw new Refused("22008", `date/time field value out of range: "${second}"`);
        return { answer: this.#find(first, (mail) => this.#reschedule(mail, atMs)) ?? "unknown" };
      }
      case "suppress_v1":
        return { answer: this.#suppress(first.toLowerCase(), second) };
      case "suppression_v1":
        return { answer: suppressionJson(this.#tables.suppressions.get(first.toLowerCase())) };
      case "unsuppress_v1":
        return { answer: String(this.#tables.suppressions.delete(first.toLowerCase())) };
      default:
        throw new Refused("42883", "The fake mailer knows only the statements of its own client");
    }
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

  #cancelMany(which: { readonly batch?: string; readonly tag?: string }): number {
    const { batch, tag } = which;
    if (Object.keys(which).length !== 1) refuseIssue("", 'must be {"batch": "name"} or {"tag": "name"}');
    const known = batch === undefined ? undefined : this.#batch(batch);
    const isMeant = ({ batch, message }: FakeMail) =>
      tag === undefined ? known !== undefined && batch === known.name : message.tags?.includes(tag) === true;
    const chosen = this.mails().filter((mail) => mail.dueMs !== undefined && !mail.isLeased && isMeant(mail));
    for (const mail of chosen) this.#cancel(mail);
    return chosen.length;
  }

  #reschedule(mail: FakeMail, atMs: number): string {
    const dueMs = Math.max(atMs, this.#now());
    // What its stream has said counts from when it is due, and goes along.
    const expiresAtMs = mail.expiresAfterMs === undefined ? mail.expiresAtMs : dueMs + mail.expiresAfterMs;
    if (expiresAtMs !== undefined && expiresAtMs <= atMs) refuseIssue("at", "is not before expiresAt");
    // One that was canceled too, as long as its window is open.
    if (mail.item !== undefined && mail.item.digest === undefined) {
      refuseIssue(
        "at",
        "is not for an item of a digest, whose window says when it is sent: cancel it, and send it anew",
      );
    }
    if (mail.dueMs === undefined || mail.isLeased || mail.attempts.length > 0) return "too_late";
    const recipients = mail.recipients.map((recipient) => ({ ...recipient, dueMs }));
    this.update(mail, { scheduledAtMs: atMs, expiresAtMs, dueMs, recipients });
    return "rescheduled";
  }

  #batchStatus(name: string): string | undefined {
    const batch = this.#batch(name);
    if (batch === undefined) return undefined;
    const mails = this.mails().filter((mail) => mail.batch === batch.name);
    const states: Record<string, number> = {};
    for (const mail of mails) {
      for (const recipient of mail.recipients) {
        const state = shownState(mail, recipient, this.#now());
        states[state] = (states[state] ?? 0) + 1;
      }
    }
    return JSON.stringify({
      batch: batch.name,
      createdAt: iso(batch.createdAtMs),
      total: mails.length,
      states,
      events: {},
    });
  }

  /** An id stands for a batch without a name, in capitals too. */
  #batch(name: string): FakeBatch | undefined {
    const { batches } = this.#tables;
    return batches.get(name) ??
      batches.all().find((batch) => batch.name === batch.id && batch.id === name.toLowerCase());
  }

  #suppress(address: string, reason: string): string {
    const known = this.#tables.suppressions.get(address);
    // A bounce or a complaint stays one.
    const stays = known !== undefined && isOverridable(reason) && !isOverridable(known.reason);
    const row = { address, reason: stays ? known.reason : reason, createdAtMs: known?.createdAtMs ?? this.#now() };
    this.#tables.suppressions.set(address, row);
    return "";
  }

  #find<T>(id: string, use: (mail: FakeMail) => T): T | undefined {
    const mail = this.#tables.mails.get(id.toLowerCase());
    return mail === undefined ? undefined : use(mail);
  }
}

function suppressionJson(suppression: FakeSuppression | undefined): string | undefined {
  if (suppression === undefined) return undefined;
  const { address, reason, createdAtMs } = suppression;
  return JSON.stringify({ address, reason, scope: "app", createdAt: iso(createdAtMs) });
}
