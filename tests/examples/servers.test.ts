import { test } from "bun:test";
import { copyFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { installPackage, printed } from "../package/installed.ts";
import { expectBothOrNeither, openShop, ROOT, startServer } from "./shop.ts";

test("bun_app.ts queues the receipt with the order or neither, on Bun", async () => {
  await using shop = await openShop();
  await using server = await startServer([process.execPath, "examples/bun_app.ts"], { databaseUrl: shop.url });
  await expectBothOrNeither(shop, server.order);
}, 120_000);

test("next_route.ts queues the receipt with the order or neither, through Drizzle", async () => {
  await using shop = await openShop();
  const options = { databaseUrl: shop.url };
  await using server = await startServer([process.execPath, "tests/examples/next_route_entry.ts"], options);
  await expectBothOrNeither(shop, server.order);
});

test("deno_app.ts queues the receipt with the order or neither, on Deno", async () => {
  await using shop = await openShop();
  const deno = join(ROOT, "node_modules/.bin/deno");
  const rights = ["--no-prompt", "--allow-net=127.0.0.1", "--allow-env"];
  await using server = await startServer([deno, "run", ...rights, "examples/deno_app.ts"], { databaseUrl: shop.url });
  await expectBothOrNeither(shop, server.order);
}, 120_000);

test(
  "node_app.ts queues the receipt with the order or neither, compiled, on Node, with the installed package",
  async () => {
    await using shop = await openShop();
    using project = await installPackage();
    for (const name of ["pg", "@types"]) {
      symlinkSync(join(ROOT, "node_modules", name), join(project.path, "node_modules", name));
    }
    copyFileSync(join(ROOT, "examples/node_app.ts"), join(project.path, "node_app.ts"));
    const flags = ["--strict", "--module", "nodenext", "--target", "es2023", "--types", "node"];
    await printed([join(ROOT, "node_modules/.bin/tsc"), ...flags, "node_app.ts"], { cwd: project.path });
    const options = { cwd: project.path, databaseUrl: shop.url };
    await using server = await startServer([Bun.which("node") as string, "node_app.js"], options);
    await expectBothOrNeither(shop, server.order);
  },
  120_000,
);
