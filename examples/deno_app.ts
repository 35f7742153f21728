// A Deno app: deno run --allow-net --allow-env examples/deno_app.ts
import postgres from "postgres";
import { createMailer } from "../mod.ts"; // in your project: "jsr:@mailchute/mailchute"

const sql = postgres(Deno.env.get("DATABASE_URL") ?? "");
const mail = createMailer(sql, { from: "Shop <hello@shop.example.com>" });

const { id } = await mail.send({
  to: "ann@example.com",
  subject: "Good morning",
  text: "It is eight o'clock.",
  scheduledAt: new Date(Date.now() + 1_000),
});
console.log(id);
await sql.end();

declare const Deno: { readonly env: { get(name: string): string | undefined } };
