// A Bun app on postgres.js: bun examples/bun_app.ts
import postgres from "postgres";
import { createMailer } from "../mod.ts"; // in your project: "mailchute"

const sql = postgres(process.env.DATABASE_URL ?? "");
const mail = createMailer(sql, { from: "Shop <hello@shop.example.com>" });

const id = await sql.begin(async (tx) => {
  const sent = await mail.send({ to: "ann@example.com", subject: "Hello from Bun", text: "In one transaction." }, {
    tx,
  });
  return sent.id;
});
console.log(id);
await sql.end();
