// A Cloudflare Worker that takes an order and queues its receipt in one request to Neon: both happen, or neither.
import { neon } from "@neondatabase/serverless";
import { createMailer } from "../mod.ts"; // in your project: "mailchute"

interface Env {
  readonly DATABASE_URL: string;
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const { email } = (await request.json()) as { email: string };
    const sql = neon(env.DATABASE_URL);
    const mail = createMailer(sql, { from: "Shop <hello@shop.example.com>" });
    const receipt = await mail.statement({
      to: email,
      subject: "Your receipt",
      html: "<h1>Thank you!</h1>",
      text: "Thank you!",
    });
    // HTTP has no open transaction: the statements travel together.
    await sql.transaction([
      sql`insert into orders (email) values (${email})`,
      sql.query(receipt.text, [...receipt.values]),
    ]);
    return Response.json({ mail: receipt.id });
  },
};
