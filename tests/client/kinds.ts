import { KINDS_OF_NODE } from "./kinds_of_node.ts";
import { bunBegin, bunReserve, bunSavepoint } from "./kinds/bun_sql.ts";
import { drizzleBun } from "./kinds/drizzle_bun.ts";
import type { Kind } from "./kinds/kind.ts";

/** All kinds of connections that the client knows. */
export const KINDS: readonly Kind[] = [...KINDS_OF_NODE, ...[bunBegin, bunSavepoint, bunReserve, drizzleBun]];
