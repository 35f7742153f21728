import type { TestDatabase } from "../database.ts";

/** Makes an app `shop` with a role that may send as *@shop.example, and a table of its own; returns the role's URL. */
export async function grantShop(db: TestDatabase): Promise<string> {
  const url = await db.as("shop_app");
  await db.sql.unsafe(`
    insert into mailchute.app (name, senders) values ('shop', '{*@shop.example}');
    insert into mailchute.app_role (role, app) values ('shop_app', 'shop');
    grant mailchute_client to shop_app;
    create table public.orders (number integer);
    grant select, insert on public.orders to shop_app;
  `);
  return url;
}
