import { drizzleNeonHttp } from "../client/kinds/drizzle_neon_http.ts";
import { drizzleNeonPool } from "../client/kinds/drizzle_neon_pool.ts";
import { drizzlePostgres } from "../client/kinds/drizzle_postgres.ts";
import { neonHttp } from "../client/kinds/neon_http.ts";
import { neonClient, neonPool } from "../client/kinds/neon_websocket.ts";
import { postgresBegin, postgresReserve, postgresSavepoint } from "../client/kinds/postgres.ts";
import { workerOf } from "./worker.ts";

export default workerOf([
  ...[postgresBegin, postgresSavepoint, postgresReserve, drizzlePostgres],
  ...[neonHttp, neonPool, neonClient, drizzleNeonHttp, drizzleNeonPool],
]);
