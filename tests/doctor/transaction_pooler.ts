import { connect, createServer, type Socket } from "node:net";

/** A server process of Postgres, and who has borrowed it. */
interface Backend {
  readonly socket: Socket;
  client: Socket | undefined;
}

/** A pooler in transaction mode before Postgres. */
export interface TransactionPooler extends AsyncDisposable {
  /** The database's URL, through this pooler. */
  readonly url: string;
}

/**
 * Starts a pooler that lends server processes for one transaction, the one that was given back last first, as PgBouncer does.
 *
 * Each client logs in to a process of its own, which then belongs to all. A notification to a process that nobody has
 * borrowed is lost.
 */
export async function startTransactionPooler(target: string): Promise<TransactionPooler> {
  const pooled = new URL(target);
  const { hostname, port } = pooled;
  const free: Backend[] = [];
  const sockets = new Set<Socket>();

  const server = createServer((client) => {
    const backend: Backend = { socket: connect(Number(port), hostname), client };
    let held: Backend | undefined = backend;
    let isFirst = true;
    for (const socket of [client, backend.socket]) {
      sockets.add(socket);
      socket.on("error", () => undefined);
    }
    client.on("data", (data: Buffer) => {
      // Terminate: the process stays.
      if (!isFirst && data[0] === TERMINATE) return void client.end();
      isFirst = false;
      if (held?.client !== client) {
        held = free.pop();
        if (held === undefined) return void client.destroy();
        held.client = client;
      }
      held.socket.write(data);
    });
    let unread = Buffer.alloc(0);
    backend.socket.on("data", (data: Buffer) => {
      unread = Buffer.concat([unread, data]);
      // The type, and a length that counts itself.
      while (unread.length >= 5 && unread.length >= 1 + unread.readUInt32BE(1)) {
        const message = unread.subarray(0, 1 + unread.readUInt32BE(1));
        unread = unread.subarray(message.length);
        const borrower = backend.client;
        const isOver = message[0] === READY_FOR_QUERY && message[5] === IDLE;
        if (isOver) {
          backend.client = undefined;
          free.push(backend);
        }
        borrower?.write(message);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("Cannot listen: no port was given");
  pooled.port = String(address.port);
  return {
    url: pooled.href,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const TERMINATE = "X".charCodeAt(0);
const READY_FOR_QUERY = "Z".charCodeAt(0);
const IDLE = "I".charCodeAt(0);
