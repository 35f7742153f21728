import { drizzleNeonHttp } from "../client/kinds/drizzle_neon_http.ts";
import { drizzleNeonPool } from "../client/kinds/drizzle_neon_pool.ts";
import { drizzlePg } from "../client/kinds/drizzle_pg.ts";
import { drizzlePostgres } from "../client/kinds/drizzle_postgres.ts";
import { kysely } from "../client/kinds/kysely.ts";
import { neonHttp } from "../client/kinds/neon_http.ts";
import { neonClient, neonPool } from "../client/kinds/neon_websocket.ts";
import { pgClient, pgPool } from "../client/kinds/pg.ts";
import { postgresBegin, postgresReserve, postgresSavepoint } from "../client/kinds/postgres.ts";
import { workerOf } from "./worker.ts";

export default workerOf([
  ...[postgresBegin, postgresSavepoint, postgresReserve, drizzlePostgres],
  ...[pgPool, pgClient, drizzlePg, kysely],
  ...[neonHttp, neonPool, neonClient, drizzleNeonHttp, drizzleNeonPool],
]);
