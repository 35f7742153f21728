import type { Kind } from "./kinds/kind.ts";
import { neonHttp } from "./kinds/neon_http.ts";
import { neonClient, neonPool } from "./kinds/neon_websocket.ts";
import { pgClient, pgPool } from "./kinds/pg.ts";
import { postgresBegin, postgresSavepoint } from "./kinds/postgres.ts";

/** All kinds of connections that the client knows. */
export const KINDS: readonly Kind[] = [
  postgresBegin,
  postgresSavepoint,
  pgPool,
  pgClient,
  neonHttp,
  neonPool,
  neonClient,
];
