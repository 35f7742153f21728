import { SQL } from "bun";
import { drizzle } from "drizzle-orm/bun-sql";
import { openDrizzle } from "./drizzle_kind.ts";
import type { Kind } from "./kind.ts";

/** Drizzle on Bun's own driver. */
export const drizzleBun: Kind = {
  name: "Drizzle on Bun.SQL",
  interactive: true,
  open: (url) => {
    const client = new SQL(url);
    return Promise.resolve(openDrizzle(drizzle({ client }), () => client.close({ timeout: 0 })));
  },
};
