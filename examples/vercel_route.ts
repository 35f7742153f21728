// A Vercel route handler (app/api/orders/route.ts) on Neon's WebSocket driver, with an open transaction.
import { Pool } from "@neondatabase/serverless";
import { createMailer } from "../mod.ts"; // in your project: "mailchute"

export async function POST(request: Request): Promise<Response> {
  const { id, email } = (await request.json()) as { id: number; email: string };
  // One pool for one request: on the edge a connection does not outlive it.
  const pool = new Pool({ connectionString: process.env.DATABASE_URL });
  const mail = createMailer(pool, { from: "Shop <hello@shop.example.com>", transaction: "required" });
  const client = await pool.connect();
  try {
    await client.query("begin");
    await client.query("insert into orders (email) values ($1)", [email]);
    // The key makes a repeated request harmless: the second one adds no second mail.
    const sent = await mail.send(
      { to: email, subject: "Your receipt", text: "Thank you!" },
      { tx: client, idempotencyKey: `receipt/${id}` },
    );
    await client.query("commit");
    return Response.json({ mail: sent.id });
  } catch (error) {
    await client.query("rollback");
    throw error;
  } finally {
    client.release();
    await pool.end();
  }
}
