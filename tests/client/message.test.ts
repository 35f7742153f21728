import { expect, test } from "bun:test";
import { html as honoHtml } from "hono/html";
import { jsx } from "hono/jsx";
import { createMailer, type MessageInput } from "../../mod.ts";
import { rejects } from "./cases.ts";

const MESSAGE = { from: "a@b.example", to: "c@d.example", subject: "s", text: "t" } satisfies MessageInput;

/** Nothing here may reach a database. */
const mail = createMailer({ query: () => Promise.reject(new Error("Nothing may be asked")) });

type Request = Readonly<Record<string, unknown>>;

async function requestOf(message: object, defaults: object = {}): Promise<Request> {
  const { values } = await createMailer({ query: () => {} }, defaults).statement(
    { ...MESSAGE, ...message } as MessageInput,
  );
  return JSON.parse(String(values[0]));
}

async function refused(message: object, path: string): Promise<string> {
  const error = await rejects(mail.send({ ...MESSAGE, ...message } as MessageInput), "validation_error", path);
  expect(error.issues).toHaveLength(1);
  return error.issues[0]?.message ?? "";
}

const FILE = { filename: "a.txt", content: new Uint8Array([104, 105]) };

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
};

const SOUND: Readonly<Record<string, string>> = {
  priority: "high",
  onUncertain: "hold",
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
        const error = await rejects(mail.send({ ...MESSAGE, ...message(text) } as MessageInput), "validation_error");
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
    await rejects(mail.send(MESSAGE, { idempotencyKey: `a${control}` }), "validation_error", "idempotencyKey");
  }
});

for (const field of ["text", "html"]) {
  test(`${field} may hold line breaks and tabs, and no NUL, which Postgres cannot store`, async () => {
    expect((await requestOf({ [field]: "a\r\n\tb\n\x1b" }))[field]).toBe("a\r\n\tb\n\x1b");
    expect(await refused({ [field]: "a\0b" }, field)).toContain("Postgres");
  });
}

test("lone surrogates, which JSON in Postgres refuses, become the replacement character", async () => {
  const lone = "a\ud800b";
  const request = await requestOf({
    subject: lone,
    text: lone,
    html: lone,
    headers: { "X-A": lone },
    tags: [lone],
    metadata: { [lone]: lone },
    to: { email: "c@d.example", name: lone },
    attachments: [{ ...FILE, filename: lone }, { filename: "b", content: lone, encoding: "utf-8" }],
  });
  expect(JSON.stringify(request)).not.toMatch(/\\ud800/);
  expect(request.subject).toBe("a\ufffdb");
  expect(request.metadata).toEqual({ "a\ufffdb": "a\ufffdb" });
});

test("an unknown field is an error that names it", async () => {
  for (const field of ["reply_to", "digest", "stream", "constructor", "__proto__x", "toString", "id", "date"]) {
    await refused({ [field]: "x" }, field);
  }
  const odd = await rejects(mail.send({ ...MESSAGE, "x\r\ny": 1 } as MessageInput), "validation_error");
  expect(odd.message).not.toContain("\n");
});

test("an unknown field of an attachment, an option and a mailer is an error that names it", async () => {
  await refused({ attachments: [{ ...FILE, path: "/etc/passwd" }] }, "attachments.0.path");
  await rejects(mail.send(MESSAGE, { idempotencykey: "k" } as object), "validation_error", "idempotencykey");
  await rejects(mail.statement(MESSAGE, { tx: {} } as object), "validation_error", "tx");
  await rejects(mail.get("x", { timeoutMs: 1 } as object), "validation_error", "timeoutMs");
  expect(() => createMailer({ query: () => {} }, { form: "a@b.example" } as object)).toThrow("form");
});

test("a mailer's own defaults are checked when it is made", () => {
  const make = (options: object) => () => createMailer({ query: () => {} }, options);
  expect(make({ from: "nobody" })).toThrow("from");
  expect(make({ transaction: "optional" })).toThrow("transaction");
  expect(make({ headers: { Bcc: "a@b.example" } })).toThrow("bcc");
  for (const timeoutMs of [0, -1, NaN, Infinity, 2 ** 31, "5s"]) expect(make({ timeoutMs })).toThrow("timeoutMs");
  for (const timeoutMs of [1, 2 ** 31 - 1]) expect(make({ timeoutMs })).not.toThrow();
});

test("all issues of a mail come at once, with their paths", async () => {
  const bad = {
    to: ["c@d.example", "nobody"],
    cc: "",
    html: 7,
    headers: { From: "x@y.example" },
    metadata: { order: 7 },
    attachments: [{ filename: "a", content: "text" }, null],
    scheduledAt: "tomorrow",
    onUncertain: "ask",
  };
  const error = await rejects(mail.send(bad as unknown as MessageInput), "validation_error");
  expect(error.issues.map((issue) => issue.path).sort()).toEqual([
    "attachments.0.encoding",
    "attachments.1.content",
    "attachments.1.filename",
    "cc",
    "from",
    "headers.From",
    "html",
    "metadata.order",
    "onUncertain",
    "scheduledAt",
    "subject",
    "to.1",
  ]);
  for (const issue of error.issues) expect(issue.message).not.toBe("");
});

test("what is no mail at all is told so", async () => {
  for (const nothing of [undefined, null, "mail", 7, []]) {
    await rejects(mail.send(nothing as unknown as MessageInput), "validation_error");
  }
});

test("an error's message holds no content and no address", async () => {
  const error = await rejects(
    mail.send({ ...MESSAGE, to: "secret person@d.example", subject: "secret\n" }),
    "validation_error",
  );
  expect(error.message).not.toContain("secret");
  expect(JSON.stringify(error.issues)).not.toContain("secret");
});

test("the same mail makes the same JSON but for the id, in whatever order its fields come", async () => {
  const message = {
    ...MESSAGE,
    cc: ["x@y.example", { email: "z@y.example", name: "Zoë" }],
    html: "<p>t",
    headers: [["X-B", "2"], ["X-A", "1"]] as const,
    attachments: [FILE],
    tags: ["a"],
    metadata: { order: "7" },
    scheduledAt: new Date(0),
  };
  const reversed = Object.fromEntries(Object.entries(message).reverse()) as unknown as MessageInput;
  const [one, other] = await Promise.all([mail.statement(message), mail.statement(reversed)]);
  expect(one.id).not.toBe(other.id);
  const withoutId = ({ values, id }: { readonly values: readonly string[]; readonly id: string }) =>
    values[0]?.replace(id, "");
  expect(withoutId(one)).toBe(String(withoutId(other)));
});

test("the request holds what was given and nothing that was left out", async () => {
  const request = await requestOf({ to: "Ann <ann@example.com>", bcc: [], tags: [], headers: {} });
  expect(request).toEqual({
    id: request.id,
    from: { email: "a@b.example" },
    to: [{ email: "ann@example.com", name: "Ann" }],
    subject: "s",
    text: "t",
  });
});

test("headers keep their order, and as pairs a name may come twice", async () => {
  const { headers } = await requestOf({ headers: [["X-B", "1"], ["X-A", "2"], ["X-B", "3"]] });
  expect(headers).toEqual([["X-B", "1"], ["X-A", "2"], ["X-B", "3"]]);
});

test("a header that may be there once is refused twice, also beside unsubscribe", async () => {
  await refused({ headers: [["References", "<a@b>"], ["references", "<c@d>"]] }, "headers.references");
  await refused(
    { headers: { "List-Unsubscribe": "<https://b.example>" }, unsubscribe: "https://b.example/u" },
    "headers.List-Unsubscribe",
  );
});

test("a mailer's defaults fill what a mail leaves out", async () => {
  const defaults = {
    from: "Shop <shop@b.example>",
    replyTo: "help@b.example",
    headers: { "X-A": "1", "X-B": "2" },
    tags: ["shop"],
  };
  const filled = await requestOf({ from: undefined, tags: ["shop", "receipt"], headers: { "x-a": "3" } }, defaults);
  expect(filled).toMatchObject({
    from: { email: "shop@b.example", name: "Shop" },
    replyTo: [{ email: "help@b.example" }],
    headers: [["X-B", "2"], ["x-a", "3"]],
    tags: ["shop", "receipt"],
  });
  expect((await requestOf({ replyTo: "ann@b.example" }, defaults)).replyTo).toEqual([{ email: "ann@b.example" }]);
});

test("the empty return path asks for no bounces", async () => {
  expect((await requestOf({ returnPath: "" })).returnPath).toBe("");
});

test("times are Dates, or ISO 8601 with a zone", async () => {
  expect((await requestOf({ scheduledAt: new Date(0) })).scheduledAt).toBe("1970-01-01T00:00:00.000Z");
  expect((await requestOf({ expiresAt: "2030-01-02T03:04+01:00" })).expiresAt).toBe("2030-01-02T03:04+01:00");
  for (
    const bad of ["2030-01-02", "2030-01-02T03:04", "2030-01-02 03:04Z", new Date(NaN), 0, null, new Date(8.64e15)]
  ) {
    await refused({ scheduledAt: bad }, "scheduledAt");
  }
});

test("html takes a promise, an element of hono/jsx, and one that renders later", async () => {
  const later = () => Promise.resolve(jsx("b", {}, "later"));
  expect((await requestOf({ html: Promise.resolve("<p>") })).html).toBe("<p>");
  expect((await requestOf({ html: jsx("p", { class: "x" }, "Hi & bye") })).html).toBe('<p class="x">Hi &amp; bye</p>');
  expect((await requestOf({ html: jsx("p", {}, jsx(later, {})) })).html).toBe("<p><b>later</b></p>");
  expect((await requestOf({ html: honoHtml`<i>${"<"}</i>` })).html).toBe("<i>&lt;</i>");
});

test("html that does not render itself is refused, and one that fails is the cause", async () => {
  for (const bad of [{}, [], ["<p>"], { $$typeof: Symbol.for("react.element") }, 7, null, true]) {
    await refused({ html: bad }, "html");
  }
  const failure = new Error("no template");
  const error = await rejects(mail.send({ ...MESSAGE, html: Promise.reject(failure) }), "validation_error", "html");
  expect(error.cause).toBe(failure);
});

test("attachments come as File, Blob, bytes, UTF-8 and base64, and are the same bytes", async () => {
  const bytes = new TextEncoder().encode("grüß");
  const { attachments } = await requestOf({
    attachments: [
      new File([bytes], "a.txt", { type: "text/plain" }),
      new File([bytes], "b"),
      { filename: "c", content: new Blob([bytes], { type: "text/html" }) },
      { filename: "d", content: bytes },
      { filename: "e", content: bytes.slice().buffer },
      { filename: "f", content: new Uint8Array([0, ...bytes, 0]).subarray(1, -1) },
      { filename: "g", content: "grüß", encoding: "utf-8" },
      {
        filename: "h",
        content: "Z3LD\r\nvMOf",
        encoding: "base64",
        contentType: "text/plain; charset=utf-8",
        contentId: "<logo@b>",
      },
    ],
  });
  const base64 = Buffer.from(bytes).toString("base64");
  const plain = { contentType: "application/octet-stream", base64 };
  expect(attachments).toEqual([
    { filename: "a.txt", contentType: expect.stringContaining("text/plain"), base64 },
    { filename: "b", ...plain },
    { filename: "c", contentType: expect.stringContaining("text/html"), base64 },
    { filename: "d", ...plain },
    { filename: "e", ...plain },
    { filename: "f", ...plain },
    { filename: "g", ...plain },
    { filename: "h", contentType: "text/plain; charset=utf-8", contentId: "logo@b", base64 },
  ]);
});

test("base64 without the runtime's own function is the same at every length", async () => {
  const native = Object.getOwnPropertyDescriptor(Uint8Array.prototype, "toBase64");
  // Bun has it; Node 20 does not.
  Reflect.deleteProperty(Uint8Array.prototype, "toBase64");
  try {
    for (const size of [0, 1, 2, 3, 4, 24_572, 24_573, 24_574, 49_146, 100_000]) {
      const content = new Uint8Array(size).map((_, index) => index * 31);
      const { attachments } = await requestOf({ attachments: [{ filename: "a", content }] });
      expect((attachments as { readonly base64: string }[])[0]?.base64).toBe(Buffer.from(content).toString("base64"));
    }
  } finally {
    if (native !== undefined) Object.defineProperty(Uint8Array.prototype, "toBase64", native);
  }
});

test("attachments that say too little or the wrong thing are refused", async () => {
  await refused({ attachments: [{ filename: "a", content: "text" }] }, "attachments.0.encoding");
  await refused({ attachments: [{ filename: "a", content: "text", encoding: "hex" }] }, "attachments.0.encoding");
  await refused({ attachments: [{ ...FILE, encoding: "base64" }] }, "attachments.0.encoding");
  for (const bad of ["Zg", "Zg=", "Z===", "Zg==Zg==", "Z-_g", "Zé==", "===="]) {
    await refused({ attachments: [{ filename: "a", content: bad, encoding: "base64" }] }, "attachments.0.content");
  }
  await refused({ attachments: [{ filename: "a", content: [1, 2] }] }, "attachments.0.content");
  await refused({ attachments: [{ filename: "", content: FILE.content }] }, "attachments.0.filename");
  await refused({ attachments: [{ ...FILE, contentType: "pdf" }] }, "attachments.0.contentType");
  await refused({ attachments: FILE }, "attachments");
});
