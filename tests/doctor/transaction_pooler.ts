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
 * Starts a pooler that lends server processes for one transaction, the one that was given back last first, as PgBouncer
 * does.
 *
 * Each client logs in to a process of its own, which then belongs to all. A notification to a process that nobody has
 * borrowed is lost. A connection that begins with a parameter that is not its own business is refused, as PgBouncer
 * refuses it.
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
      const foreign = isFirst ? foreignParameter(data) : undefined;
      if (foreign !== undefined) return void client.end(refusal(`unsupported startup parameter: ${foreign}`));
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

/** What PgBouncer passes on of a startup message. */
const KNOWN: ReadonlySet<string> = new Set([
  ...[
    "user",
    "database",
    "client_encoding",
    "application_name",
    "DateStyle",
    "TimeZone",
    "standard_conforming_strings",
  ],
]);

/** The names and values stand behind the length and the version, each with a NUL. */
function foreignParameter(startup: Buffer): string | undefined {
  const words = startup.toString("latin1", 8).split("\0");
  return words.find((word, index) => index % 2 === 0 && word !== "" && !KNOWN.has(word));
}

/** An ErrorResponse. */
function refusal(message: string): Buffer {
  const fields = Buffer.from(`SFATAL\0C08P01\0M${message}\0\0`);
  const head = Buffer.from("E\0\0\0\0");
  head.writeUInt32BE(fields.length + 4, 1);
  return Buffer.concat([head, fields]);
}

const TERMINATE = "X".charCodeAt(0);
const READY_FOR_QUERY = "Z".charCodeAt(0);
const IDLE = "I".charCodeAt(0);
