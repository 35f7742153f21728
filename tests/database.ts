import postgres from "postgres";
import { migrate } from "../relay/database/migrate.ts";
import { SERVER_VARIABLE, startTestServer } from "./server.ts";

// One real Postgres for a whole test run, one database for each test that asks: copied from a migrated template.

interface TestServer {
  /** Of its superuser. */
  readonly url: string;
  readonly admin: postgres.Sql;
}

let server: Promise<TestServer> | undefined;
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

/** The server of the test run: started once, if nobody has started one for it. */
export function testServer(): Promise<TestServer> {
  server ??= start();
  return server;
}

async function start(): Promise<TestServer> {
  const url = process.env[SERVER_VARIABLE] ?? (await startTestServer()).url;
  const admin = postgres(url, { max: 1, onnotice: () => {} });
  const [known] = await admin`select from pg_database where datname = ${TEMPLATE}`;
  if (!known) {
    await admin.unsafe(`create database ${TEMPLATE}`);
    const template = postgres(withDatabase(url, TEMPLATE), { max: 1, onnotice: () => {} });
    await migrate(template);
    await template.end();
  }
  return { url, admin };
}

const TEMPLATE = "mailchute_template";

/** What a test may choose of its database. */
export interface TestDatabaseOptions {
  /** Without our schema. */
  readonly empty?: boolean;
  /** @default the server's own, `C` */
  readonly locale?: "C.UTF-8";
}

/** Makes a database for one test: migrated, or empty with `{ empty: true }`. */
export async function createDatabase(options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const server = await testServer();
  const { admin } = server;
  // Another run may use the server after this one.
  const name = `test_${process.pid}_${++count}`;
  const { empty = false, locale } = options;
  const source = locale !== undefined
    ? `encoding 'UTF8' locale_provider libc locale '${locale}' template template0`
    : empty
    ? ""
    // The files, and not every page of them through the log.
    : `template ${TEMPLATE} strategy file_copy`;
  await admin.unsafe(`create database ${name} ${source}`);
  const url = withDatabase(server.url, name);
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
