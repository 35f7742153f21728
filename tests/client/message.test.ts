import { expect, test } from "bun:test";
import { createMailer, type MessageInput } from "../../mod.ts";
import { rejects } from "./cases.ts";
import { FILE, MESSAGE, offline, refused, requestOf } from "./offline.ts";

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
  for (const field of ["reply_to", "constructor", "__proto__x", "toString", "id", "date"]) {
    await refused({ [field]: "x" }, field);
  }
  const odd = await rejects(offline.send({ ...MESSAGE, "x\r\ny": 1 } as MessageInput), "validation_error");
  expect(odd.message).not.toContain("\n");
});

test("an unknown field of an attachment, an option and a mailer is an error that names it", async () => {
  await refused({ attachments: [{ ...FILE, path: "/etc/passwd" }] }, "attachments.0.path");
  await rejects(offline.send(MESSAGE, { idempotencykey: "k" } as object), "validation_error", "idempotencykey");
  await rejects(offline.statement(MESSAGE, { tx: {} } as object), "validation_error", "tx");
  await rejects(offline.get("x", { timeoutMs: 1 } as object), "validation_error", "timeoutMs");
  expect(() => createMailer({ query: () => {} }, { form: "a@b.example" } as object)).toThrow("form");
});

test("a mailer's own defaults are checked when it is made", () => {
  const make = (options: object) => () => createMailer({ query: () => {} }, options);
  expect(make({ from: "nobody" })).toThrow("from");
  expect(make({ transaction: "optional" })).toThrow("transaction");
  expect(make({ stream: "Bulk" })).toThrow("stream");
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
    stream: "Bulk",
  };
  const error = await rejects(offline.send(bad as unknown as MessageInput), "validation_error");
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
    "stream",
    "subject",
    "to.1",
  ]);
  for (const issue of error.issues) expect(issue.message).not.toBe("");
});

test("what is no mail at all is told so", async () => {
  for (const nothing of [undefined, null, "mail", 7, []]) {
    await rejects(offline.send(nothing as unknown as MessageInput), "validation_error");
  }
});

test("an error's message holds no content and no address", async () => {
  const error = await rejects(
    offline.send({ ...MESSAGE, to: "secret person@d.example", subject: "secret\n" }),
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
  const [one, other] = await Promise.all([offline.statement(message), offline.statement(reversed)]);
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
    stream: "shop",
  };
  const filled = await requestOf({ from: undefined, tags: ["shop", "receipt"], headers: { "x-a": "3" } }, defaults);
  expect(filled).toMatchObject({
    from: { email: "shop@b.example", name: "Shop" },
    replyTo: [{ email: "help@b.example" }],
    headers: [["X-B", "2"], ["x-a", "3"]],
    tags: ["shop", "receipt"],
    stream: "shop",
  });
  expect((await requestOf({ stream: "bulk" }, defaults)).stream).toBe("bulk");
  expect((await requestOf({ replyTo: "ann@b.example" }, defaults)).replyTo).toEqual([{ email: "ann@b.example" }]);
});

test("a stream has 1 to 63 of a-z 0-9 . _ -, a letter or digit first", async () => {
  for (const stream of ["b", "7", "news-2026.weekly_a", "s".repeat(63)]) {
    expect((await requestOf({ stream })).stream).toBe(stream);
  }
  for (
    const stream of ["", "-bulk", ".bulk", "_", "Bulk", "bulk mail", "a,b", "größe", "bulk\n", "s".repeat(64), 7, ["a"]]
  ) {
    expect(await refused({ stream }, "stream")).toContain("a-z 0-9");
  }
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
