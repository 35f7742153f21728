import { expect, test } from "bun:test";
import postgres from "postgres";
import { createDatabase } from "../database.ts";
import { grantShop } from "./shop.ts";

// In most locales lower() makes an ASCII letter of these two, and DNS does not: the domains are other people's.
const DOTTED_I = "\u0130";
const KELVIN = "\u212A";

test("the patterns of an app let no domain through that only a locale folds into theirs", async () => {
  await using db = await createDatabase({ locale: "C.UTF-8" });
  const matches = async (address: string, pattern: string) => {
    const [row] = await db.sql`select mailchute.address_matches(${address}, array[${pattern}]) as matches`;
    return row?.matches as boolean;
  };
  expect(await matches("Ann@SHIP.example", "*@ship.Example")).toBe(true);
  expect(await matches(`ann@sh${DOTTED_I}p.example`, "*@ship.example")).toBe(false);
  expect(await matches(`ann@${KELVIN}ite.example`, "*@kite.example")).toBe(false);
});

test("an app that may send as one address to another may send neither as nor to what a locale folds into them", async () => {
  await using db = await createDatabase({ locale: "C.UTF-8" });
  const url = await grantShop(db);
  await db
    .sql`update mailchute.app set senders = '{ship@shop.example}', recipients = '{kite@shop.example}' where name = 'shop'`;
  const app = postgres(url, { onnotice: () => {} });
  const sent = async (from: string, to: string) => {
    const request = JSON.stringify({ from, to, subject: "Hi", text: "Hi" });
    const asked = app`select mailchute.send(${request}::text::jsonb)`.execute();
    return await asked.then(() => "sent", (error: { readonly code: string }) => error.code);
  };
  try {
    expect(await sent("SHIP@shop.example", "Kite@SHOP.example")).toBe("sent");
    expect(await sent(`sh${DOTTED_I}p@shop.example`, "kite@shop.example")).toBe("MC002");
    expect(await sent("ship@shop.example", `${KELVIN}ite@shop.example`)).toBe("MC003");
    // A domain is in ASCII, or none.
    expect(await sent(`ann@sh${DOTTED_I}p.example`, "kite@shop.example")).toBe("MC001");
  } finally {
    await app.end({ timeout: 1 });
  }
});
