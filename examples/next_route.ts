// A route handler of Next.js (app/orders/route.ts, Node runtime) with Drizzle on node-postgres.
import { drizzle } from "drizzle-orm/node-postgres";
import { pgTable, text, uuid } from "drizzle-orm/pg-core";
import { createMailer } from "mailchute";
import { Pool } from "pg";

const { DATABASE_URL } = process.env;
if (DATABASE_URL === undefined) throw new Error("Set DATABASE_URL=postgres://user:password@host/database");

const orders = pgTable("orders", { id: uuid().primaryKey(), email: text().notNull() });
const db = drizzle({ client: new Pool({ connectionString: DATABASE_URL }) });
const mail = createMailer(db, { from: "Shop <hello@shop.example.com>", transaction: "required" });

export async function POST(request: Request): Promise<Response> {
  const { id, email } = (await request.json()) as { id: string; email: string };
  await db.transaction(async (tx) => {
    await tx.insert(orders).values({ id, email }).onConflictDoNothing();
    const receipt = { to: email, subject: "Your receipt", text: "Thank you!" };
    await mail.send(receipt, { tx, idempotencyKey: `receipt/${id}` });
  });
  return Response.json({ order: id }, { status: 201 });
}
