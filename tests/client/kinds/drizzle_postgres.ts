import { drizzle } from "drizzle-orm/postgres-js";
import postgres from "postgres";
import { openDrizzle } from "./drizzle_kind.ts";
import type { Kind } from "./kind.ts";

/** Drizzle on postgres.js. */
export const drizzlePostgres: Kind = {
  name: "Drizzle on postgres.js",
  interactive: true,
  open: (url) => {
    const client = postgres(url, { onnotice: () => {} });
    return Promise.resolve(openDrizzle(drizzle({ client }), () => client.end({ timeout: 1 })));
  },
};
