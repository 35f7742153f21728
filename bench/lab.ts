import { mkdtempSync, rmSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import postgres from "postgres";
import { type EmbeddedPostgres, startEmbedded } from "../relay/database/embedded.ts";
import { migrate } from "../relay/database/migrate.ts";
import { findSmtpSink, type SinkKind } from "./sink.ts";

/** Where benchmarks run: one Postgres, and a database of its own for each benchmark. */
export interface Lab extends AsyncDisposable {
  /** Such as `18.4`. */
  readonly postgresVersion: string;
  /** A folder of this run, on the same disk as the database. */
  readonly directory: string;
  readonly sinkKind: SinkKind;
  /** Makes a database with the current schema. @returns its URL, as superuser */
  createDatabase(): Promise<string>;
}

export interface LabOptions {
  /** With fsync, on a real disk; without, only to see that the benchmarks run. @default {true} */
  readonly durable?: boolean;
  /** @default smtp-sink where it is installed */
  readonly sinkKind?: SinkKind | undefined;
  /** Where the run's folder is made. @default the system's folder for temporary files */
  readonly parent?: string;
}

/** Linux: include/uapi/linux/magic.h. */
const TMPFS_MAGIC = 0x01021994;

/**
 * Starts a Postgres for one run.
 *
 * @throws {Error} when it is to be durable and the folder is in memory
 */
export async function openLab(options: LabOptions = {}): Promise<Lab> {
  const { durable = true, parent = tmpdir(), sinkKind = findSmtpSink() === undefined ? "bun" : "smtp-sink" } = options;
  if (durable && statfsSync(parent).type === TMPFS_MAGIC) {
    throw new Error(
      `Cannot measure commits: ${parent} is in memory, where fsync costs nothing; set TMPDIR to a folder on a disk`,
    );
  }
  const directory = mkdtempSync(join(parent, "mailchute-bench-"));
  let server: EmbeddedPostgres | undefined;
  try {
    server = await startEmbedded({ directory: join(directory, "postgres"), durable });
    const admin = postgres(server.url, { max: 1, onnotice: () => {} });
    const [row] = await admin`select split_part(current_setting('server_version'), ' ', 1) as version`;
    return labOf(server, { admin, directory, sinkKind, postgresVersion: row?.version as string });
  } catch (error) {
    await server?.stop();
    rmSync(directory, { recursive: true, force: true });
    throw error;
  }
}

function labOf(
  server: EmbeddedPostgres,
  options: Pick<Lab, "directory" | "sinkKind" | "postgresVersion"> & { readonly admin: postgres.Sql },
): Lab {
  const { admin, directory, ...rest } = options;
  let count = 0;
  return {
    ...rest,
    directory,
    async createDatabase() {
      const name = `bench_${++count}`;
      await admin.unsafe(`create database ${name}`);
      const url = new URL(server.url);
      url.pathname = `/${name}`;
      const sql = postgres(url.href, { max: 1, onnotice: () => {} });
      await migrate(sql);
      await sql.end();
      return url.href;
    },
    async [Symbol.asyncDispose]() {
      await admin.end({ timeout: 1 });
      await server.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
