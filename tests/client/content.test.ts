import { expect, test } from "bun:test";
import { html as honoHtml } from "hono/html";
import { jsx } from "hono/jsx";
import { rejects } from "./cases.ts";
import { FILE, MESSAGE, offline, refused, requestOf } from "./offline.ts";

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
  const error = await rejects(offline.send({ ...MESSAGE, html: Promise.reject(failure) }), "validation_error", "html");
  expect(error.cause).toBe(failure);
});

test("HTML that fails to render ends no process, though an option or another field is refused first", async () => {
  const mail = () => ({ ...MESSAGE, html: Promise.reject(new Error("no template")) });
  const template = () => ({ ...mail(), to: undefined });
  const bad = { key: "a" } as object;
  // A rejection that nobody has taken care of fails this test, as it ends a process of Node: each has a turn of the
  // event loop for it.
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  for (
    const send of [
      () => offline.send(mail(), bad),
      () => offline.statement(mail(), bad),
      () => offline.sendMany(template() as never, [], bad),
      () => offline.sendMany(mail() as never, []),
    ]
  ) {
    await rejects(send(), "validation_error");
    await turn();
  }
  await rejects(offline.send(mail(), { tx: 7 as never }), "connection_unsupported");
  await turn();
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

test("a text that is given as one says in which characters it is written", async () => {
  const contentTypes = [
    ...["text/plain", "Text/CSV", "text/calendar; method=REQUEST", "text/plain; charset=x", "application/json"],
  ];
  const content = { filename: "a", content: "grüß", encoding: "utf-8" } as const;
  const bytes = { filename: "b", content: new TextEncoder().encode("grüß"), contentType: "text/plain" };
  const base64 = { filename: "c", content: "Z3LDvMOf", encoding: "base64", contentType: "text/plain" } as const;
  const given = [...contentTypes.map((contentType) => ({ ...content, contentType })), bytes, base64];
  const { attachments } = await requestOf({ attachments: given });
  expect((attachments as { readonly contentType: string }[]).map(({ contentType }) => contentType)).toEqual([
    ...["text/plain; charset=utf-8", "Text/CSV; charset=utf-8", ...contentTypes.slice(2), "text/plain", "text/plain"],
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

test("GHSA-wqvq-jvpq-h66f, nodemailer 9.0.1: nothing is read from a path or a URL, since there is no field for one", async () => {
  for (const field of ["path", "href", "raw", "httpHeaders"]) {
    for (const value of ["/etc/passwd", "https://example.com/x", { path: "/etc/passwd" }]) {
      await refused({ attachments: [{ ...FILE, [field]: value }] }, `attachments.0.${field}`);
    }
  }
  for (const value of [{ path: "/etc/passwd" }, { href: "https://example.com/x" }]) {
    for (const field of ["text", "html", "raw", "alternatives"]) await refused({ [field]: value }, field);
    await refused({ attachments: [{ filename: "a", content: value }] }, "attachments.0.content");
  }
});
