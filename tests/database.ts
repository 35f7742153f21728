import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { existsSync } from "node:fs";
import { join } from "node:path";
import postgres from "postgres";
import { type EmbeddedPostgres, startEmbedded } from "../relay/embedded.ts";
import { migrate } from "../relay/migrate.ts";

// One real Postgres for a whole test run, one database for each test that asks: copied from a migrated template.

let server: Promise<{ readonly embedded: EmbeddedPostgres; readonly admin: postgres.Sql }> | undefined;
let count = 0;

/** A database of its own for one test, with the current schema. */
export interface TestDatabase extends AsyncDisposable {
  /** As superuser. */
  readonly url: string;
  /** As superuser; at most 10 connections. */
  readonly sql: postgres.Sql;
  /** The same database for another login role, made with password `secret` if it is new. */
  readonly as: (role: string) => Promise<string>;
}

/** Starts the server of the test run, once. */
export function testServer(): Promise<{ readonly embedded: EmbeddedPostgres; readonly admin: postgres.Sql }> {
  server ??= start();
  return server;
}

async function start(): Promise<{ readonly embedded: EmbeddedPostgres; readonly admin: postgres.Sql }> {
  const directory = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "mailchute-test-"));
  // Ends and goes with this process: bun test calls no exit handler.
  const embedded = await startEmbedded({ directory, durable: false, temporary: true });
  const admin = postgres(embedded.url, { max: 1, onnotice: () => {} });
  await admin.unsafe("create database mailchute_template");
  const template = postgres(withDatabase(embedded.url, "mailchute_template"), { max: 1, onnotice: () => {} });
  await migrate(template);
  await template.end();
  return { embedded, admin };
}

/** What a test may choose of its database. */
export interface TestDatabaseOptions {
  /** Without our schema. */
  readonly empty?: boolean;
  /** @default the server's own, `C` */
  readonly locale?: "C.UTF-8";
}

/** Makes a database for one test: migrated, or empty with `{ empty: true }`. */
export async function createDatabase(options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const { embedded, admin } = await testServer();
  const name = `test_${++count}`;
  const { empty = false, locale } = options;
  const source = locale !== undefined
    ? `encoding 'UTF8' locale_provider libc locale '${locale}' template template0`
    : empty
    ? ""
    // The files, and not every page of them through the log.
    : "template mailchute_template strategy file_copy";
  await admin.unsafe(`create database ${name} ${source}`);
  const url = withDatabase(embedded.url, name);
  const sql = postgres(url, { onnotice: () => {} });
  // Nothing is copied into another locale.
  if (locale !== undefined && !empty) await migrate(sql);
  return {
    url,
    sql,
    as: async (role) => {
      const [known] = await admin`select from pg_roles where rolname = ${role}`;
      if (!known) await admin.unsafe(`create role "${role}" login password 'secret'`);
      const login = new URL(url);
      login.username = role;
      login.password = "secret";
      return login.href;
    },
    [Symbol.asyncDispose]: async () => {
      await sql.end({ timeout: 1 });
      await admin.unsafe(`drop database ${name} with (force)`);
    },
  };
}

function withDatabase(url: string, name: string): string {
  const changed = new URL(url);
  changed.pathname = `/${name}`;
  return changed.href;
}
