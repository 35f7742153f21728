import type { DatabaseUnderTest } from "./database.ts";
import { type Finding, warn } from "./finding.ts";

const LEVEL = "select current_user::text as role, current_setting('transaction_isolation') as level";

/**
 * Whether a statement that meets another's change looks again, or fails: what a pooler keeps us from saying ourselves.
 * Nothing is said where all is well.
 */
export async function checkIsolation({ sql }: DatabaseUnderTest): Promise<readonly Finding[]> {
  const [row] = await sql.unsafe(LEVEL);
  if (row?.level === "read committed") return [];
  return [warn(
    "isolation",
    `transactions are ${row?.level} here: the relay's and those of apps make each other fail`,
    `let the relay's role say otherwise: alter role ${row?.role} set default_transaction_isolation = 'read committed'`,
  )];
}
