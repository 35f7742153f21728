// A server on Node 20 with node-postgres.
import { createMailer } from "mailchute";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";
import pg from "pg";

const { DATABASE_URL, PORT = "3000" } = process.env;
if (DATABASE_URL === undefined) throw new Error("Set DATABASE_URL=postgres://user:password@host/database");

const pool = new pg.Pool({ connectionString: DATABASE_URL });
const mail = createMailer(pool, { from: "Shop <hello@shop.example.com>", transaction: "required" });

async function order(request: IncomingMessage): Promise<string> {
  const { id, email } = (await json(request)) as { id: string; email: string };
  const client = await pool.connect();
  try {
    await client.query("begin");
    await client.query("insert into orders (id, email) values ($1, $2) on conflict (id) do nothing", [id, email]);
    // In the transaction's own client, never in the pool.
    const receipt = { to: email, subject: "Your receipt", text: "Thank you!" };
    await mail.send(receipt, { tx: client, idempotencyKey: `receipt/${id}` });
    await client.query("commit");
    return id;
  } catch (error) {
    await client.query("rollback");
    throw error;
  } finally {
    client.release();
  }
}

const server = createServer((request, response) => {
  order(request).then(
    (id) => response.writeHead(201).end(JSON.stringify({ order: id })),
    (error: unknown) => response.writeHead(500).end(String(error)),
  );
});
server.listen(Number(PORT), "127.0.0.1", () => {
  console.log(`Listening on http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});
