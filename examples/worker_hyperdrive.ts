// A Cloudflare Worker on postgres.js through Hyperdrive, with an open transaction.
import { createMailer } from "mailchute";
import postgres from "postgres";

interface Env {
  readonly HYPERDRIVE: { readonly connectionString: string };
}

interface Context {
  waitUntil(work: Promise<unknown>): void;
}

export default {
  async fetch(request: Request, env: Env, context: Context): Promise<Response> {
    const { id, email } = (await request.json()) as { id: string; email: string };
    // One client for one request: a Worker's connection does not outlive it. Hyperdrive has the pool.
    const sql = postgres(env.HYPERDRIVE.connectionString, { max: 1, fetch_types: false });
    const mail = createMailer(sql, { from: "Shop <hello@shop.example.com>", transaction: "required" });
    try {
      await sql.begin(async (tx) => {
        await tx`insert into orders (id, email) values (${id}, ${email}) on conflict (id) do nothing`;
        const receipt = { to: email, subject: "Your receipt", text: "Thank you!" };
        await mail.send(receipt, { tx, idempotencyKey: `receipt/${id}` });
      });
      return Response.json({ order: id }, { status: 201 });
    } finally {
      context.waitUntil(sql.end());
    }
  },
};
