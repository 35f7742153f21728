import { Client, neon, neonConfig, Pool as NeonPool } from "@neondatabase/serverless";
import { expect, test } from "bun:test";
import { randomUUID } from "node:crypto";
import pg from "pg";
import postgres from "postgres";
import { createLog } from "../../relay/log.ts";
import { createSmtpTransport } from "../../relay/smtp/smtp.ts";
import { systemClock } from "../../relay/time/clock.ts";
import { drainQueue, type DrainReport } from "../../worker/drain_queue.ts";
import { NoAnswer, statementsOf } from "../../worker/statements_of.ts";
import { createDatabase } from "../database.ts";
import { startNeonStandin } from "../neon_standin.ts";
import { enqueue } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";

// Everything that a run asks of the database, by each kind of connection that an app may hand in. The way to the server
// is the relay's here: worker-mailer is for workerd.

const INSTANCE = randomUUID();

interface Handed {
  readonly connection: unknown;
  close(): Promise<unknown>;
}

const KINDS: Readonly<Record<string, (url: string) => Promise<Handed>>> = {
  "postgres.js": (url) => {
    const connection = postgres(url, { max: 2, onnotice: () => {} });
    return Promise.resolve({ connection, close: () => connection.end() });
  },
  "a Pool of pg": (url) => {
    const connection = new pg.Pool({ connectionString: url });
    connection.on("error", () => {});
    return Promise.resolve({ connection, close: () => connection.end() });
  },
  "a Pool of Neon": (url) => {
    const connection = new NeonPool({ connectionString: url });
    connection.on("error", () => {});
    return Promise.resolve({ connection, close: () => connection.end() });
  },
  "a Client of Neon": async (url) => {
    const connection = new Client({ connectionString: url });
    connection.on("error", () => {});
    await connection.connect();
    return { connection, close: () => connection.end() };
  },
  "Neon over HTTP": (url) => Promise.resolve({ connection: neon(url), close: () => Promise.resolve() }),
};

/** One run, over a connection of the app. */
function drainThrough(connection: unknown, smtpPort: number): Promise<DrainReport> {
  return drainQueue({
    ...{ display: "test", address: "test:5432/test", instance: INSTANCE, name: "test", returnPath: undefined },
    rules: { maxAgeMs: 432_000_000, maxAttempts: undefined, onUncertain: "retry" },
    ...{
      deadlineMs: 10_000,
      leaseMs: 60_000,
      batch: 10,
      maxMessages: Infinity,
      maxBytes: 5_000_000,
      routing: [],
      restMs: 60_000,
    },
    ...{ clock: systemClock, random: () => 0.5, log: createLog({ write: () => {}, now: () => 0 }) },
    statements: statementsOf(connection, { limitMs: 5_000, clock: systemClock }),
    transport: createSmtpTransport({ host: "127.0.0.1", port: smtpPort, tls: "none", ehloName: "worker.test" }),
  });
}

for (const [name, open] of Object.entries(KINDS)) {
  test(`a run drains through ${name}`, async () => {
    await using database = await createDatabase();
    await using standin = await startNeonStandin(database.url);
    standin.configure(neonConfig);
    await using server = await startScriptedServer({
      on: { rcpt: (to) => to.startsWith("bob") ? "450 later" : undefined },
    });
    const base64 = Buffer.alloc(60_000, 1).toString("base64");
    await enqueue(database, {
      to: ["ann@example.com", "bob@example.com"],
      bcc: ["jörg@example.com"],
      attachments: [{ filename: "a.bin", contentType: "application/octet-stream", base64 }],
    });
    await enqueue(database, { stream: "bulk" });
    await database.sql`insert into mailchute.pause (key) values ('stream=bulk')`;
    const { connection, close } = await open(database.url);
    const drain = () => drainThrough(connection, server.port);
    expect(await drain()).toEqual({
      ...{ claimed: 2, sent: 1, deferred: 1, bounced: 0, uncertain: 0, leftToRelay: 1, end: "empty" },
    });
    await database.sql`delete from mailchute.pause`;
    expect(await drain()).toMatchObject({ claimed: 1, sent: 1 });
    expect(await database.sql`select from mailchute.queue`).toHaveLength(1);
    await close();
  });
}

test("a large attachment takes few statements, byte for byte", async () => {
  await using database = await createDatabase();
  await using server = await startScriptedServer();
  const bytes = new Uint8Array(2_500_000).map((_, index) => index * 31 + (index >> 8));
  const base64 = Buffer.from(bytes).toString("base64");
  await enqueue(database, { attachments: [{ filename: "a.bin", contentType: "application/octet-stream", base64 }] });
  const texts: string[] = [];
  const connection = postgres(database.url, { onnotice: () => {}, debug: (_, text) => void texts.push(text) });
  expect(await drainThrough(connection, server.port)).toMatchObject({ sent: 1 });
  await connection.end();
  expect(texts.filter((text) => text.includes("substring(bytes"))).toHaveLength(3);
  expect(server.mails[0]?.content.replaceAll("\r\n", "")).toContain(base64);
});

/** Connections of an app that answer with other names or values than the database's. */
const CHANGED: Readonly<Record<string, (url: string) => { readonly end: () => Promise<unknown> }>> = {
  "postgres.camel": (url) => postgres(url, { onnotice: () => {}, transform: postgres.camel }),
  "undefined for null": (url) =>
    postgres(url, { onnotice: () => {}, transform: { value: { from: (value: unknown) => value ?? undefined } } }),
  "type parsers of pg": (url) =>
    new pg.Pool({ connectionString: url, types: { getTypeParser: () => (text: string) => text } as never }),
};

for (const [name, open] of Object.entries(CHANGED)) {
  test(`a connection with ${name} is refused before anything is claimed`, async () => {
    await using database = await createDatabase();
    await using server = await startScriptedServer();
    await enqueue(database);
    const connection = open(database.url);
    await expect(drainThrough(connection, server.port)).rejects.toThrow(
      /^Cannot use database: its connection changes what the database answers .*; give one that does not, or a URL$/,
    );
    await connection.end();
    expect(await database.sql`select from mailchute.queue where leased_by is null`).toHaveLength(1);
    expect(server.mails).toEqual([]);
  });
}

test("a connection that never answers is an error in time", async () => {
  const statements = statementsOf({ query: () => new Promise(() => {}) }, { limitMs: 20, clock: systemClock });
  await expect(statements.unsafe("select")).rejects.toThrow(NoAnswer);
});

test("what is no connection is refused by its kind", () => {
  const options = { limitMs: 20, clock: systemClock };
  expect(() => statementsOf({}, options)).toThrow("Cannot use database (object)");
});
