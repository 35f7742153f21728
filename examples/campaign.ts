// A newsletter to the readers in a CSV file (email,name) of any length: bun examples/campaign.ts readers.csv
// news/2026-11
import { createMailer, type ManyRecipient } from "mailchute";
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import postgres from "postgres";

const [file, batch] = process.argv.slice(2);
if (file === undefined || batch === undefined) throw new Error("Call it as: bun examples/campaign.ts FILE BATCH");
const { DATABASE_URL } = process.env;
if (DATABASE_URL === undefined) throw new Error("Set DATABASE_URL=postgres://user:password@host/database");

const template = {
  subject: "{{name}}, this is new",
  html: "<p>Dear {{name}}, …</p>",
  unsubscribe: "https://shop.example.com/unsubscribe?address={{email}}",
  stream: "bulk",
} as const;

/**
 * Reads one line at a time: neither the file nor the list is ever in memory. Fields have no quotes and no commas in
 * them.
 */
async function* readers(path: string): AsyncGenerator<ManyRecipient<typeof template>> {
  let number = 0;
  for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Infinity })) {
    number++;
    if (number === 1 || line === "") continue;
    const [email, name, ...rest] = line.split(",");
    if (!email || !name || rest.length > 0) throw new Error(`Cannot read line ${number}: it is not email,name`);
    yield { to: email, variables: { email, name } };
  }
}

const sql = postgres(DATABASE_URL);
const mail = createMailer(sql, { from: "Shop <hello@shop.example.com>" });
try {
  // All of it or nothing. For a list of millions leave out tx: then parts are committed, and the same call with the
  // same batch adds the rest.
  const { created, existing } = await sql.begin(async (tx) => {
    await tx`insert into campaigns (name) values (${batch}) on conflict (name) do nothing`;
    return await mail.sendMany(template, readers(file), { tx, batch });
  });
  console.log(`${created} queued, ${existing} had it already`);
} finally {
  await sql.end();
}
