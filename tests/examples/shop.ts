import { expect } from "bun:test";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import postgres from "postgres";
import { createDatabase, type TestDatabase } from "../database.ts";

/** Where the repository is. */
export const ROOT = join(import.meta.dir, "../..");

/** The database of the examples, with their tables. */
export interface Shop extends AsyncDisposable {
  /** As the owner of the tables, who is superuser. */
  readonly sql: TestDatabase["sql"];
  /** The same. */
  readonly ownerUrl: string;
  /** As the app's role, on one connection. */
  readonly app: postgres.Sql;
  /** As the app's role, which may send as *@shop.example.com and nothing else of ours. */
  readonly url: string;
  /** One of the app's own tables, by the column that says which row it is, and the addresses of all mails. */
  held(table: string, column: string): Promise<Held>;
}

/** What an app has in its own table, and in the queue. */
export interface Held {
  readonly rows: readonly string[];
  readonly mails: readonly string[];
}

/** The rows of each table that are refused. */
const REFUSED = {
  orders: "new.email like '%@blocked.example'",
  auth_links: "new.email like '%@blocked.example'",
  campaigns: "new.name = 'blocked'",
  reports: "new.day < '2000-01-01'",
};

/** Makes the database, as examples/README.md tells. */
export async function openShop(): Promise<Shop> {
  const database = await createDatabase();
  const { sql } = database;
  const url = await database.as("shop_app");
  const app = postgres(url, { max: 1 });
  await sql.file(join(ROOT, "examples/tables.sql"));
  await sql.unsafe(`
    insert into mailchute.app (name, senders) values ('shop', '{*@shop.example.com}');
    insert into mailchute.app_role (role, app) values ('shop_app', 'shop');
    grant mailchute_client to shop_app;
    grant select, insert on orders, auth_links, campaigns, reports to shop_app;
  `);
  // Refuses at the commit, when whatever belongs to the transaction has been done.
  await sql.unsafe(
    `create function refuse() returns trigger language plpgsql as $$ begin raise 'refused at the commit'; end $$`,
  );
  for (const [table, refused] of Object.entries(REFUSED)) {
    await sql.unsafe(`
      create constraint trigger refuse after insert on ${table} deferrable initially deferred
      for each row when (${refused}) execute function refuse()`);
  }
  return {
    sql,
    url,
    ownerUrl: database.url,
    app,
    held: async (table, column) => {
      const rows = await sql.unsafe(`select ${column}::text as value from ${table} order by 1`);
      const mails = await sql`select email from mailchute.recipient order by seq, position`;
      return { rows: rows.map(({ value }) => value), mails: mails.map(({ email }) => email) };
    },
    [Symbol.asyncDispose]: async () => {
      await app.end({ timeout: 1 });
      await database[Symbol.asyncDispose]();
    },
  };
}

/** What a customer sends; the same id again is the same order. */
export interface Order {
  readonly id: string;
  readonly email: string;
}

/**
 * Has an example take orders, and fails unless each has its row and its mail, or neither.
 *
 * @param order whether the example says that it has the order
 */
export async function expectBothOrNeither(shop: Shop, order: (order: Order) => Promise<boolean>): Promise<void> {
  const ann = { id: randomUUID(), email: "ann@example.com" };
  const both = { rows: [ann.email], mails: [ann.email] };
  expect({ taken: await order(ann), ...await shop.held("orders", "email") }).toEqual({ taken: true, ...both });
  expect({ repeated: await order(ann), ...await shop.held("orders", "email") }).toEqual({ repeated: true, ...both });
  // The first is refused by the mail, the second by the app's own table, when the mail is in the queue already.
  for (const email of ["no address", "ann@blocked.example"]) {
    const taken = await order({ id: randomUUID(), email });
    expect({ email, taken, ...await shop.held("orders", "email") }).toEqual({ email, taken: false, ...both });
  }
}

/** Posts an order as JSON. */
export function orderRequest(order: Order, origin = "https://shop.example.com"): Request {
  const headers = { "content-type": "application/json" };
  return new Request(`${origin}/orders`, { method: "POST", headers, body: JSON.stringify(order) });
}

/** A server in a process of its own. */
export interface ServerProcess extends AsyncDisposable {
  order(order: Order): Promise<boolean>;
}

/** Starts an example that serves and says where it listens. */
export async function startServer(
  command: readonly string[],
  options: { readonly cwd?: string; readonly databaseUrl: string },
): Promise<ServerProcess> {
  const { cwd = ROOT, databaseUrl } = options;
  const child = Bun.spawn([...command], {
    cwd,
    env: { PATH: process.env.PATH, HOME: process.env.HOME, NO_COLOR: "1", PORT: "0", DATABASE_URL: databaseUrl },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const errors = new Response(child.stderr).text();
  const decoder = new TextDecoder();
  let said = "";
  for await (const chunk of child.stdout) {
    said += decoder.decode(chunk, { stream: true });
    if (said.includes("\n")) break;
  }
  const origin = /^Listening on (http:\S+)\n/.exec(said)?.[1];
  const end = async () => {
    child.kill();
    await child.exited;
  };
  if (origin === undefined) {
    await end();
    throw new Error(`${command.join(" ")} does not listen: ${said}${await errors}`);
  }
  return {
    order: async (order) => (await fetch(orderRequest(order, origin))).status === 201,
    [Symbol.asyncDispose]: end,
  };
}
