import type { DigestFields } from "../digest.ts";
import { digestBody } from "../mime/digest_body.ts";
import { octets } from "../octets.ts";
import { merge } from "../template.ts";
import { uuidv7 } from "../uuid.ts";
import type { FakeTables } from "./fake_enqueue.ts";
import { type FakeMail, recipientsOf } from "./fake_mail.ts";
import { STREAMS } from "./fake_streams.ts";
import type { FakeMessage } from "./fake_template.ts";

// What close_digest and make_digest of 013_digests.sql do, with windows that end when the test says so.

const SHOWN_ITEMS = 50;
const SHOWN_BYTES = 1_000_000;
const MOST_TAGS = 50;
const PRIORITIES = ["high", "normal", "low"] as const;

/** Ends the windows of all digests, and makes a mail of each. @returns their ids */
export function closeDigests({ mails, suppressions }: FakeTables, nowMs: number): readonly string[] {
  const put = (mail: FakeMail, change: Partial<FakeMail>) => mails.set(mail.id, { ...mail, ...change });
  const open = mails.all().filter(({ item }) => item !== undefined && item.digest === undefined);
  // Who was canceled is no item any more: nobody asks for its window.
  for (const mail of open) if (mail.dueMs === undefined) put(mail, { item: undefined });
  const waiting = open.filter(({ dueMs }) => dueMs !== undefined);
  const groups = new Map<string, readonly FakeMail[]>();
  for (const mail of waiting) groups.set(groupOf(mail), [...groups.get(groupOf(mail)) ?? [], mail]);
  return [...groups.values()].flatMap((items) => {
    const newest = items.at(-1) as FakeMail;
    const reason = suppressions.get(addressOf(newest))?.reason;
    if (reason !== undefined) {
      for (const mail of items) {
        const recipients = mail.recipients.map((recipient) => (
          { ...recipient, state: "suppressed" as const, reason: `On the suppression list: ${reason}`, atMs: nowMs }
        ));
        put(mail, { recipients, dueMs: undefined, item: undefined });
      }
      return [];
    }
    const expiresAfterMs = STREAMS.get(newest.message.stream)?.expiresAfterMs;
    const expiresAtMs = expiresAfterMs === undefined ? undefined : nowMs + expiresAfterMs;
    const times = { expiresAfterMs, expiresAtMs, firstDueMs: nowMs, dueMs: nowMs };
    if (items.length === 1) {
      put(newest, { ...times, scheduledAtMs: nowMs, item: { digest: newest.id } });
      return [newest.id];
    }
    const id = uuidv7(nowMs, crypto.randomUUID());
    for (const mail of items) put(mail, { dueMs: undefined, item: { digest: id } });
    const message = messageOf(items, newest.message);
    mails.set(id, {
      ...{
        ...times,
        id,
        message,
        idempotencyKey: undefined,
        request: "",
        createdAtMs: nowMs,
        scheduledAtMs: undefined,
      },
      ...{ isLeased: false, attempts: [], recipients: recipientsOf(message, { nowMs, dueMs: nowMs }) },
      gathered: { key: keyOf(newest), items: items.length },
    });
    return [id];
  });
}

/** From whom it is and how it is sent, the newest says. */
function messageOf(items: readonly FakeMail[], newest: FakeMessage): FakeMessage {
  const { digest, text: _, html: __, template: ___, metadata: ____, ...rest } = newest;
  const tags = [...new Set(items.flatMap(({ message }) => message.tags ?? []))].slice(0, MOST_TAGS);
  const asked = items.map(({ message }) => message.priority ?? STREAMS.get(message.stream)?.priority ?? "normal");
  const { maxItems = SHOWN_ITEMS, subject, more = "and {{more}} more" }: Partial<DigestFields> = { ...digest };
  let bytes = 0;
  const shown = items.slice(0, maxItems).filter(({ message: { text = "", html = "" } }, index) => {
    bytes += octets(text) + octets(html);
    return bytes <= SHOWN_BYTES || index === 0;
  });
  const left = items.length - shown.length;
  const body = digestBody({
    items: shown.map(({ message }) => ({
      subject: message.subject,
      ...(message.text === undefined ? {} : { text: message.text }),
      ...(message.html === undefined ? {} : { html: message.html }),
    })),
    ...(left === 0 ? {} : { more: merge(more, { more: String(left) }) }),
  });
  return {
    ...rest,
    subject: subject === undefined
      ? `${newest.subject} (+${items.length - 1})`
      : merge(subject, { count: String(items.length) }),
    text: body.text,
    ...(body.html === null ? {} : { html: body.html }),
    ...(tags.length === 0 ? {} : { tags }),
    priority: PRIORITIES.find((priority) => asked.includes(priority)) ?? "normal",
  };
}

function groupOf(mail: FakeMail): string {
  return JSON.stringify([addressOf(mail), keyOf(mail)]);
}

function keyOf({ message: { digest } }: FakeMail): string {
  return String(digest?.key);
}

function addressOf({ recipients: [recipient] }: FakeMail): string {
  return String(recipient?.address).toLowerCase();
}
