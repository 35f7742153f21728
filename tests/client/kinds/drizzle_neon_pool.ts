import { neonConfig, Pool } from "@neondatabase/serverless";
import { drizzle } from "drizzle-orm/neon-serverless";
import type { Pool as PgPool } from "pg";
import { openDrizzle } from "./drizzle_kind.ts";
import type { Kind } from "./kind.ts";
import { quiet } from "./pool_and_client.ts";

/** Drizzle on Neon's WebSocket pool. */
export const drizzleNeonPool: Kind = {
  name: "Drizzle on Neon Pool",
  interactive: true,
  open: (connectionString, standin) => {
    standin.configure(neonConfig);
    const client = new Pool({ connectionString });
    quiet(client as unknown as PgPool);
    return Promise.resolve(openDrizzle(drizzle({ client }), () => client.end()));
  },
};
