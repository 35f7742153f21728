import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { accepting } from "../port.ts";
import type { Entrance, MailServer } from "./mail_server.ts";
import { readMaildir } from "./maildir.ts";

/** What a server in a process of its own needs to be run. */
export interface Daemon {
  readonly name: string;
  readonly command: readonly string[];
  readonly ports: Readonly<Partial<Record<Entrance, number>>>;
  readonly onward: number;
  readonly ca: string;
  /** The folder of the boxes, each a maildir. */
  readonly boxes: string;
  /** The folder of its log files; what it prints goes there too. */
  readonly logs: string;
  /** Clears away what it leaves. */
  remove(): void;
}

/** Starts a server that stays in the foreground, and waits until all its entrances are open. */
export async function startDaemon(daemon: Daemon): Promise<MailServer> {
  const printed = (stream: string) => Bun.file(join(daemon.logs, `printed.${stream}`));
  // It becomes the head of a process group, since Postfix signals its whole group, and ends when this process does.
  const child = Bun.spawn(["setpriv", "--pdeathsig", "TERM", "setsid", ...daemon.command], {
    stdin: "ignore",
    stdout: printed("out"),
    stderr: printed("err"),
  });
  const end = async () => {
    child.kill("SIGTERM");
    await child.exited;
    daemon.remove();
  };
  const log = () => lastLines(daemon.logs);
  try {
    await Promise.all(Object.values(daemon.ports).map((port) => accepting(port, () => child.exitCode !== null)));
  } catch (cause) {
    const said = log();
    await end();
    throw new Error(`Cannot start ${daemon.name}: ${said}`, { cause });
  }
  return {
    port: (entrance) => daemon.ports[entrance],
    onward: daemon.onward,
    ca: daemon.ca,
    mails: (box, count) => readMaildir(join(daemon.boxes, box), count, log),
    [Symbol.asyncDispose]: end,
  };
}

function lastLines(folder: string): string {
  const files = existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [];
  return files.filter((file) => statSync(file).isFile())
    .map((file) => readFileSync(file, "utf8").split("\n").slice(-20).join("\n")).join("\n");
}
