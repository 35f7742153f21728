import type { Client as NeonClient, Pool as NeonPool } from "@neondatabase/serverless";
import type { Client, Pool } from "pg";
import type { Connection } from "../../../mod.ts";
import type { NeonTarget } from "../../neon_target.ts";
import type { Execute, Kind } from "./kind.ts";

/** Runs a transaction by hand, on one connection. */
export async function withClient<T>(
  client: Connection,
  query: (text: string, values?: string[]) => PromiseLike<unknown>,
  work: (tx: Connection, execute: Execute) => Promise<T>,
): Promise<T> {
  await query("begin");
  try {
    const result = await work(client, async (text, values) => await query(text, values));
    await query("commit");
    return result;
  } catch (error) {
    await query("rollback");
    throw error;
  }
}

/**
 * Lets nothing be thrown into the air: end() does not wait for the connections, and the test's database may go first.
 */
export function quiet(pool: Pool): Pool {
  return pool.on("error", () => {}).on("connect", (client) => client.on("error", () => {}));
}

/** A pool, whose transactions run on one client of it. */
export function poolKind(name: string, make: (url: string, neon: NeonTarget) => Pool | NeonPool): Kind {
  return {
    name,
    interactive: true,
    open: (url, neon) => {
      const pool = quiet(make(url, neon) as Pool);
      return Promise.resolve({
        connection: pool,
        transaction: async (work) => {
          const client = await pool.connect();
          try {
            return await withClient(client, (text, values) => client.query(text, values), work);
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
export function clientKind(name: string, make: (url: string, neon: NeonTarget) => Client | NeonClient): Kind {
  return {
    name,
    interactive: true,
    open: async (url, neon) => {
      const client = make(url, neon) as Client;
      client.on("error", () => {});
      await client.connect();
      return {
        connection: client,
        transaction: (work) => withClient(client, (text, values) => client.query(text, values), work),
        [Symbol.asyncDispose]: () => client.end(),
      };
    },
  };
}
