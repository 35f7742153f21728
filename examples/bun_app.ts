// A server on Bun with postgres.js.
import { createMailer } from "mailchute";
import postgres from "postgres";

const { DATABASE_URL, PORT = "3000" } = process.env;
if (DATABASE_URL === undefined) throw new Error("Set DATABASE_URL=postgres://user:password@host/database");

const sql = postgres(DATABASE_URL);
const mail = createMailer(sql, { from: "Shop <hello@shop.example.com>", transaction: "required" });

async function order(request: Request): Promise<Response> {
  const { id, email } = (await request.json()) as { id: string; email: string };
  await sql.begin(async (tx) => {
    await tx`insert into orders (id, email) values (${id}, ${email}) on conflict (id) do nothing`;
    const receipt = { to: email, subject: "Your receipt", text: "Thank you!" };
    await mail.send(receipt, { tx, idempotencyKey: `receipt/${id}` });
  });
  return Response.json({ order: id }, { status: 201 });
}

const server = Bun.serve({ hostname: "127.0.0.1", port: Number(PORT), routes: { "/orders": { POST: order } } });
console.log(`Listening on ${server.url.origin}`);
