import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, connect } from "node:net";
import pg from "pg";
import { type WebSocket, WebSocketServer } from "ws";
import { type NeonTarget, neonTarget } from "./neon_target.ts";

// DESIGN: what Neon's proxy does, as far as its driver can tell, in front of any Postgres: SQL over HTTP on /sql and a
// WebSocket that carries the Postgres protocol. Answers, limits and status codes follow the proxy's source
// (proxy/src/serverless). Listens on loopback.

/** A running stand-in. */
export interface NeonStandin extends AsyncDisposable, NeonTarget {
  /** The database's own URL: the driver takes user, password and database from it. */
  readonly url: string;
  /** Where it listens: `127.0.0.1:4444`. */
  readonly host: string;
  /** How many requests came in over HTTP. */
  requests(): number;
}

interface Query {
  readonly query: string;
  readonly params?: readonly unknown[];
}

/** Neon's `max_request_size_bytes` and `max_response_size_bytes`. */
const MAX_BYTES = 10 * 1024 * 1024;

const ISOLATION: Readonly<Record<string, string>> = {
  ReadUncommitted: "read uncommitted",
  ReadCommitted: "read committed",
  RepeatableRead: "repeatable read",
  Serializable: "serializable",
};

/** Starts the stand-in on a free port. */
export async function startNeonStandin(databaseUrl: string): Promise<NeonStandin> {
  let requests = 0;
  const server = createServer((request, response) => {
    requests++;
    answer(request, response).catch((error) => reply(response, 500, { message: String(error) }));
  });
  // None is closed for being idle: now and then that would be just when a request goes out, which fails then.
  server.keepAliveTimeout = 0;
  const sockets = new WebSocketServer({ server });
  sockets.on("connection", (socket) => bridge(socket, databaseUrl));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    ...neonTarget(host),
    url: databaseUrl,
    host,
    requests: () => requests,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets.clients) socket.terminate();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method !== "POST" || request.url !== "/sql") return reply(response, 404, { message: "not found" });
  const body = await read(request);
  if (body === undefined) return reply(response, 413, { message: `request is too large (max is ${MAX_BYTES} bytes)` });
  const header = (name: string) => request.headers[name]?.toString();
  const isolation = header("neon-batch-isolation-level");
  if (isolation !== undefined && ISOLATION[isolation] === undefined) {
    return reply(response, 400, { message: "invalid isolation level" });
  }
  const client = new pg.Client({ connectionString: header("neon-connection-string") });
  // A test may drop its database while this connection closes.
  client.on("error", () => {});
  const mode = header("neon-batch-read-only") === "true" ? "read only" : "read write";
  const deferrable = header("neon-batch-deferrable") === "true" ? "deferrable" : "not deferrable";
  const transaction = `begin isolation level ${ISOLATION[isolation ?? "ReadCommitted"]} ${mode} ${deferrable}`;
  try {
    await client.connect();
    reply(response, 200, await run(client, JSON.parse(body), transaction));
  } catch (error) {
    reply(response, 400, errorOf(error));
  } finally {
    // An open transaction ends with its connection.
    await client.end();
  }
}

async function run(
  client: pg.Client,
  payload: Query | { readonly queries: readonly Query[] },
  transaction: string,
): Promise<object> {
  if (!("queries" in payload)) return await execute(client, payload);
  await client.query(transaction);
  const results: object[] = [];
  for (const query of payload.queries) results.push(await execute(client, query));
  await client.query("commit");
  return { results };
}

/** Runs one statement as Neon does: extended protocol, values as text, rows as arrays of text. */
async function execute(client: pg.Client, { query, params = [] }: Query): Promise<object> {
  const result = await client.query<unknown[]>({
    text: query,
    values: params.map((value) => value === null ? null : typeof value === "string" ? value : textOf(value)),
    rowMode: "array",
    types: { getTypeParser: () => (value: unknown) => value } as unknown as pg.CustomTypesConfig,
    // One statement only, even without parameters.
    queryMode: "extended",
  } as pg.QueryArrayConfig);
  const { command, rowCount, rows, fields } = result;
  return { command, rowCount, rows, rowAsArray: true, fields };
}

/** JSON to the text form of Postgres. */
function textOf(value: unknown): string {
  if (!Array.isArray(value)) return typeof value === "object" ? JSON.stringify(value) : String(value);
  const items = value.map((item) =>
    item === null ? "NULL" : Array.isArray(item) ? textOf(item) : JSON.stringify(textOf(item))
  );
  return `{${items.join(",")}}`;
}

/** The error's fields as Neon names them; what is missing is null, and the code an empty string. */
function errorOf(error: unknown): object {
  const known = Object(error) as Partial<Record<string, unknown>>;
  const names = [
    "detail",
    "hint",
    "position",
    "internalPosition",
    "internalQuery",
    "severity",
    "where",
    "table",
    "column",
    "schema",
  ];
  const fields = [...names, "dataType", "constraint", "file", "line", "routine"].map((
    name,
  ) => [name, known[name] ?? null]);
  return { message: String(known.message), code: known.code ?? "", ...Object.fromEntries(fields) };
}

function reply(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body);
  if (Buffer.byteLength(text) > MAX_BYTES && status === 200) {
    return reply(response, 507, { message: `response is too large (max is ${MAX_BYTES} bytes)` });
  }
  response.writeHead(status, { "content-type": "application/json" }).end(text);
}

/**
 * Reads the body; undefined when it is too large. Reads to the end all the same, so that the driver gets the answer.
 */
async function read(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes <= MAX_BYTES) chunks.push(chunk);
  }
  return bytes > MAX_BYTES ? undefined : Buffer.concat(chunks).toString();
}

/** Carries the Postgres protocol between a WebSocket and the database. */
function bridge(socket: WebSocket, databaseUrl: string): void {
  const { hostname, port } = new URL(databaseUrl);
  const database = connect(Number(port || 5432), hostname);
  socket.on("message", (data) => database.write(data as Buffer));
  socket.on("close", () => database.end());
  database.on("data", (data: Buffer) => socket.send(data));
  database.on("close", () => socket.close());
  database.on("error", () => socket.close());
}
