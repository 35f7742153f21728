// A job for cron, once a day: bun examples/daily_report.ts [DAY]. However often it runs, there is one report for each
// day.
import { createMailer } from "mailchute";
import postgres from "postgres";

const { DATABASE_URL, REPORT_TO = "boss@shop.example.com" } = process.env;
if (DATABASE_URL === undefined) throw new Error("Set DATABASE_URL=postgres://user:password@host/database");
const yesterday = new Date(Date.now() - 86_400_000).toISOString().slice(0, 10);
const [day = yesterday] = process.argv.slice(2);

const sql = postgres(DATABASE_URL);
const mail = createMailer(sql, { from: "Shop <hello@shop.example.com>", transaction: "required" });
try {
  const isNew = await sql.begin(async (tx) => {
    // As text, since the driver would make the 2nd of March of the 30th of February. A second run waits here for the
    // first, and then finds its row.
    const [report] =
      await tx`insert into reports (day) values (${day}::text::date) on conflict (day) do nothing returning day`;
    if (report === undefined) return false;
    const [orders] = await tx<[{ count: number }]>`
      select count(*)::int from orders where ordered_at >= ${day}::text::date and ordered_at < ${day}::text::date + 1`;
    const lines = ["day,orders", `${day},${orders.count}`, ""].join("\r\n");
    await mail.send({
      to: REPORT_TO,
      subject: `Orders of ${day}: ${orders.count}`,
      text: `There were ${orders.count} orders on ${day}.`,
      attachments: [{ filename: `orders-${day}.csv`, content: lines, contentType: "text/csv", encoding: "utf-8" }],
    }, { tx, idempotencyKey: `report/${day}` });
    return true;
  });
  console.log(isNew ? `The report of ${day} is queued` : `The report of ${day} was queued before`);
} finally {
  await sql.end();
}
