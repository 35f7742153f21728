import { once } from "node:events";
import { createServer } from "node:net";
import { connect } from "node:net";
import { userInfo } from "node:os";
import { join } from "node:path";

/** A running SMTP server that throws everything away, in a process of its own. */
export interface Sink extends AsyncDisposable {
  /** Which program it is, for the report. */
  readonly name: string;
  readonly port: number;
}

/** `smtp-sink` comes with Postfix (on Debian in the package postfix); `bun` is bench/sink_server.ts. */
export type SinkKind = "smtp-sink" | "bun";

/** Finds smtp-sink; undefined when it is not installed. */
export function findSmtpSink(): string | undefined {
  return Bun.which("smtp-sink", { PATH: `${process.env.PATH ?? ""}:/usr/sbin:/usr/local/sbin` }) ?? undefined;
}

/**
 * Starts a sink on a free port of 127.0.0.1.
 *
 * @param kind @default smtp-sink where it is installed, else our own
 * @throws {Error} when smtp-sink is asked for and not installed, or the sink does not start
 */
export function startSink(kind?: SinkKind): Promise<Sink> {
  const program = findSmtpSink();
  if (kind === "bun" || (kind === undefined && program === undefined)) return startOwnSink();
  if (program === undefined) {
    throw new Error("Cannot start smtp-sink: it is not installed; install postfix, or use --sink bun");
  }
  return startSmtpSink(program);
}

async function startOwnSink(): Promise<Sink> {
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "sink_main.ts")], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "inherit",
  });
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    const port = Number(text.trim());
    return { name: "a sink on Bun (bench/sink_server.ts)", port, [Symbol.asyncDispose]: () => stop(child) };
  }
  throw new Error("Cannot start the sink: it ended without a word");
}

async function startSmtpSink(program: string): Promise<Sink> {
  const port = await freePort();
  // As root it wants to be told whom to become.
  const user = userInfo().uid === 0 ? ["-u", "nobody"] : [];
  const child = Bun.spawn([program, ...user, `127.0.0.1:${port}`, "128"], { stdout: "ignore", stderr: "pipe" });
  while (!await answers(port)) {
    if (child.exitCode !== null) {
      throw new Error(`Cannot start smtp-sink: ${(await new Response(child.stderr).text()).trim()}`);
    }
    await Bun.sleep(5);
  }
  return { name: "smtp-sink (Postfix)", port, [Symbol.asyncDispose]: () => stop(child) };
}

async function stop(child: { kill(): void; readonly exited: Promise<number> }): Promise<void> {
  child.kill();
  await child.exited;
}

async function answers(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  if (address === null || typeof address === "string") throw new Error("Cannot find a free port on 127.0.0.1");
  return address.port;
}
