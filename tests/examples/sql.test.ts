import { expect, test } from "bun:test";
import { join } from "node:path";
import postgres from "postgres";
import { expectBothOrNeither, openShop, ROOT } from "./shop.ts";

/** Runs a file as psql does: one connection, the simple protocol. */
async function runFile(url: string, file: string): Promise<void> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    await sql.unsafe(await Bun.file(join(ROOT, "examples", file)).text()).simple();
  } finally {
    await sql.end();
  }
}

test("from_sql.sql queues the receipt with the order, and a second run adds neither", async () => {
  await using shop = await openShop();
  const both = { rows: ["ann@example.com"], mails: ["ann@example.com"] };
  await runFile(shop.url, "from_sql.sql");
  expect(await shop.held("orders", "email")).toEqual(both);
  await expect(runFile(shop.url, "from_sql.sql")).rejects.toThrow("orders_pkey");
  expect(await shop.held("orders", "email")).toEqual(both);
});

test("from_a_trigger.sql queues the receipt with the order or neither, whoever inserts it", async () => {
  await using shop = await openShop();
  await runFile(shop.ownerUrl, "from_a_trigger.sql");
  await expectBothOrNeither(shop, async ({ id, email }) => {
    return await shop.app`insert into orders (id, email) values (${id}, ${email}) on conflict (id) do nothing`
      .then(() => true, () => false);
  });
});
