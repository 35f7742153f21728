import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { program } from "../debian.ts";
import { accepting, freePort } from "../port.ts";
import { temporaryDirectory } from "../relay_process.ts";

/** The installed PgBouncer, or undefined. */
export const PGBOUNCER = program("/usr/sbin/pgbouncer");

/** A running PgBouncer. */
export interface PgBouncer extends AsyncDisposable {
  /** The database's URL, through it. */
  readonly url: string;
}

/** Starts PgBouncer in transaction mode before the database of this URL, with so many connections to it. */
export async function startPgBouncer(target: string, servers: number): Promise<PgBouncer> {
  const folder = temporaryDirectory();
  const url = new URL(target);
  const port = await freePort();
  // It logs in with the clear password, and asks nobody for one.
  writeFileSync(join(folder.path, "users"), `"${url.username}" "${url.password}"\n`);
  writeFileSync(
    join(folder.path, "pgbouncer.ini"),
    `[databases]
* = host=${url.hostname} port=${url.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = trust
auth_file = ${join(folder.path, "users")}
pool_mode = transaction
default_pool_size = ${servers}
`,
  );
  chmodSync(folder.path, 0o755);
  // It refuses to be root.
  const user = process.getuid?.() === 0 ? ["-u", "nobody"] : [];
  const command = ["setpriv", "--pdeathsig", "TERM", PGBOUNCER as string, ...user, join(folder.path, "pgbouncer.ini")];
  const child = Bun.spawn(command, { stdin: "ignore", stdout: "ignore", stderr: "pipe" });
  const end = async () => {
    child.kill("SIGKILL");
    await child.exited;
    folder[Symbol.dispose]();
  };
  try {
    await accepting(port, () => child.exitCode !== null);
  } catch (cause) {
    await end();
    throw new Error(`Cannot start PgBouncer: ${await new Response(child.stderr).text()}`, { cause });
  }
  url.hostname = "127.0.0.1";
  url.port = String(port);
  return { url: url.href, [Symbol.asyncDispose]: end };
}
