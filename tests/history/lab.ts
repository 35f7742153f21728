import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import postgres, { type Sql } from "postgres";
import { type EmbeddedPostgres, startEmbedded } from "../../relay/database/embedded.ts";
import { migrate } from "../../relay/database/migrate.ts";
import { type DatabaseProxy, startDatabaseProxy } from "../database_proxy.ts";

/** A Postgres that can be restarted, and the ways to it: the relays' and the apps', each through a proxy. */
export interface Lab extends AsyncDisposable {
  /** A folder of this run. */
  readonly directory: string;
  readonly relays: DatabaseProxy;
  readonly apps: DatabaseProxy;
  /** As superuser, past the proxies; another one after a restart. */
  admin(): Sql;
  /**
   * `fast` ends all sessions; `immediate` is a crash: at its start it recovers from its log. Resolves when it serves
   * again, and not before `whileAway` does.
   */
  restart(mode: "fast" | "immediate", whileAway?: () => Promise<void>): Promise<void>;
  /** Ends the sessions of all relays. */
  cutBackends(): Promise<void>;
}

/** Starts the database, with our schema and an app's table. It is durable: what is committed outlives its crash. */
export async function openLab(): Promise<Lab> {
  const directory = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "mailchute-history-"));
  const cluster = join(directory, "postgres");
  let server: EmbeddedPostgres = await startEmbedded({ directory: cluster });
  const connect = () => postgres(server.url, { max: 3, onnotice: () => {} });
  let admin = connect();
  await migrate(admin);
  await admin`create table public.orders (token text primary key)`;
  const relays = await startDatabaseProxy(server.url);
  const apps = await startDatabaseProxy(server.url);
  let restarting = Promise.resolve();

  const restart = async (mode: "fast" | "immediate", whileAway?: () => Promise<void>) => {
    await admin.end({ timeout: 0 });
    // SIGQUIT is the immediate shutdown; the first line of the file is the server's process id.
    if (mode === "immediate") {
      const pid = Number(readFileSync(join(cluster, "data/postmaster.pid"), "utf8").split("\n")[0]);
      // 0 would be all of us.
      if (!(pid > 0)) throw new Error("Cannot crash Postgres: it has not written its process id");
      process.kill(pid, "SIGQUIT");
    }
    await server.stop();
    await whileAway?.();
    server = await startEmbedded({ directory: cluster });
    admin = connect();
    for (const proxy of [relays, apps]) proxy.moveTo(server.url);
  };
  return {
    ...{ directory, relays, apps },
    admin: () => admin,
    restart: (mode, whileAway) => restarting = restarting.then(() => restart(mode, whileAway)),
    async cutBackends() {
      await admin`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'mailchute relay'`;
    },
    async [Symbol.asyncDispose]() {
      await restarting;
      await Promise.all([relays[Symbol.asyncDispose](), apps[Symbol.asyncDispose]()]);
      await admin.end({ timeout: 0 });
      await server.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
