import { neon } from "@neondatabase/serverless";
import pg from "pg";
import postgres from "postgres";
import {
  type Attachment,
  type Connection,
  createMailer,
  type Digest,
  type FinalState,
  isFinal,
  type Mailer,
  type MailerOptions,
  type MailTemplate,
  type MessageInput,
  type SendOptions,
  type State,
  type Statement,
} from "../../mod.ts";

// Compiled by tsc and never run: what must compile, and what must not.

const BASE = { to: "ann@example.com", subject: "s" };
const CONTENT = new Uint8Array();

/** What an app may write. */
export const GOOD: readonly MessageInput[] = [
  { ...BASE, text: "t" },
  { ...BASE, html: "<p>" },
  { ...BASE, html: Promise.resolve("<p>"), text: undefined },
  { ...BASE, html: { toString: () => Promise.resolve("<p>") } },
  { bcc: ["a@b.example", { email: "c@d.example", name: undefined }], subject: "s", text: "t", cc: undefined },
  { ...BASE, text: "t", headers: [["X-A", "1"], ["X-A", "2"]] },
  {
    ...BASE,
    text: "t",
    attachments: [new File([], "a"), { filename: "a", content: CONTENT }, { filename: "a", content: CONTENT.buffer }],
  },
  { ...BASE, text: "t", attachments: [{ filename: "a", content: "x", encoding: "utf-8" }] },
  { to: "a@b.example", template: { name: "welcome" } },
  {
    to: "a@b.example",
    template: { name: "welcome", language: "de-AT", version: 2, variables: { a: "b", n: 7 } },
    tags: ["a"],
  },
  {
    ...BASE,
    text: "t",
    scheduledAt: new Date(),
    expiresAt: "2030-01-01T00:00:00Z",
    onUncertain: "hold",
    stream: "bulk",
    priority: "low",
    digest: {
      key: "k",
      wait: "10m",
      debounce: true,
      atMost: "2h",
      subject: "{{count}} new",
      more: "+{{more}}",
      maxItems: 9,
    },
  },
];

// @ts-expect-error A string attachment needs its encoding.
export const withoutEncoding: Attachment = { filename: "a", content: "text" };
// @ts-expect-error There are two encodings.
export const oddEncoding: Attachment = { filename: "a", content: "text", encoding: "hex" };
// @ts-expect-error Bytes have no encoding.
export const bytesWithEncoding: Attachment = { filename: "a", content: CONTENT, encoding: "base64" };
// @ts-expect-error Files and URLs are not read.
export const withPath: Attachment = { filename: "a", path: "/etc/passwd" };
// @ts-expect-error No such field.
export const unknownField: MessageInput = { ...BASE, text: "t", reply_to: "a@b.example" };
// @ts-expect-error A window ends after a time or at a time of day.
export const twoWindows: Digest = { key: "k", wait: "1h", at: "09:00", timeZone: "UTC" };
// @ts-expect-error A time of day is one of some zone.
export const digestSomewhere: Digest = { key: "k", at: "09:00" };
// @ts-expect-error A batch has no digest.
export const batchDigest: MailTemplate = { subject: "s", text: "t", digest: { key: "k", wait: "1h" } };
// @ts-expect-error A template has a subject of its own.
export const templateWithSubject: MessageInput = { ...BASE, template: { name: "welcome" } };
// @ts-expect-error A template has a name.
export const templateWithoutName: MessageInput = { to: "a@b.example", template: { language: "de" } };
// @ts-expect-error One stream.
export const streams: MessageInput = { ...BASE, text: "t", stream: ["bulk"] };
// @ts-expect-error A mail has a text or HTML.
export const withoutBody: MessageInput = { ...BASE };
// @ts-expect-error A number does not turn itself into HTML.
export const numberHtml: MessageInput = { ...BASE, html: 7 };
// @ts-expect-error A mail has a subject.
export const withoutSubject: MessageInput = { to: "a@b.example", text: "t" };
// @ts-expect-error Metadata are strings.
export const numberMetadata: MessageInput = { ...BASE, text: "t", metadata: { order: 7 } };
// @ts-expect-error No such priority.
export const oddPriority: MessageInput = { ...BASE, text: "t", priority: "urgent" };
// @ts-expect-error A number is no time.
export const numberTime: MessageInput = { ...BASE, text: "t", scheduledAt: 0 };
// @ts-expect-error The key belongs into the options with this spelling.
export const oddOption: SendOptions = { idempotencykey: "k" };
// @ts-expect-error Only this word.
export const oddTransaction: MailerOptions = { transaction: "optional" };
// @ts-expect-error A URL is no connection.
export const url: Connection = "postgres://user:secret@host/db";
// @ts-expect-error An object that runs nothing is no connection.
export const nothing: Connection = {};
// @ts-expect-error There is always a connection.
export const nullConnection: Connection = null;

/** Each driver's own types go in, and what comes out goes into each driver. */
export async function drivers(mail: Mailer): Promise<void> {
  const sql = postgres();
  const http = neon("");
  const client: pg.PoolClient = await new pg.Pool().connect();
  for (const db of [sql, http, client, new pg.Pool(), new pg.Client()]) createMailer(db);
  const statement: Statement = await mail.statement({ ...BASE, text: "t" });
  await sql.unsafe(statement.text, statement.values);
  await http.transaction([http`select 1`, http.query(statement.text, statement.values)]);
  await client.query(statement);
  await sql.begin((tx) => mail.send({ ...BASE, text: "t" }, { tx }));
  // @ts-expect-error A statement is made outside of any transaction.
  await mail.statement({ ...BASE, text: "t" }, { tx: sql });
}

/** The names in a template that the compiler sees are what each recipient must have. */
export async function bulk(mail: Mailer, text: string): Promise<void> {
  const to = "a@b.example";
  const template = { subject: "{{ first }} {{last}}", text: "Dear {{first}}" } as const;
  await mail.sendMany(template, [{ to, variables: { first: "A", last: 7 }, key: "k" }]);
  await mail.sendMany({ subject: "s", text: "t" }, [{ to }, { to, variables: {} }]);
  await mail.sendMany({ subject: "{{a}}", html: "<p>{{b}}</p>" }, [{ to, variables: { a: "", b: "" } }]);
  // What is read or rendered may hold any names, or none.
  await mail.sendMany({ subject: "{{a}}", text }, [{ to }, { to, variables: { b: "" } }]);
  await mail.sendMany({ subject: "{{a}}", html: Promise.resolve(text) }, [{ to, variables: { a: "" } }]);
  await mail.sendMany({ subject: "s", text: "t", headers: { "X-A": "{{a}}" } }, [{ to, variables: { a: "" } }]);
  // So may what lies in the database.
  await mail.sendMany({ template: { name: "news", language: "de" } }, [{ to }, { to, variables: { b: 7 } }]);
  async function* list() {
    yield { to, variables: { first: "A", last: "B" } };
  }
  await mail.sendMany(template, list(), { batch: "b", onInvalid: "skip", onProgress: ({ created }) => created });
  // @ts-expect-error The variable last is missing.
  await mail.sendMany(template, [{ to, variables: { first: "A" } }]);
  // @ts-expect-error No such name in the template.
  await mail.sendMany(template, [{ to, variables: { first: "A", last: "B", middle: "C" } }]);
  // @ts-expect-error All variables are missing.
  await mail.sendMany(template, [{ to }]);
  // @ts-expect-error A Date is no text.
  await mail.sendMany(template, [{ to, variables: { first: "A", last: new Date() } }]);
  // @ts-expect-error Each gets a mail of their own.
  await mail.sendMany(template, [{ to: [to], variables: { first: "A", last: "B" } }]);
  // @ts-expect-error A template has no recipients.
  await mail.sendMany({ subject: "s", text: "t", to }, [{ to }]);
  // @ts-expect-error A list, and not one.
  await mail.sendMany(template, { to, variables: { first: "A", last: "B" } });
  // @ts-expect-error Only this word.
  await mail.sendMany(template, [], { onInvalid: "ignore" });
  // @ts-expect-error A bulk send has no idempotency key: its batch is one.
  await mail.sendMany(template, [], { idempotencyKey: "k" });
  const counts: number | undefined = (await mail.get({ batch: "b" }))?.states.sent;
  const canceled: number = await mail.cancel({ tag: "a" });
  const answer: "canceled" | "too_late" | "unknown" = await mail.cancel("id");
  const state: State = (await mail.wait("id", { timeoutMs: 5 })).state;
  // @ts-expect-error A batch or a tag.
  await mail.cancel({ stream: "bulk" });
  // @ts-expect-error One of four reasons.
  await mail.suppressions.add(to, "spam");
  // @ts-expect-error No such state.
  const opened = (await mail.get({ batch: "b" }))?.states.opened;
  return void [counts, canceled, answer, state, opened];
}

/** isFinal() narrows. */
export function narrow(state: State): FinalState | undefined {
  return isFinal(state) ? state : undefined;
}
