import type { Row } from "../connection.ts";
import type { Message } from "../message.ts";
import { merge, type Values } from "../template.ts";
import { canonical, type FakeTables, messageTimes, newMail } from "./fake_enqueue.ts";
import { STREAMS } from "./fake_streams.ts";
import { batchOfTemplate, type FakeMessage, valueIssues } from "./fake_template.ts";
import { Refused, refuseIssue } from "./refused.ts";

/** A bulk send in memory. */
export interface FakeBatch {
  readonly id: string;
  /** Its name, or its id. */
  readonly name: string;
  readonly request: string;
  readonly mail: FakeMessage;
  readonly createdAtMs: number;
}

/** A part of a bulk send, as the client writes it (src/enqueue_many.ts). */
export interface PartRequest {
  readonly id: string;
  readonly batch?: string;
  readonly first: number;
  readonly skip: boolean;
  readonly mail?: Message;
  readonly recipients: readonly (PartRecipient | null)[];
}

type PartRecipient = readonly [email: string, name: string | null, key: string | null, variables: Values];

interface Fault {
  readonly index: number;
  readonly path: string;
  readonly message: string;
}

/** Puts a part of a bulk send into the queue, as `enqueue_many_v1` does. */
export function enqueueMany(tables: FakeTables, request: PartRequest, nowMs: number): Row {
  const batch = batchOf(tables, request, nowMs);
  const times = messageTimes(batch.mail, nowMs);
  const refused: Fault[] = [];
  let created = 0;
  let existing = 0;
  request.recipients.forEach((recipient, offset) => {
    if (recipient === null) return;
    const index = request.first + offset;
    const [email, name, key, variables] = recipient;
    const fault = (path: string, message: string) =>
      refused.push({ index, path: `recipients.${index}.${path}`, message });
    const { subject, text, html } = batch.mail;
    const issues = valueIssues(variables, { subject, all: [subject, text, html], where: "a header" });
    for (const { path, message } of issues) fault(path, message);
    if (issues.length > 0) return;
    const batchKey = key ?? keyOf(email);
    const known = tables.mails.all().find((mail) => mail.batch === batch.name && mail.batchKey === batchKey);
    if (known !== undefined && known.id.slice(0, -8) === request.id.slice(0, -8)) {
      if (known.id === idAt(request.id, index)) existing++;
      else fault("to", "is there twice: give each of them a key of its own, or leave one out");
    } else if (known !== undefined) existing++;
    else {
      created++;
      const id = idAt(request.id, index);
      const message = merged(batch.mail, { to: [name === null ? { email } : { email, name }], variables });
      const options = { id, idempotencyKey: undefined, request: "", times, nowMs };
      tables.mails.set(id, { ...newMail(tables, message, options), batch: batch.name, batchKey });
    }
  });
  const [first] = refused;
  if (first !== undefined && !request.skip) {
    throw new Refused("MC001", `Cannot enqueue the mail: ${first.path} ${first.message}`, refused);
  }
  return { batch: batch.name, created, existing, refused: JSON.stringify(refused) };
}

function batchOf({ batches, templates }: FakeTables, { id, batch: name, mail }: PartRequest, nowMs: number): FakeBatch {
  const key = name ?? id;
  const known = batches.get(key);
  if (mail === undefined) return known ?? refuseIssue("mail", "is missing, and no batch of this name or id has begun");
  const request = canonical(mail);
  if (known !== undefined && known.request !== request) {
    throw new Refused("MC004", `Batch ${key} was begun with another mail`);
  }
  const batch = known ?? { id, name: key, request, mail: batchOfTemplate(mail, templates), createdAtMs: nowMs };
  batches.set(key, batch);
  return batch;
}

/** What one recipient gets: the relay merges it so when it composes the mail. */
function merged(
  mail: FakeMessage,
  { to, variables }: { readonly to: NonNullable<Message["to"]>; readonly variables: Values },
): FakeMessage {
  const { subject, text, html, headers, unsubscribe, template } = mail;
  return {
    ...mail,
    to,
    subject: merge(subject, variables),
    ...(text === undefined ? {} : { text: merge(text, variables) }),
    ...(html === undefined ? {} : { html: merge(html, variables, "html") }),
    ...(headers === undefined
      ? {}
      : { headers: headers.map(([name, value]) => [name, merge(value, variables)] as const) }),
    ...(unsubscribe === undefined ? {} : { unsubscribe: merge(unsubscribe, variables, "url") }),
    ...(template === undefined ? {} : { template: { ...template, variables } }),
    priority: mail.priority ?? STREAMS.get(mail.stream)?.priority ?? "low",
  };
}

/** How a batch knows who has a mail of it: the domain's case says nothing, the local part's might. */
function keyOf(email: string): string {
  const at = email.lastIndexOf("@");
  return email.slice(0, at) + email.slice(at).toLowerCase();
}

/** All ids of a call differ in the place only. */
function idAt(id: string, index: number): string {
  return id.slice(0, -8) + index.toString(16).padStart(8, "0");
}
