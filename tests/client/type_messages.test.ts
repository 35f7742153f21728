import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

// What the compiler says of code that is wrong is read by whoever wrote it: the first line has to name the fault, in
// one look. What must not compile at all stands in what_compiles.ts.

const ROOT = join(import.meta.dir, "../..");
const MAX_CHARS = 160;

const HEAD = `
import { type Attachment, type Connection, createMailer, type Mailer, type MailerOptions, type MessageInput, type SendOptions, type State } from "../../mod.ts";
declare const mail: Mailer;
declare const db: Connection;
const bytes = new Uint8Array();
const base = { to: "a@b.example", subject: "s" };
const template = { subject: "{{first}}", text: "{{last}}" } as const;
`;

/** Code that is wrong, and the first line of what is said of it. */
const SAID: Readonly<Record<string, string>> = {
  'export const a1: Attachment = { filename: "a", content: "x" };':
    "Type '{ filename: string; content: string; }' is not assignable to type 'Attachment'.",
  'export const a2: Attachment = { filename: "a", content: "x", encoding: "hex" };':
    `Type '"hex"' is not assignable to type '"base64" | "utf-8"'.`,
  'export const a3: Attachment = { filename: "a", content: bytes, encoding: "base64" };':
    `Type '{ filename: string; content: Uint8Array<ArrayBuffer>; encoding: "base64"; }' is not assignable to type 'Attachment'.`,
  'export const a4: Attachment = { filename: "a", path: "/etc/passwd" };':
    "Object literal may only specify known properties, and 'path' does not exist in type 'Attachment'.",
  'await mail.send({ ...base, text: "t", attachments: [{ filename: "a", content: "x" }] });':
    "Type '{ filename: string; content: string; }' is not assignable to type 'Attachment'.",
  'await mail.send({ ...base, text: "t", attachments: { filename: "a", content: bytes } });':
    "Object literal may only specify known properties, and 'filename' does not exist in type 'readonly Attachment[]'.",
  "await mail.send(base);":
    "Argument of type '{ to: string; subject: string; }' is not assignable to parameter of type 'MessageInput'.",
  'await mail.send({ to: "a@b.example", text: "t" });':
    "Argument of type '{ to: string; text: string; }' is not assignable to parameter of type 'MessageInput'.",
  'await mail.send({ ...base, text: "t", reply_to: "a@b.example" });':
    "Object literal may only specify known properties, but 'reply_to' does not exist in type 'HtmlMail | TextMail'. Did you mean to write 'replyTo'?",
  'await mail.send({ ...base, text: "t", digest: { wait: "1h" } });':
    "Type '{ wait: string; }' is not assignable to type 'Digest | undefined'.",
  'await mail.send({ ...base, template: { name: "welcome" } });':
    "Argument of type '{ to: string; subject: string; template: { name: string; }; }' is not assignable to parameter of type 'MessageInput'.",
  'await mail.send({ to: "a@b.example", template: "welcome" });':
    "Type 'string' is not assignable to type 'FilledTemplate'.",
  'await mail.send({ to: "a@b.example", template: { name: "welcome", variables: { at: new Date() } } });':
    "Type 'Date' is not assignable to type 'Value'.",
  'await mail.send({ to: "a@b.example", template: { name: "welcome", lang: "de" } });':
    "Object literal may only specify known properties, and 'lang' does not exist in type 'FilledTemplate'.",
  'await mail.sendMany({ template: { name: "welcome", variables: { a: "b" } } }, []);':
    "Type '{ a: string; }' is not assignable to type 'undefined'.",
  'await mail.sendMany({ template: { name: "welcome" }, text: "t" }, []);':
    "Argument of type '{ template: { name: string; }; text: string; }' is not assignable to parameter of type 'MailTemplate & NoOthers<MailTemplate>'.",
  'await mail.send({ ...base, text: "t", stream: ["bulk"] });': "Type 'string[]' is not assignable to type 'string'.",
  'await mail.send({ ...base, text: "t", metadata: { order: 7 } });':
    "Type 'number' is not assignable to type 'string'.",
  'await mail.send({ ...base, text: "t", priority: "urgent" });':
    `Type '"urgent"' is not assignable to type '"high" | "low" | "normal" | undefined'.`,
  'await mail.send({ ...base, text: "t", scheduledAt: 0 });':
    "Type 'number' is not assignable to type 'string | Date | undefined'.",
  "await mail.send({ ...base, text: null });": "Type 'null' is not assignable to type 'string | undefined'.",
  "await mail.send({ ...base, html: 7 });": "Type 'number' is not assignable to type 'Html | undefined'.",
  'await mail.send({ ...base, text: "t", to: { address: "a@b.example" } });':
    "Object literal may only specify known properties, and 'address' does not exist in type 'NamedAddress | readonly Address[]'.",
  'await mail.send({ ...base, text: "t", headers: { "X-A": 1 } });':
    `Type '{ "X-A": number; }' is not assignable to type 'CustomHeaders | undefined'.`,
  'await mail.send({ ...base, text: "t", headers: new Headers() });':
    "Type 'Headers' is not assignable to type 'CustomHeaders | undefined'.",
  'await mail.send({ ...base, text: "t", tags: "news" });':
    "Type 'string' is not assignable to type 'readonly string[]'.",
  'await mail.send({ ...base, text: "t" }, { idempotencykey: "k" });':
    "Object literal may only specify known properties, but 'idempotencykey' does not exist in type 'SendOptions'. Did you mean to write 'idempotencyKey'?",
  'await mail.send({ ...base, text: "t" }, { tx: "postgres://user:secret@host/db" });':
    "Type 'string' is not assignable to type 'Connection | undefined'.",
  'await mail.statement({ ...base, text: "t" }, { tx: db });':
    "Object literal may only specify known properties, and 'tx' does not exist in type 'KeyOptions'.",
  'export const o1: MailerOptions = { transaction: "optional" };':
    `Type '"optional"' is not assignable to type '"required"'.`,
  'createMailer(db, { form: "a@b.example" });':
    "Object literal may only specify known properties, and 'form' does not exist in type 'MailerOptions'.",
  'createMailer("postgres://user:secret@host/db");':
    "Argument of type 'string' is not assignable to parameter of type 'Connection'.",
  "createMailer({});": "Argument of type '{}' is not assignable to parameter of type 'Connection'.",
  "createMailer(null);": "Argument of type 'null' is not assignable to parameter of type 'Connection'.",
  'await mail.sendMany(template, [{ to: "a@b.example", variables: { first: "A" } }]);':
    "Property 'last' is missing in type '{ first: string; }' but required in type '{ readonly first: Value; readonly last: Value; }'.",
  'await mail.sendMany(template, [{ to: "a@b.example", variables: { first: "A", last: "B", middle: "C" } }]);':
    "Object literal may only specify known properties, and 'middle' does not exist in type '{ readonly first: Value; readonly last: Value; }'.",
  'await mail.sendMany(template, [{ to: "a@b.example" }]);':
    `Type '{ to: string; }' is not assignable to type 'ManyRecipient<{ readonly subject: "{{first}}"; readonly text: "{{last}}"; }>'.`,
  'await mail.sendMany(template, [{ to: "a@b.example", variables: { first: "A", last: new Date() } }]);':
    "Type 'Date' is not assignable to type 'Value'.",
  'await mail.sendMany(template, [{ to: ["a@b.example"], variables: { first: "A", last: "B" } }]);':
    "Type '[string]' is not assignable to type 'Address'.",
  'await mail.sendMany({ subject: "s", text: "t" }, { to: "a@b.example" });':
    `Object literal may only specify known properties, and 'to' does not exist in type 'ManyRecipients<{ readonly subject: "s"; readonly text: "t"; }>'.`,
  'await mail.sendMany({ subject: "s", text: "t", to: "a@b.example" }, []);':
    `Type '"a@b.example"' is not assignable to type '"a@b.example" & NoFieldOfATemplate'.`,
  'await mail.sendMany({ subject: "s" }, []);':
    "Argument of type '{ subject: string; }' is not assignable to parameter of type 'MailTemplate & NoOthers<MailTemplate>'.",
  'await mail.sendMany(template, [], { onInvalid: "ignore" });':
    `Type '"ignore"' is not assignable to type '"skip" | "throw" | undefined'.`,
  'await mail.sendMany(template, [], { idempotencyKey: "k" });':
    "Object literal may only specify known properties, and 'idempotencyKey' does not exist in type 'SendManyOptions'.",
  'await mail.cancel({ stream: "bulk" });':
    "Object literal may only specify known properties, and 'stream' does not exist in type 'BatchName | TagName'.",
  'await mail.get({ tag: "news" });':
    "Object literal may only specify known properties, and 'tag' does not exist in type 'BatchName'.",
  'await mail.wait("id", { timeout: 5 });':
    "Object literal may only specify known properties, but 'timeout' does not exist in type 'WaitOptions'. Did you mean to write 'timeoutMs'?",
  'await mail.reschedule("id");': "Expected 2-3 arguments, but got 1.",
  'await mail.suppressions.add("a@b.example", "spam");':
    `Argument of type '"spam"' is not assignable to parameter of type 'SuppressionReason | undefined'.`,
  'export const o2: SendOptions = { key: "k" };':
    "Object literal may only specify known properties, and 'key' does not exist in type 'SendOptions'.",
  'export const m1: MessageInput = { subject: "s", text: "t", to: [7] };':
    "Type 'number' is not assignable to type 'Address'.",
  'export const s1: State = "delivered";': `Type '"delivered"' is not assignable to type 'State'.`,
};

/**
 * Compiles all of it in one program, each piece on a line of its own.
 * @returns the first line of each piece's first error
 */
async function firstLines(pieces: readonly string[]): Promise<readonly string[]> {
  // In the repository, so that its packages are found.
  mkdirSync(join(ROOT, ".cache"), { recursive: true });
  const folder = mkdtempSync(join(ROOT, ".cache/type-messages-"));
  writeFileSync(join(folder, "all.ts"), HEAD + pieces.join("\n"));
  writeFileSync(
    join(folder, "tsconfig.json"),
    JSON.stringify({ extends: "../../tsconfig.json", compilerOptions: { types: [] }, include: ["all.ts"] }),
  );
  const tsc = join(ROOT, "node_modules/.bin/tsc");
  const child = Bun.spawn([tsc, "-p", folder, "--pretty", "false"], { cwd: folder, stdout: "pipe" });
  const out = await new Response(child.stdout).text();
  rmSync(folder, { recursive: true });
  const errors = [...out.matchAll(/^all\.ts\((\d+),\d+\): error TS\d+: (.*)$/gm)];
  const first = HEAD.split("\n").length;
  return pieces.map((_, index) => errors.find(([, line]) => Number(line) === first + index)?.[2] ?? "It compiles");
}

test("each of these mistakes is told by the compiler in one short line", async () => {
  const pieces = Object.keys(SAID);
  const said = await firstLines(pieces);
  expect(pieces.map((piece, index) => [piece, said[index]])).toEqual(Object.entries(SAID));
  expect(said.filter((line) => line.length > MAX_CHARS)).toEqual([]);
}, 60_000);

test("what is right compiles, so that the messages are about the mistakes", async () => {
  expect(await firstLines(['await mail.send({ ...base, text: "t" });', "createMailer(db);"])).toEqual([
    "It compiles",
    "It compiles",
  ]);
}, 60_000);
