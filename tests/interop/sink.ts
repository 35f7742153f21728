import { program } from "../debian.ts";
import { accepting, freePort } from "../port.ts";

/** Postfix's test server, which can refuse, drop and delay each command. */
export const SINK = program("/usr/sbin/smtp-sink", "/usr/bin/smtp-sink");

/** Starts it with these options on a port of its own. */
export async function startSink(...options: readonly string[]): Promise<{ readonly port: number } & AsyncDisposable> {
  const port = await freePort();
  const command = ["setpriv", "--pdeathsig", "TERM", SINK as string];
  // It gives up root for the user that it is told, and takes no such option from anybody else.
  const user = process.getuid?.() === 0 ? ["-u", "nobody"] : [];
  const child = Bun.spawn([...command, ...user, ...options, `127.0.0.1:${port}`, "100"], {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "ignore",
  });
  await accepting(port, () => child.exitCode !== null);
  return {
    port,
    async [Symbol.asyncDispose]() {
      child.kill();
      await child.exited;
    },
  };
}
