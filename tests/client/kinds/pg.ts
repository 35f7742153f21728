import pg from "pg";
import type { Kind } from "./kind.ts";
import { clientKind, poolKind } from "./pool_and_client.ts";

/** node-postgres' pool. */
export const pgPool: Kind = poolKind("pg Pool", (connectionString) => new pg.Pool({ connectionString }));

/** One connection of node-postgres. */
export const pgClient: Kind = clientKind("pg Client", (connectionString) => new pg.Client({ connectionString }));
