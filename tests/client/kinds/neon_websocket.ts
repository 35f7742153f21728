import { Client, neonConfig, Pool } from "@neondatabase/serverless";
import type { Kind } from "./kind.ts";
import { clientKind, poolKind } from "./pool_and_client.ts";

/** Neon's pool. */
export const neonPool: Kind = poolKind("Neon Pool", (connectionString, standin) => {
  standin.configure(neonConfig);
  return new Pool({ connectionString });
});

/** One connection to Neon over a WebSocket. */
export const neonClient: Kind = clientKind("Neon Client", (connectionString, standin) => {
  standin.configure(neonConfig);
  return new Client({ connectionString });
});
