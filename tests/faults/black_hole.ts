import { connect } from "node:net";

/** How long a connection may take before it counts as one that is never answered. */
const ANSWER_MS = 500;

/**
 * Opens a port that answers no SYN: a process listens there and is stopped, and its backlog is filled, so that the
 * kernel drops what comes. Both end with this process.
 *
 * @returns the port
 */
export async function openBlackHole(): Promise<number> {
  const listener = Bun.spawn({
    cmd: [
      process.execPath,
      "-e",
      'const s = require("node:net").createServer(); s.listen(0, "127.0.0.1", () => console.log(s.address().port));',
    ],
    stdout: "pipe",
  });
  process.on("exit", () => listener.kill("SIGKILL"));
  const { value } = await listener.stdout.getReader().read();
  const port = Number(new TextDecoder().decode(value));
  listener.kill("SIGSTOP");
  while (await isAnswered(port));
  return port;
}

function isAnswered(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => resolve(true));
    socket.on("error", () => resolve(false));
    socket.unref();
    setTimeout(() => resolve(false), ANSWER_MS);
  });
}
