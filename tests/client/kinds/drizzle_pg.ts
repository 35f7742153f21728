import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import { openDrizzle } from "./drizzle_kind.ts";
import type { Kind } from "./kind.ts";
import { quiet } from "./pool_and_client.ts";

/** Drizzle on node-postgres. */
export const drizzlePg: Kind = {
  name: "Drizzle on pg",
  interactive: true,
  open: (connectionString) => {
    const client = quiet(new pg.Pool({ connectionString }));
    return Promise.resolve(openDrizzle(drizzle({ client }), () => client.end()));
  },
};
