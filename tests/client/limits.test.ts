import { neon, neonConfig } from "@neondatabase/serverless";
import { expect, test } from "bun:test";
import { createMailer, LIMITS, type MessageInput } from "../../mod.ts";
import { createDatabase } from "../database.ts";
import { startNeonStandin } from "../neon_standin.ts";
import { rejects } from "./cases.ts";
import { grantShop } from "./shop.ts";

// Each limit exactly at and one above, in the client and, with the client's checks out of the way, in SQL.

const MESSAGE = { from: "a@b.example", to: "c@d.example", subject: "s", text: "t" } satisfies MessageInput;
const ID = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";

/** A mail with so many of what the limit counts. */
interface LimitCase {
  readonly name: string;
  readonly limit: number;
  readonly path: string;
  readonly message: (size: number) => MessageInput;
  /** When a mail of that many is refused for another reason than this limit. @default `too_large` */
  readonly code?: string;
}

/** Two bytes in UTF-8 and one in UTF-16: a limit that counted characters would let twice as much through. */
function bytes(size: number): string {
  return "é".repeat(Math.floor(size / 2)) + "e".repeat(size % 2);
}

const CASES: readonly LimitCase[] = [
  {
    name: "bytes of text",
    limit: LIMITS.bodyBytes,
    path: "text",
    message: (size) => ({ ...MESSAGE, text: bytes(size) }),
  },
  {
    name: "bytes of html",
    limit: LIMITS.bodyBytes,
    path: "html",
    message: (size) => ({ ...MESSAGE, html: bytes(size) }),
  },
  {
    name: "bytes of attachments",
    limit: LIMITS.attachmentsBytes,
    path: "attachments",
    message: (size) => ({
      ...MESSAGE,
      attachments: [
        { filename: "a", content: new Uint8Array(20_000_000) },
        { filename: "b", content: new Uint8Array(size - 20_000_000) },
      ],
    }),
  },
  {
    name: "attachments",
    limit: LIMITS.attachments,
    path: "attachments",
    message: (size) => ({ ...MESSAGE, attachments: Array(size).fill({ filename: "a", content: new Uint8Array(1) }) }),
  },
  {
    name: "recipients in to, cc and bcc",
    limit: LIMITS.recipients,
    path: "to",
    message: (size) => ({ ...MESSAGE, to: MESSAGE.to, cc: MESSAGE.to, bcc: Array(size - 2).fill(MESSAGE.to) }),
  },
  {
    name: "addresses in replyTo",
    limit: 50,
    path: "replyTo",
    message: (size) => ({ ...MESSAGE, replyTo: Array(size).fill(MESSAGE.to) }),
  },
  {
    name: "bytes of headers with the subject",
    limit: LIMITS.headersBytes,
    path: "headers",
    message: (size) => ({ ...MESSAGE, subject: "é", headers: { "X-One": "1", "X-Two": bytes(size - 13) } }),
  },
  {
    name: "tags",
    limit: LIMITS.tags,
    path: "tags",
    message: (size) => ({ ...MESSAGE, tags: [...Array(size).keys()].map(String) }),
  },
  {
    name: "bytes of a tag",
    limit: LIMITS.tagBytes,
    path: "tags.0",
    message: (size) => ({ ...MESSAGE, tags: [bytes(size)] }),
  },
  {
    name: "bytes of metadata",
    limit: LIMITS.metadataBytes,
    path: "metadata",
    message: (size) => ({ ...MESSAGE, metadata: { "ключ": bytes(size - 10), b: '"' } }),
  },
  {
    name: "characters of a filename",
    limit: 255,
    path: "attachments.0.filename",
    code: "validation_error",
    message: (size) => ({
      ...MESSAGE,
      attachments: [{ filename: "😀" + "é".repeat(size - 2), content: new Uint8Array(1) }],
    }),
  },
  {
    name: "characters of a name",
    limit: 998,
    path: "to",
    code: "validation_error",
    message: (size) => ({ ...MESSAGE, to: { email: MESSAGE.to, name: "😀" + "é".repeat(size - 2) } }),
  },
  {
    name: "characters of unsubscribe",
    limit: 900,
    path: "unsubscribe",
    code: "validation_error",
    message: (size) => ({ ...MESSAGE, unsubscribe: "https://e.example/".padEnd(size, "u") }),
  },
  {
    name: "characters of a content id",
    limit: 250,
    path: "attachments.0.contentId",
    code: "validation_error",
    message: (size) => ({
      ...MESSAGE,
      attachments: [{ filename: "a", content: new Uint8Array(1), contentId: "c".repeat(size) }],
    }),
  },
  {
    name: "bytes of a local part",
    limit: 64,
    path: "to",
    code: "validation_error",
    message: (size) => ({ ...MESSAGE, to: `${bytes(size)}@d.example` }),
  },
  {
    name: "bytes of an address",
    limit: 254,
    path: "to",
    code: "validation_error",
    message: (size) => ({ ...MESSAGE, to: `a@${"d.".repeat(size).slice(0, size - 10)}.example`.replace("..", ".d") }),
  },
];

/** A mailer whose statements go through the client's checks. */
const offline = createMailer({ query: () => Promise.reject(new Error("Nothing may be asked")) });

/** Turns a mail that is one above a limit into the request that a caller without our client would send. */
function request(message: MessageInput): string {
  const { from, to, cc, bcc, replyTo, headers, attachments, ...rest } = message;
  const mailboxes = (list: unknown) =>
    (Array.isArray(list) ? list : list === undefined ? [] : [list]).map((one) =>
      typeof one === "string" ? { email: one } : one
    );
  return JSON.stringify({
    id: ID,
    ...rest,
    from: { email: from },
    to: mailboxes(to),
    cc: mailboxes(cc),
    bcc: mailboxes(bcc),
    replyTo: mailboxes(replyTo),
    headers: Object.entries(headers ?? {}),
    attachments: (attachments ?? []).map((file) => {
      const { content, ...fields } = file as { readonly content: Uint8Array };
      return { contentType: "application/octet-stream", ...fields, base64: Buffer.from(content).toString("base64") };
    }),
  });
}

for (const { name, limit, path, message, code = "too_large" } of CASES) {
  test(`${limit} ${name} pass the client and the database`, async () => {
    await using db = await createDatabase();
    const mail = createMailer(db.sql);
    expect((await mail.send(message(limit))).created).toBe(true);
  });

  test(`one more than ${limit} ${name} is refused by the client before anything is asked`, async () => {
    const error = await rejects(offline.send(message(limit + 1)), code, path);
    expect(error.issues).toHaveLength(1);
  });

  test(`one more than ${limit} ${name} is refused by the database too`, async () => {
    await using db = await createDatabase();
    const asked = db.sql.unsafe("select mailchute.enqueue_v1($1::text::jsonb)", [request(message(limit + 1))]);
    const error = await asked.then(
      () => undefined,
      (error: { readonly code: string; readonly detail: string }) => error,
    );
    expect(error?.code).toBe("MC001");
    const paths = JSON.parse(error?.detail ?? "[]").map((issue: { readonly path: string }) => issue.path);
    expect(paths).toHaveLength(1);
    // The database names a lone recipient by its place in the list, and tags as a whole.
    expect([path, `${path}.0`, `${path}.0.name`, path.replace(/\.0$/, "")]).toContain(paths[0]);
  });
}

for (const size of [1, LIMITS.idempotencyKeyBytes]) {
  test(`an idempotency key of ${size} bytes is taken`, async () => {
    await using db = await createDatabase();
    expect((await createMailer(db.sql).send(MESSAGE, { idempotencyKey: bytes(size) })).created).toBe(true);
  });
}

for (const key of ["", bytes(LIMITS.idempotencyKeyBytes + 1)]) {
  test(`an idempotency key of ${Buffer.byteLength(key)} bytes is refused by the client and the database`, async () => {
    await rejects(
      offline.send(MESSAGE, { idempotencyKey: key }),
      key === "" ? "validation_error" : "too_large",
      "idempotencyKey",
    );
    await using db = await createDatabase();
    const json = JSON.stringify({ ...JSON.parse(request(MESSAGE)), idempotencyKey: key });
    expect(db.sql.unsafe("select mailchute.enqueue_v1($1::text::jsonb)", [json]).execute()).rejects.toMatchObject({
      code: "MC001",
    });
  });
}

test("an empty tag is refused", async () => {
  await rejects(offline.send({ ...MESSAGE, tags: ["a", ""] }), "validation_error", "tags.1");
});

test("a mailer's own tags and headers count too", async () => {
  const mail = createMailer({ query: () => Promise.reject(new Error("Nothing may be asked")) }, {
    tags: [...Array(LIMITS.tags).keys()].map(String),
    headers: { "X-Own": "x".repeat(LIMITS.headersBytes - 5) },
  });
  await rejects(mail.statement({ ...MESSAGE, tags: ["one more"] }), "too_large", "headers");
  await rejects(
    mail.statement({ ...MESSAGE, headers: { "x-own": "replaced" }, tags: ["one more"] }),
    "too_large",
    "tags",
  );
  const { values } = await mail.statement({ ...MESSAGE, headers: { "x-own": "replaced" }, tags: ["7"] });
  expect(JSON.parse(String(values[0])).headers).toEqual([["x-own", "replaced"]]);
});

test("Blobs beyond the limit are refused without being read", async () => {
  const blob = new Blob([new Uint8Array(LIMITS.attachmentsBytes + 1)]);
  Object.defineProperty(blob, "arrayBuffer", { value: () => Promise.reject(new Error("It was read")) });
  await rejects(
    offline.send({ ...MESSAGE, attachments: [{ filename: "a", content: blob }] }),
    "too_large",
    "attachments",
  );
});

test("over Neon HTTP a request of exactly 9.5 MiB goes through and one byte more is too_large before anything is sent", async () => {
  await using db = await createDatabase();
  const url = await grantShop(db);
  await using standin = await startNeonStandin(db.url);
  standin.configure(neonConfig);
  const mail = createMailer(neon(url));
  const sized = (size: number): MessageInput => {
    const content = "A".repeat(4 * 1_000_000);
    return {
      ...MESSAGE,
      from: "a@shop.example",
      text: "\n".repeat(100),
      attachments: [{ filename: "a", content, encoding: "base64" }],
      html: "h".repeat(size),
    };
  };
  const small = await mail.statement(sized(1));
  const encoded = Buffer.byteLength(JSON.stringify({ query: small.text, params: small.values }));
  const most = LIMITS.neonHttpBytes - encoded + 1;
  expect((await mail.send(sized(most))).created).toBe(true);
  expect(standin.requests()).toBe(1);
  const error = await rejects(mail.send(sized(most + 1)), "too_large");
  expect(error.message).toContain("9,961,472");
  expect(error.message).toContain("postgres.js");
  await rejects(mail.statement(sized(most + 1)), "too_large");
  expect(standin.requests()).toBe(1);
});

test("a request that only Neon finds too large is too_large as well", async () => {
  await using db = await createDatabase();
  await using standin = await startNeonStandin(db.url);
  standin.configure(neonConfig);
  const sql = neon(db.url);
  // A proxy that adds to each request, as a wrapper of the app may do: our own check cannot see it.
  const padded = Object.assign(() => {}, {
    query: (text: string, values: string[]) => sql.query(`${text} -- ${"x".repeat(11_000_000)}`, values),
    transaction: sql.transaction,
  });
  const error = await rejects(createMailer(padded).send(MESSAGE), "too_large");
  expect(error.cause).toBeInstanceOf(Error);
});
