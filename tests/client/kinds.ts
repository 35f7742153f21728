import { Client as NeonClient, neon, neonConfig, Pool as NeonPool } from "@neondatabase/serverless";
import pg from "pg";
import postgres from "postgres";
import type { Connection } from "../../mod.ts";
import type { NeonStandin } from "../neon_standin.ts";

/** An app's statement beside the mail's: text and values. */
export type OwnStatement = readonly [text: string, values: string[]];

/** One way to reach the database: how the app connects, and how it runs a transaction. */
export interface Kind {
  readonly name: string;
  /** Whether a transaction can be held open while the app waits; over HTTP it cannot. */
  readonly interactive: boolean;
  open(url: string, neonStandin: NeonStandin): Promise<OpenKind>;
}

/** Runs the app's own statement in a transaction. */
export type Execute = (...statement: OwnStatement) => Promise<unknown>;

/** An open connection of one kind. */
export interface OpenKind extends AsyncDisposable {
  readonly connection: Connection;
  /** Commits when the work resolves, rolls back when it rejects, and rejects with the same error. */
  transaction<T>(work: (tx: Connection, execute: Execute) => Promise<T>): Promise<T>;
  /** Neon's `transaction([...])`. */
  batch?(statements: readonly OwnStatement[]): Promise<unknown>;
}

/** What node-postgres and Neon's WebSocket driver have in common. */
interface PgClient {
  query(text: string, values?: string[]): Promise<unknown>;
}

async function withClient<T>(client: PgClient, work: (tx: Connection, execute: Execute) => Promise<T>): Promise<T> {
  await client.query("begin");
  try {
    const result = await work(client, (text, values) => client.query(text, values));
    await client.query("commit");
    return result;
  } catch (error) {
    await client.query("rollback");
    throw error;
  }
}

function poolKind(name: string, make: (url: string, standin: NeonStandin) => pg.Pool | NeonPool): Kind {
  return {
    name,
    interactive: true,
    open: (url, standin) => {
      const pool = make(url, standin) as pg.Pool;
      // end() does not wait for the connections: the test's database may go first.
      pool.on("error", () => {}).on("connect", (client) => client.on("error", () => {}));
      return Promise.resolve({
        connection: pool,
        transaction: async (work) => {
          const client = await pool.connect();
          try {
            return await withClient(client, work);
          } finally {
            client.release();
          }
        },
        [Symbol.asyncDispose]: () => pool.end(),
      });
    },
  };
}

function clientKind(name: string, make: (url: string, standin: NeonStandin) => pg.Client | NeonClient): Kind {
  return {
    name,
    interactive: true,
    open: async (url, standin) => {
      const client = make(url, standin) as pg.Client;
      client.on("error", () => {});
      await client.connect();
      return {
        connection: client,
        transaction: (work) => withClient(client, work),
        [Symbol.asyncDispose]: () => client.end(),
      };
    },
  };
}

function postgresKind(name: string, nested: boolean): Kind {
  return {
    name,
    interactive: true,
    open: (url) => {
      const sql = postgres(url, { onnotice: () => {} });
      const transaction: OpenKind["transaction"] = async <T>(
        work: (tx: Connection, execute: Execute) => Promise<T>,
      ) => {
        const results: T[] = [];
        const run = async (tx: postgres.TransactionSql) => {
          results.push(await work(tx, (text, values) => tx.unsafe(text, values)));
        };
        await sql.begin((tx) => nested ? tx.savepoint(run) : run(tx));
        // It has resolved, so there is one; postgres.js itself would unwrap promises in it.
        return results[0] as T;
      };
      return Promise.resolve({ connection: sql, transaction, [Symbol.asyncDispose]: () => sql.end() });
    },
  };
}

const neonHttp: Kind = {
  name: "Neon over HTTP",
  interactive: false,
  open: (url, standin) => {
    standin.configure(neonConfig);
    const sql = neon(url);
    return Promise.resolve({
      connection: sql,
      transaction: () => Promise.reject(new Error("HTTP has no open transactions")),
      batch: (statements) => sql.transaction(statements.map(([text, values]) => sql.query(text, values))),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    });
  },
};

/** All kinds of connections that the client knows. */
export const KINDS: readonly Kind[] = [
  postgresKind("postgres.js begin", false),
  postgresKind("postgres.js savepoint", true),
  poolKind("pg Pool", (connectionString) => new pg.Pool({ connectionString })),
  clientKind("pg Client", (connectionString) => new pg.Client({ connectionString })),
  neonHttp,
  poolKind("Neon Pool", (connectionString, standin) => {
    standin.configure(neonConfig);
    return new NeonPool({ connectionString });
  }),
  clientKind("Neon Client", (connectionString, standin) => {
    standin.configure(neonConfig);
    return new NeonClient({ connectionString });
  }),
];
