import type { Client as NeonClient, Pool as NeonPool } from "@neondatabase/serverless";
import type { Client, Pool } from "pg";
import type { Connection } from "../../../mod.ts";
import type { NeonStandin } from "../../neon_standin.ts";
import type { Execute, Kind } from "./kind.ts";

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

/** A pool, whose transactions run on one client of it. */
export function poolKind(name: string, make: (url: string, standin: NeonStandin) => Pool | NeonPool): Kind {
  return {
    name,
    interactive: true,
    open: (url, standin) => {
      const pool = make(url, standin) as Pool;
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

/** One client, which is the same object inside and outside of a transaction. */
export function clientKind(name: string, make: (url: string, standin: NeonStandin) => Client | NeonClient): Kind {
  return {
    name,
    interactive: true,
    open: async (url, standin) => {
      const client = make(url, standin) as Client;
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
