import { drizzleNeonHttp } from "./kinds/drizzle_neon_http.ts";
import { drizzleNeonPool } from "./kinds/drizzle_neon_pool.ts";
import { drizzlePg } from "./kinds/drizzle_pg.ts";
import { drizzlePostgres } from "./kinds/drizzle_postgres.ts";
import type { Kind } from "./kinds/kind.ts";
import { kysely } from "./kinds/kysely.ts";
import { neonHttp } from "./kinds/neon_http.ts";
import { neonClient, neonPool } from "./kinds/neon_websocket.ts";
import { pgClient, pgPool } from "./kinds/pg.ts";
import { postgresBegin, postgresReserve, postgresSavepoint } from "./kinds/postgres.ts";
import { prisma, prismaNeon } from "./kinds/prisma.ts";
import { typeormManager, typeormRunner } from "./kinds/typeorm.ts";

/** All kinds of connections that Node can make, and with it Deno and Bun. */
export const KINDS_OF_NODE: readonly Kind[] = [
  ...[postgresBegin, postgresSavepoint, postgresReserve],
  ...[pgPool, pgClient],
  ...[neonHttp, neonPool, neonClient],
  ...[drizzlePostgres, drizzlePg, drizzleNeonPool, drizzleNeonHttp],
  kysely,
  ...[prisma, prismaNeon],
  ...[typeormManager, typeormRunner],
];
