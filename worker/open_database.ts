import postgres from "postgres";
import { openUrl } from "../src/drivers/url.ts";

/** A connection of our own, to be closed when the run is over: a Worker may not use one in another. */
export interface OpenedDatabase {
  readonly connection: postgres.Sql;
  close(): Promise<void>;
}

/** One statement and a renewal at a time. */
const CONNECTIONS = 2;
const CONNECT_SECONDS = 10;
const CLOSE_SECONDS = 2;

/** Connects by postgres.js, which speaks over `cloudflare:sockets` in a Worker, through Hyperdrive and poolers too. */
export function openDatabase(url: string): OpenedDatabase {
  const connection = openUrl(url, (checked) =>
    postgres(checked, {
      ...{ prepare: false, fetch_types: false, max: CONNECTIONS, connect_timeout: CONNECT_SECONDS },
      connection: { application_name: "mailchute worker" },
      onnotice: () => {},
    }));
  return { connection, close: () => connection.end({ timeout: CLOSE_SECONDS }) };
}
