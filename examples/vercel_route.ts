// A Vercel or Next.js route handler (app/orders/route.ts) on Neon's WebSocket driver, with an open transaction.
import { Pool } from "@neondatabase/serverless";
import { createMailer } from "mailchute";

export async function POST(request: Request): Promise<Response> {
  const { id, email } = (await request.json()) as { id: string; email: string };
  // One pool for one request: on the edge a connection does not outlive it.
  const pool = new Pool({ connectionString: process.env.DATABASE_URL });
  const mail = createMailer(pool, { from: "Shop <hello@shop.example.com>", transaction: "required" });
  const client = await pool.connect();
  try {
    await client.query("begin");
    await client.query("insert into orders (id, email) values ($1, $2) on conflict (id) do nothing", [id, email]);
    const receipt = { to: email, subject: "Your receipt", text: "Thank you!" };
    await mail.send(receipt, { tx: client, idempotencyKey: `receipt/${id}` });
    await client.query("commit");
    return Response.json({ order: id }, { status: 201 });
  } catch (error) {
    await client.query("rollback");
    throw error;
  } finally {
    client.release();
    await pool.end();
  }
}
