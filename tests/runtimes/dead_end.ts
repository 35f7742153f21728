import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { freePort } from "../port.ts";
import { BROKEN_TLS, REFUSED } from "./troubles.ts";

/** What stands where a database should be. */
export interface DeadEnd extends AsyncDisposable {
  /** `127.0.0.1:4444` */
  readonly host: string;
}

/** Makes the dead end that a trouble is about. */
export async function makeDeadEnd(trouble: string): Promise<DeadEnd> {
  if (trouble === REFUSED) {
    return { host: `127.0.0.1:${await freePort()}`, [Symbol.asyncDispose]: () => Promise.resolve() };
  }
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on("error", () => {}));
    if (trouble !== BROKEN_TLS) return;
    // The wish for TLS is granted, and its handshake answered by something else.
    socket.once("data", () => {
      socket.write("S");
      socket.once("data", () => socket.end("no TLS"));
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { readonly port: number };
  return {
    host: `127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
