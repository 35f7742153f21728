import { neonConfig } from "@neondatabase/serverless";
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createDatabase } from "../database.ts";
import { startNeonStandin } from "../neon_standin.ts";
import { grantShop } from "./shop.ts";

// The examples of docs/connections.md compile, and do what they say.

const ROOT = join(import.meta.dir, "../..");
// In the repository, so that the packages are found; git does not look into .cache.
mkdirSync(join(ROOT, ".cache"), { recursive: true });
const folder = mkdtempSync(join(ROOT, ".cache/connections-page-"));

const page = await Bun.file(join(ROOT, "docs/connections.md")).text();
const EXAMPLES = [...page.matchAll(/^## (.+)$|^```ts\n([\s\S]*?)^```$/gm)].reduce<
  readonly (readonly [heading: string, code: string])[]
>((examples, [, heading, code]) => {
  const [last] = examples.slice(-1);
  if (heading !== undefined) return [...examples, [heading, ""]];
  return [...examples, [last?.[0] ?? "", code ?? ""]];
}, []).filter(([, code]) => code !== "");

beforeAll(() => {
  const paths = { mailchute: ["../../mod.ts"] };
  const config = { extends: "../../tsconfig.json", compilerOptions: { paths }, include: ["."] };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
  mkdirSync(join(folder, "generated/prisma"), { recursive: true });
  writeFileSync(
    join(folder, "generated/prisma/client.ts"),
    'export { PrismaClient } from "../../../../tests/client/kinds/prisma_client.ts";\n',
  );
  for (const [index, [, code]] of EXAMPLES.entries()) writeFileSync(join(folder, `example_${index}.ts`), code);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("every example compiles", async () => {
  expect(EXAMPLES.length).toBeGreaterThan(9);
  const tsc = Bun.spawn([join(ROOT, "node_modules/.bin/tsc"), "-p", folder], { stdout: "pipe" });
  expect(await new Response(tsc.stdout).text()).toBe("");
  expect(await tsc.exited).toBe(0);
}, 120_000);

for (const [index, [heading]] of EXAMPLES.entries()) {
  test(`the example ${index} of ${heading} queues a mail beside the order`, async () => {
    await using db = await createDatabase();
    await using standin = await startNeonStandin(db.url);
    standin.configure(neonConfig);
    process.env.DATABASE_URL = await grantShop(db);
    try {
      await import(join(folder, `example_${index}.ts`));
    } finally {
      delete process.env.DATABASE_URL;
    }
    // Pools of pg do not wait for their connections to close, which the end of the database would tear.
    const open = () => db.sql`select from pg_stat_activity where usename = 'shop_app' and datname = current_database()`;
    while ((await open()).length > 0);
    expect((await db.sql`select from mailchute.queue`).length).toBe(1);
    expect((await db.sql`select from orders`).length).toBe(1);
  });
}
