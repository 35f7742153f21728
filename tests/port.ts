import { once } from "node:events";
import { connect, createServer } from "node:net";

/** A port of 127.0.0.1 that nobody listens on now. */
export async function freePort(): Promise<number> {
  const [port] = await freePorts(1);
  return port as number;
}

/** As many different ports: all are held until the last is known. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map(async (server) => {
    server.close();
    await once(server, "close");
  }));
  return ports;
}

/** Resolves when something accepts connections on the port: each refusal asks again. */
export async function accepting(port: number, isGone: () => boolean = () => false): Promise<void> {
  for (const end = Date.now() + 10_000; Date.now() < end && !isGone();) {
    const socket = connect(port, "127.0.0.1");
    try {
      await once(socket, "connect");
      return;
    } catch {
      // Refused: it is not listening yet.
    } finally {
      socket.destroy();
    }
  }
  throw new Error(`Nothing accepts connections on port ${port}`);
}
