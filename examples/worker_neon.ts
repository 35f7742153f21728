// A Cloudflare Worker with Hono on Neon over HTTP. There is no open transaction over HTTP: order and mail travel in one
// request, and both happen or neither.
import { neon } from "@neondatabase/serverless";
import { Hono } from "hono";
import { createMailer, MailchuteError } from "mailchute";

interface Order {
  readonly id: string;
  readonly email: string;
}

const app = new Hono<{ Bindings: { readonly DATABASE_URL: string } }>();

app.post("/orders", async (context) => {
  const { id, email } = await context.req.json<Order>();
  const sql = neon(context.env.DATABASE_URL);
  const mail = createMailer(sql, { from: "Shop <hello@shop.example.com>" });
  const receipt = await mail.statement(
    { to: email, subject: "Your receipt", html: "<h1>Thank you!</h1>" },
    { idempotencyKey: `receipt/${id}` },
  );
  // A repeated request adds neither a second order nor a second mail.
  await sql.transaction([
    sql`insert into orders (id, email) values (${id}, ${email}) on conflict (id) do nothing`,
    sql.query(receipt.text, receipt.values),
  ]);
  return context.json({ order: id }, 201);
});

app.onError((error, context) => {
  if (!(error instanceof MailchuteError) || error.code !== "validation_error") throw error;
  return context.json({ issues: error.issues }, 400);
});

export default app;
