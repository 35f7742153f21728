// A server on Deno with postgres.js.
import postgres from "postgres"; // in your project: npm:postgres
import { createMailer } from "mailchute"; // in your project: jsr:@mailchute/mailchute

const url = Deno.env.get("DATABASE_URL");
if (url === undefined) throw new Error("Set DATABASE_URL=postgres://user:password@host/database");

const sql = postgres(url);
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

Deno.serve({
  hostname: "127.0.0.1",
  port: Number(Deno.env.get("PORT") ?? "3000"),
  onListen: ({ hostname, port }) => console.log(`Listening on http://${hostname}:${port}`),
}, order);
