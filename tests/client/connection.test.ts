import { neon, neonConfig } from "@neondatabase/serverless";
import { expect, test } from "bun:test";
import { createServer } from "node:net";
import { type AddressInfo } from "node:net";
import pg from "pg";
import postgres from "postgres";
import { createMailer, MailchuteError, type MailerOptions, type MessageInput } from "../../mod.ts";
import { neonMailer } from "../../src/drivers/neon.ts";
import { postgresMailer } from "../../src/drivers/postgres.ts";
import { refusalOf } from "../../src/refusal.ts";
import { createDatabase } from "../database.ts";
import { startNeonStandin } from "../neon_standin.ts";
import { rejection, rejects } from "./cases.ts";
import { grantShop } from "./shop.ts";

const MESSAGE = { from: "a@shop.example", to: "c@d.example", subject: "s", text: "t" } satisfies MessageInput;

/** What is no connection, among it what looks a little like one. */
const NO_CONNECTIONS: readonly unknown[] = [
  null,
  undefined,
  "postgres://user:hunter2@host/db",
  7,
  true,
  Symbol("db"),
  {},
  [],
  () => {},
  {
    query: {},
  },
  { unsafe: () => {} },
  { execute: {}, executeQuery: "select 1", $queryRawUnsafe: null },
  new Map(),
];

const KNOWN = ["postgres.js", "Bun.SQL", "pg", "Neon", "Drizzle", "Kysely", "Prisma", "TypeORM", "mail.statement"];

for (const value of NO_CONNECTIONS) {
  test(`${Array.isArray(value) ? "[]" : String(value)} of type ${typeof value} is no connection, and the error lists what is`, async () => {
    const attempt = async () => await createMailer(value as never).send(MESSAGE);
    const error = await rejects(attempt(), "connection_unsupported");
    for (const known of KNOWN) expect(error.message).toContain(known);
    expect(error.message).not.toContain("hunter2");
  });
}

test("null as tx is refused and does not fall back to the mailer's db", async () => {
  const mail = createMailer({ query: () => Promise.reject(new Error("db was used")) });
  const error = await rejects(mail.send(MESSAGE, { tx: null } as never), "connection_unsupported");
  expect(error.message).toContain("tx");
  await rejects(mail.get("017f22e2-79b0-7cc3-98c4-dc0c0c07398f", { tx: null } as never), "connection_unsupported");
});

test("the function that neon's transaction(fn) hands out is no connection: what it runs is not sent at once", async () => {
  const sql = neon("postgres://a:b@db.example/x");
  const functionInside = Object.assign(() => {}, { query: sql.query, unsafe: sql.unsafe });
  const error = await rejects(createMailer(functionInside).send(MESSAGE), "connection_unsupported");
  expect(error.message).toContain("mail.statement");
});

test("a mailer can be made from a proxy that must not be touched yet", () => {
  const lazy = new Proxy({} as { query: () => void }, {
    get: () => {
      throw new Error("It was touched");
    },
  });
  expect(createMailer(lazy)).toHaveProperty("send");
});

test("a connection that never answers ends in timeout, and the late answer disturbs nobody", async () => {
  const late = Promise.withResolvers<unknown>();
  const mail = createMailer({ query: () => late.promise }, { timeoutMs: 20 });
  const error = await rejects(mail.send(MESSAGE), "timeout");
  expect(error.message).toContain("20 ms");
  late.reject(new Error("Too late"));
  await rejects(
    createMailer({ query: () => late.promise }, { timeoutMs: 20 }).get(crypto.randomUUID()),
    "database_error",
  );
});

test("a server that takes the connection and says nothing ends in timeout, with each driver", async () => {
  const sockets = new Set<{ destroy(): void }>();
  const server = createServer((socket) => sockets.add(socket.on("error", () => {})));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const url = `postgres://a:b@${host}/x`;
  neonConfig.fetchEndpoint = () => `http://${host}/sql`;
  const sql = postgres(url, { connect_timeout: 60 });
  const pool = new pg.Pool({ connectionString: url });
  pool.on("error", () => {});
  const options: MailerOptions = { timeoutMs: 50 };
  await rejects(createMailer(sql, options).send(MESSAGE), "timeout");
  await rejects(createMailer(pool, options).send(MESSAGE), "timeout");
  await rejects(createMailer(neon(url), options).send(MESSAGE), "timeout");
  for (const socket of sockets) socket.destroy();
  server.close();
  await sql.end({ timeout: 0 });
});

test("a server that is not there is a database_error with the driver's error as its cause", async () => {
  const sql = postgres("postgres://user:hunter2@127.0.0.1:1/x");
  const error = await rejects(createMailer(sql).send(MESSAGE), "database_error");
  expect(error.cause).toBeInstanceOf(Error);
  expect(error.message).not.toContain("hunter2");
  await sql.end();
});

test("the timer of the deadline does not outlive the answer", async () => {
  const before = process.getActiveResourcesInfo?.().filter((name) => name === "Timeout").length ?? 0;
  const mail = createMailer({ query: () => Promise.resolve({ rows: [{ id: "x", created: true }] }) }, {
    timeoutMs: 600_000,
  });
  expect(await mail.send(MESSAGE)).toEqual({ id: "x", created: true });
  expect(process.getActiveResourcesInfo?.().filter((name) => name === "Timeout").length ?? 0).toBe(before);
});

test("an answer that is not one row is an error and no success", async () => {
  for (const answer of [undefined, null, {}, { rows: [] }, [], "ok", { rows: [{}, {}] }, { rows: {} }]) {
    await rejects(createMailer({ query: () => Promise.resolve(answer) }).send(MESSAGE), "database_error");
  }
});

test("a SQLSTATE is found in the error that an ORM wraps around the driver's", () => {
  const driver = Object.assign(new Error("permission denied"), { code: "42501" });
  const wrapped = new Error("Failed query: insert …", { cause: new Error("again", { cause: driver }) });
  expect(refusalOf(wrapped, "Cannot send the mail")).toMatchObject({ code: "permission_denied", cause: wrapped });
  const circle: Error & { cause?: unknown } = new Error("circle");
  circle.cause = circle;
  expect(refusalOf(circle, "Cannot send the mail").code).toBe("database_error");
});

test("Prisma's code is not taken for the SQLSTATE that it wraps, and Bun's is found", () => {
  const detail = JSON.stringify([{ path: "to.0", message: "it is none" }]);
  const driverAdapterError = new Error("refused", { cause: { originalCode: "MC001", kind: "postgres", detail } });
  const prisma = Object.assign(new Error("Raw query failed"), { code: "P2010", meta: { driverAdapterError } });
  expect(refusalOf(prisma, "Cannot send the mail")).toMatchObject({
    code: "validation_error",
    message: "Cannot send the mail: to.0: it is none",
    issues: [{ path: "to.0", message: "it is none" }],
  });
  const engine = Object.assign(new Error("Raw query failed"), {
    code: "P2010",
    meta: { code: "42501", message: "denied" },
  });
  expect(refusalOf(engine, "Cannot send the mail").code).toBe("permission_denied");
  const bun = Object.assign(new Error("denied"), { code: "ERR_POSTGRES_SERVER_ERROR", errno: "42501" });
  expect(refusalOf(bun, "Cannot send the mail").code).toBe("permission_denied");
});

test("the message tells the SQLSTATE when there is one, and is a sentence when there is none", () => {
  const messageOf = (code: unknown) =>
    refusalOf(Object.assign(new Error("x"), { code }), "Cannot send the mail").message;
  const failed = "Cannot send the mail: the database or the connection failed";
  expect(messageOf("40001")).toBe(`${failed} (40001): see cause`);
  for (const code of ["ECONNREFUSED", undefined, 7, "ERR_POSTGRES_CONNECTION_CLOSED"]) {
    expect(messageOf(code)).toBe(`${failed}: see cause`);
  }
  // Our own check's, without the detail that names the field.
  expect(messageOf("MC001")).toBe("Cannot send the mail: the database refused it");
  const detail = '[{"path":"headers.Sender","message":"is not one of the app\'s senders"}]';
  expect(refusalOf(Object.assign(new Error("x"), { code: "MC002", detail }), "Cannot send the mail").message).toBe(
    "Cannot send the mail: headers.Sender: the sender is not allowed for this role: an administrator allows it with `mailchute grants`",
  );
});

const STATES: readonly (readonly [string, string])[] = [
  ["MC001", "validation_error"],
  ["MC002", "sender_not_allowed"],
  ["MC003", "recipient_not_allowed"],
  ["MC004", "idempotency_conflict"],
  ["MC005", "queue_full"],
  ["42883", "not_migrated"],
  ["3F000", "not_migrated"],
  ["42P01", "not_migrated"],
  ["42501", "permission_denied"],
  ["40001", "database_error"],
  ["ECONNREFUSED", "database_error"],
  ["EPIPE", "database_error"],
];

for (const [state, code] of STATES) {
  test(`the driver's ${state} becomes ${code}`, () => {
    const secret = Object.assign(new Error("secret"), {
      code: state,
      detail: "secret",
      hint: "secret",
      query: "secret",
    });
    const error = refusalOf(secret, "Cannot send the mail");
    expect(error).toMatchObject({ code, cause: secret, issues: [] });
    expect(error.message).not.toContain("secret");
  });
}

test("what a driver throws that is no Error is a cause too", () => {
  for (const thrown of [undefined, null, "text", 7, {}]) {
    expect(refusalOf(thrown, "Cannot").code).toBe("database_error");
  }
});

test("a role without an app is told the command", async () => {
  await using db = await createDatabase();
  const url = await db.as("no_app");
  await db.sql.unsafe("grant mailchute_client to no_app");
  await using mail = postgresMailer(url);
  const error = await rejects(mail.send(MESSAGE), "sender_not_allowed");
  expect(error.message).toContain("mailchute grants");
});

test("postgresMailer sends from a URL, and is closed at the end of its scope", async () => {
  await using db = await createDatabase();
  const url = await grantShop(db);
  const open = () => db.sql`select from pg_stat_activity where usename = 'shop_app'`;
  {
    await using mail = postgresMailer(url, { from: "Shop <a@shop.example>" });
    const sent = await Promise.all(
      [1, 2, 3, 4, 5].map(() => mail.send({ to: "c@d.example", subject: "s", text: "t" })),
    );
    expect(sent.every(({ created }) => created)).toBe(true);
    expect((await open()).length).toBeLessThanOrEqual(3);
  }
  const mail = postgresMailer(url);
  await mail.send(MESSAGE);
  await mail.close();
  expect(await rejection(mail.send(MESSAGE))).toBeInstanceOf(MailchuteError);
});

test("neonMailer sends from a URL", async () => {
  await using db = await createDatabase();
  const url = await grantShop(db);
  await using standin = await startNeonStandin(db.url);
  standin.configure(neonConfig);
  const mail = neonMailer(url, { from: "Shop <a@shop.example>" });
  const { id } = await mail.send({ to: "c@d.example", subject: "s", text: "t" });
  expect((await mail.get(id))?.state).toBe("queued");
});

test("what is no URL is refused by both without showing it", () => {
  for (const make of [neonMailer, postgresMailer]) {
    for (const url of ["", "hunter2", "https://user:hunter2@host/db", "postgres://", "postgres:///hunter2"]) {
      expect(() => make(url)).toThrow("postgres://user:password@host/database");
      expect(() => make(url)).not.toThrow("hunter2");
    }
    expect(() => make(undefined as never)).toThrow(MailchuteError);
  }
});

test("Neon's rows are objects whatever the app has set", async () => {
  await using db = await createDatabase();
  const url = await grantShop(db);
  await using standin = await startNeonStandin(db.url);
  standin.configure(neonConfig);
  const mail = createMailer(neon(url, { arrayMode: true, fullResults: true }));
  expect((await mail.send(MESSAGE)).created).toBe(true);
});

test("behind a pooler that forgets statements, prepare: false works", async () => {
  await using db = await createDatabase();
  const sql = postgres(await grantShop(db), { prepare: false });
  expect((await createMailer(sql).send(MESSAGE)).created).toBe(true);
  await sql.end();
});

test("a URL that is not set, and a connection that is none, are told what to give", async () => {
  const like = "like postgres://user:password@host/database";
  for (
    const [url, because] of [
      [undefined, "it is not set: give a string"],
      ["", "it is not set: give a string"],
      ["mysql://a:secret@b/c", "it is not"],
      [{ query: () => {} }, "it is no string; a connection goes to createMailer, a URL is"],
    ] as const
  ) {
    const error = await rejects(Promise.try(() => postgresMailer(url as never)), "connection_unsupported");
    expect(error.message).toBe(`Cannot use the URL: ${because} ${like}`);
  }
  const none = await rejects(Promise.try(() => createMailer(undefined as never)), "connection_unsupported");
  expect(none.message).toStartWith("Cannot use db (undefined): give a connection of postgres.js, Bun.SQL, pg, Neon");
  const empty = await rejects(createMailer({} as never).send(MESSAGE), "connection_unsupported");
  expect(empty.message).toStartWith("Cannot use db (object): give a connection of postgres.js");
});
