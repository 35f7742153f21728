import { expect, test } from "bun:test";
import type { MessageInput } from "../../mod.ts";
import { rejects } from "./cases.ts";
import { FILE, MESSAGE, offline, refused, requestOf } from "./offline.ts";

/** Every field that holds a text, with a text put into it. */
const TEXT_FIELDS: Readonly<Record<string, (text: string) => object>> = {
  from: (text) => ({ from: text }),
  "from.email": (text) => ({ from: { email: text } }),
  "from.name": (text) => ({ from: { email: "a@b.example", name: text } }),
  to: (text) => ({ to: text }),
  "to.0": (text) => ({ to: [text] }),
  "to.1": (text) => ({ to: ["c@d.example", { email: "c@d.example", name: text }] }),
  cc: (text) => ({ cc: text }),
  bcc: (text) => ({ bcc: text }),
  replyTo: (text) => ({ replyTo: text }),
  returnPath: (text) => ({ returnPath: text }),
  subject: (text) => ({ subject: text }),
  headers: (text) => ({ headers: { "X-A": text } }),
  "headers' names": (text) => ({ headers: { [text]: "value" } }),
  "headers as pairs": (text) => ({ headers: [["X-A", text]] }),
  Sender: (text) => ({ headers: { Sender: text } }),
  "attachments.filename": (text) => ({ attachments: [{ ...FILE, filename: text }] }),
  "attachments.contentType": (text) => ({ attachments: [{ ...FILE, contentType: text }] }),
  "attachments.contentId": (text) => ({ attachments: [{ ...FILE, contentId: text }] }),
  "a File's name": (text) => ({ attachments: [new File([], text)] }),
  tags: (text) => ({ tags: [text] }),
  metadata: (text) => ({ metadata: { order: text } }),
  "metadata's names": (text) => ({ metadata: { [text]: "value" } }),
  priority: (text) => ({ priority: text }),
  scheduledAt: (text) => ({ scheduledAt: text }),
  expiresAt: (text) => ({ expiresAt: text }),
  unsubscribe: (text) => ({ unsubscribe: text }),
  onUncertain: (text) => ({ onUncertain: text }),
  stream: (text) => ({ stream: text }),
};

const SOUND: Readonly<Record<string, string>> = {
  priority: "high",
  onUncertain: "hold",
  stream: "bulk",
  scheduledAt: "2026-11-22T09:30:00Z",
  expiresAt: "2026-11-22T09:30:00Z",
  unsubscribe: "https://b.example/u",
  "attachments.contentType": "text/plain",
  "headers' names": "X-A",
};

/** C0, DEL: what breaks a header, an SMTP command, a log line or a terminal. */
const CONTROLS = [...Array(32).keys(), 127].map((code) => String.fromCharCode(code));

for (const [name, message] of Object.entries(TEXT_FIELDS)) {
  const sound = SOUND[name] ??
    (/name|metadata|tags|subject|headers$|pairs|contentId/.test(name) ? "sound" : "e@f.example");

  test(`a sound ${name} is taken`, async () => {
    const text = name === "to.1" ? "sound" : sound;
    expect(await requestOf(message(text))).toHaveProperty("id");
  });

  test(`no control character passes in ${name}, wherever it stands`, async () => {
    for (const control of CONTROLS) {
      for (
        const text of [`${sound}${control}`, `${control}${sound}`, `${sound.slice(0, 2)}${control}${sound.slice(2)}`]
      ) {
        const error = await rejects(offline.send({ ...MESSAGE, ...message(text) } as MessageInput), "validation_error");
        expect(error.issues.length).toBeGreaterThan(0);
        // What is shown in a log must not be what was refused.
        expect(error.message + JSON.stringify(error.issues.map((issue) => issue.path))).not.toContain(control);
      }
    }
  });
}

test("CR LF and a header in the subject do not become a header", async () => {
  expect(await refused({ subject: "Hi\r\nBcc: eve@evil.example" }, "subject")).toContain("line break");
});

test("an idempotency key holds no control character", async () => {
  for (const control of CONTROLS) {
    await rejects(offline.send(MESSAGE, { idempotencyKey: `a${control}` }), "validation_error", "idempotencyKey");
  }
});

for (const field of ["text", "html"]) {
  test(`${field} may hold line breaks and tabs, and no NUL, which Postgres cannot store`, async () => {
    expect((await requestOf({ [field]: "a\r\n\tb\n\x1b" }))[field]).toBe("a\r\n\tb\n\x1b");
    expect(await refused({ [field]: "a\0b" }, field)).toContain("Postgres");
  });
}
