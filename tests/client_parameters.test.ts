import { expect, test } from "bun:test";
import { connect } from "../relay/database/database.ts";
import { parseDatabaseUrl } from "../relay/settings/database_url.ts";
import { withoutForeignParameters } from "../src/client_parameters.ts";
import { postgresMailer } from "../src/drivers/postgres.ts";
import { createDatabase } from "./database.ts";

const FOREIGN = "channel_binding=require&pgbouncer=true&connection_limit=5&schema=public&application_name=shop";

test("a URL as Neon or Prisma gives it connects the relay and a mailer: what only other clients know is left out", async () => {
  await using database = await createDatabase();
  const url = `${database.url}${database.url.includes("?") ? "&" : "?"}${FOREIGN}`;
  const sql = connect({ url, pooled: false });
  const [row] = await sql`select 1 as one`;
  await sql.end();
  expect(row?.one).toBe(1);
  await using mail = postgresMailer(url, { from: "shop@example.com" });
  expect((await mail.send({ to: "ann@example.com", subject: "Hi", text: "Hi" })).created).toBe(true);
});

test("the rest of a URL stays as it is, a password with a question mark's code too", () => {
  const urls = [
    ["postgres://a:p%3Fw@h/d", "postgres://a:p%3Fw@h/d"],
    ["postgres://h/d?channel_binding=require", "postgres://h/d"],
    ["postgres://h/d?a=1&pgbouncer=true&b=%26", "postgres://h/d?a=1&b=%26"],
    ["postgres://h/d?schemata=1", "postgres://h/d?schemata=1"],
  ] as const;
  for (const [given, kept] of urls) expect(withoutForeignParameters(given)).toBe(kept);
});

test("pgbouncer=true says that a transaction pooler stands between", () => {
  const pooled = (url: string) => {
    const database = parseDatabaseUrl(url, { variable: "DATABASE_URL", name: "home", readFile: () => "" });
    return database.kind === "postgres" && database.pooled;
  };
  expect(pooled("postgres://a:b@h/d?pgbouncer=true")).toBe(true);
  expect(pooled("postgres://a:b@h/d?pgbouncer=false")).toBe(false);
});
