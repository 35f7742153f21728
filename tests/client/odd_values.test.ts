import { expect, test } from "bun:test";
import { createMailer, type MessageInput } from "../../mod.ts";
import { createDatabase } from "../database.ts";
import { rejects } from "./cases.ts";
import { FILE, MESSAGE, offline, refused, requestOf } from "./offline.ts";

// Faults that random mails have found (tests/fuzz).

/** An object that nothing turns into a text. */
const BARE: unknown = Object.create(null);

/** A list with a hole in front of this value. */
function holed(value: unknown): unknown[] {
  return Object.assign([], { 1: value });
}

test("a hole in a list is a fault of its place, and is not left out", async () => {
  for (const field of ["to", "cc", "bcc", "replyTo"]) await refused({ [field]: holed("a@b.example") }, `${field}.0`);
  await refused({ to: new Array(1) }, "to.0");
  await refused({ tags: holed("a") }, "tags.0");
  await refused({ headers: holed(["X-A", "1"]) }, "headers");
  const error = await rejects(
    offline.send({ ...MESSAGE, attachments: holed(FILE) } as MessageInput),
    "validation_error",
  );
  expect(error.issues[0]?.path).toBe("attachments.0.content");
});

test("an object that cannot become a text is a fault of its field", async () => {
  await refused({ subject: BARE }, "subject");
  await refused({ unsubscribe: BARE }, "unsubscribe");
  await refused({ headers: { "X-A": BARE } }, "headers.X-A");
  await refused({ headers: [[BARE, "1"]] }, "headers.");
  await refused({ headers: [[7, "1"]] }, "headers.7");
  await refused({ attachments: [{ ...FILE, contentType: BARE }] }, "attachments.0.contentType");
  await refused({ attachments: [{ ...FILE, contentId: BARE }] }, "attachments.0.contentId");
});

test("a Map, Headers, a promise and the like are refused, of which no header and no metadata would be seen", async () => {
  for (
    const values of [
      ...[new Map([["X-A", "1"]]), new Headers({ "X-A": "1" }), new URLSearchParams("X-A=1"), new Set()],
      ...[Promise.resolve({ "X-A": "1" }), new Date(), /a/, () => ({ "X-A": "1" }), 7, "X-A: 1", null],
    ]
  ) {
    await refused({ headers: values }, "headers");
    await refused({ metadata: values }, "metadata");
  }
  expect(await refused({ metadata: [["a", "b"]] }, "metadata")).toBe("it is not an object of strings");
});

test("a value that throws when it is read is a fault of its field, and what was thrown is the cause", async () => {
  const transferred = new ArrayBuffer(8);
  structuredClone(transferred, { transfer: [transferred] });
  const gone = new Error("the file is gone");
  const file = new File(["x"], "a.txt");
  file.stream = () => new ReadableStream({ pull: (controller) => controller.error(gone) });
  const address = {
    get email(): string {
      throw gone;
    },
  };
  const broken = new ReadableStream({ pull: (controller) => controller.error(gone) });
  for (
    const [path, value, cause] of [
      ["attachments", [{ ...FILE, content: transferred }], expect.any(TypeError)],
      ["attachments.0.content", [file], gone],
      ["attachments.1.content", [FILE, new Proxy(new Blob(["x"]), {})], expect.any(TypeError)],
      ["attachments.1.content", [FILE, { ...FILE, content: broken }], gone],
      ["to", [address], gone],
      ["html", { then: (_: unknown, reject: (error: Error) => void) => reject(gone) }, gone],
    ] as const
  ) {
    const field = path.split(".")[0] as string;
    const error = await rejects(offline.send({ ...MESSAGE, [field]: value } as MessageInput), "validation_error", path);
    expect(error.cause).toEqual(cause);
  }
});

test("a getter of a mail that throws is a fault of its field, and what it threw is the cause", async () => {
  const gone = new Error("the order is gone");
  const throws = {
    enumerable: true,
    get: () => {
      throw gone;
    },
  };
  for (const path of ["subject", "html", "to", "attachments", "digest"]) {
    const mail = Object.defineProperty({ ...MESSAGE }, path, throws);
    for (const call of [offline.send(mail), offline.statement(mail), offline.sendMany(mail as never, [])]) {
      expect((await rejects(call, "validation_error", path)).cause).toBe(gone);
    }
  }
  const headers = Object.defineProperty({}, "X-A", throws);
  expect((await rejects(offline.send({ ...MESSAGE, headers }), "validation_error", "headers")).cause).toBe(gone);
  const { proxy, revoke } = Proxy.revocable({ ...MESSAGE }, {});
  revoke();
  await rejects(offline.send(proxy), "validation_error", "message");
});

test("HTML and files that never come end in timeout, and the message names the field", async () => {
  const hasty = createMailer({ query: () => Promise.reject(new Error("Nothing may be asked")) }, { timeoutMs: 5 });
  let canceled = false;
  const stuck = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(new Uint8Array(3)),
    pull: () => new Promise<void>(() => {}),
    cancel: () => void (canceled = true),
  });
  const never = new Promise<string>(() => {});
  for (
    const [path, more] of [
      ["html", { html: never }],
      ["html", { html: { toString: () => never } }],
      ["attachments.1.content", { attachments: [FILE, { filename: "a.bin", content: stuck }] }],
    ] as const
  ) {
    const mail = { ...MESSAGE, ...more } as MessageInput;
    const { message } = await rejects(hasty.send(mail), "timeout");
    expect(message).toBe(`Cannot send the mail: ${path}: nothing came within 5 ms`);
  }
  expect(canceled).toBe(true);
  const { to: _, ...template } = { ...MESSAGE, html: never };
  await rejects(hasty.sendMany(template, [{ to: "a@example.com" }]), "timeout");
});

test("what an object is made of does not matter to headers and metadata", async () => {
  class Labels {
    readonly "X-A" = "1";
  }
  const bare: Record<string, string> = Object.assign(Object.create(null), { "X-A": "1" });
  for (const values of [new Labels(), bare, Object.freeze({ "X-A": "1" })]) {
    const request = await requestOf({ headers: { ...values }, metadata: values as Record<string, string> });
    expect(request).toMatchObject({ headers: [["X-A", "1"]], metadata: { "X-A": "1" } });
    expect(await requestOf({ headers: values as Record<string, string> })).toMatchObject({ headers: [["X-A", "1"]] });
  }
});

test("options that are none, such as a key in their place, are refused", async () => {
  for (const options of ["order-1", 7, true, Symbol("x"), () => {}]) {
    const error = await rejects(offline.send(MESSAGE, options as object), "validation_error");
    expect(error.message).toBe("Cannot send the mail: options: it is no option");
  }
});

test("an id that is no text, and a question about nothing, are refused: they would be answered as an unknown mail", async () => {
  const odd = offline as unknown as Record<
    "get" | "cancel" | "reschedule" | "wait",
    (...call: unknown[]) => Promise<unknown>
  >;
  for (const id of [undefined, 5, true, Symbol("x")]) {
    await rejects(odd.get(id), "validation_error", "id");
    await rejects(odd.cancel(id), "validation_error", "id");
    await rejects(odd.reschedule(id, new Date()), "validation_error", "id");
    await rejects(odd.wait(id), "validation_error", "id");
  }
  for (const which of [null, {}, { batch: undefined }]) {
    await rejects(odd.get(which), "validation_error", "batch");
    await rejects(odd.cancel(which), "validation_error", "batch");
  }
});

/** What JSON has no place for, what it would change, and what only the database would refuse. */
const NO_KIND = [7n, NaN, "true", "5", {}, [], new Date(NaN), Symbol("x"), () => {}, null];

test("a digest's debounce and maxItems, and overrideSuppression, of another kind are refused before the database is asked", async () => {
  const digest = { key: "k", wait: "1h" };
  for (const value of NO_KIND) {
    await refused({ overrideSuppression: value }, "overrideSuppression");
    await refused({ digest: { ...digest, debounce: value } }, "digest.debounce");
    await refused({ digest: { ...digest, maxItems: value } }, "digest.maxItems");
  }
  for (const maxItems of [0, -1, 1.5, 501]) await refused({ digest: { ...digest, maxItems } }, "digest.maxItems");
  for (const value of [7, true, null, [], () => {}]) await refused({ digest: value }, "digest.key");
  for (const maxItems of [1, 500]) {
    expect((await requestOf({ digest: { ...digest, maxItems, debounce: false } })).digest).toEqual({
      ...{ ...digest, maxItems, debounce: false },
    });
  }
});

test("a list or an object in the place of a digest's text is refused, though it would become one that fits", async () => {
  const of = (fields: object) => ({ digest: { key: "k", ...fields } });
  await refused(of({ wait: ["1h"] }), "digest.wait");
  await refused(of({ at: ["09:00"], timeZone: "Europe/Vienna" }), "digest.at");
  await refused(of({ at: "09:00", timeZone: ["Europe/Vienna"] }), "digest.timeZone");
});

test("an onProgress that is no function is refused before anything is queued", async () => {
  for (const onProgress of [7, "x", {}, null]) {
    const { to, ...template } = MESSAGE;
    const sending = offline.sendMany(template, [{ to }], { onProgress } as object);
    await rejects(sending, "validation_error", "onProgress");
  }
});

test("a contentId of null is none", async () => {
  const { attachments } = await requestOf({ attachments: [{ ...FILE, contentId: null }] });
  expect(attachments).toEqual([{ filename: "a.txt", contentType: "application/octet-stream", base64: "aGk=" }]);
});

test("the name of an unknown field of an attachment cannot break a line of a log", async () => {
  await refused({ attachments: [{ ...FILE, "a\r\nb": 1 }] }, "attachments.0.a??b");
});

test("a content type that the database would refuse is refused by the client, in linear time", async () => {
  const bad = [
    "text/plain; x",
    "text/plain; x=y z",
    'a/b; x="',
    "a/b; x=é",
    "a/b; =x",
    `a/b; x=${"y".repeat(500)}`,
    "*/*",
  ];
  for (const contentType of [...bad, `a/b${";  ".repeat(160)}=`, `a/b; x="${"\\".repeat(489)}`]) {
    await refused({ attachments: [{ ...FILE, contentType }] }, "attachments.0.contentType");
  }
  await using database = await createDatabase();
  const mail = createMailer(database.sql);
  const good = ['a/b;x="\\"]"', "a/b ; ; x=y ;z=1 ", "text/plain", "image/svg+xml;", `a/${"b".repeat(498)}`];
  const attachments = good.map((contentType) => ({ ...FILE, contentType }));
  expect(await mail.send({ ...MESSAGE, attachments })).toMatchObject({ created: true });
});

test("a time that a zone moves into the year 10000 is refused: the Date of a mail has no place for it", async () => {
  await using database = await createDatabase();
  const mail = createMailer(database.sql);
  for (const field of ["scheduledAt", "expiresAt"]) {
    const at = (time: string) => mail.send({ ...MESSAGE, [field]: time });
    await rejects(at("9999-12-31T23:59:59-12:00"), "validation_error", field);
    expect(await at("9999-12-31T23:59:59Z")).toMatchObject({ created: true });
  }
});
