import { neonConfig } from "@neondatabase/serverless";
import { expect, test } from "bun:test";
import hyperdriveWorker from "../../examples/worker_hyperdrive.ts";
import neonWorker from "../../examples/worker_neon.ts";
import { startNeonStandin } from "../neon_standin.ts";
import { expectBothOrNeither, openShop, orderRequest } from "./shop.ts";

/** Whether the answer is "created"; whoever throws has not taken the order. */
function isTaken(answer: Promise<Response>): Promise<boolean> {
  return answer.then(({ status }) => status === 201, () => false);
}

test("worker_neon.ts queues the receipt with the order or neither, in one request to Neon", async () => {
  await using shop = await openShop();
  await using neon = await startNeonStandin(shop.url);
  neon.configure(neonConfig);
  const env = { DATABASE_URL: shop.url };
  await expectBothOrNeither(shop, (order) => isTaken(Promise.resolve(neonWorker.fetch(orderRequest(order), env))));
  // What is no address is refused before anything is asked.
  expect(neon.requests()).toBe(3);
});

test("worker_neon.ts tells the customer which field is wrong", async () => {
  const env = { DATABASE_URL: "postgres://shop:secret@db.example.com/shop" };
  const answer = await neonWorker.fetch(orderRequest({ id: "7", email: "no address" }), env);
  expect(answer.status).toBe(400);
  const { issues } = await answer.json() as { readonly issues: readonly { readonly path: string }[] };
  expect(issues.map(({ path }) => path)).toEqual(["to"]);
});

test("worker_hyperdrive.ts queues the receipt with the order or neither, and leaves no connection", async () => {
  await using shop = await openShop();
  const env = { HYPERDRIVE: { connectionString: shop.url } };
  const later: Promise<unknown>[] = [];
  const context = { waitUntil: (work: Promise<unknown>) => void later.push(work) };
  await expectBothOrNeither(shop, (order) => isTaken(hyperdriveWorker.fetch(orderRequest(order), env, context)));
  await Promise.all(later);
  expect(later).toHaveLength(4);
});

test("vercel_route.ts queues the receipt with the order or neither", async () => {
  await using shop = await openShop();
  await using neon = await startNeonStandin(shop.url);
  neon.configure(neonConfig);
  const { POST } = await import("../../examples/vercel_route.ts");
  const { DATABASE_URL } = process.env;
  process.env.DATABASE_URL = shop.url;
  try {
    await expectBothOrNeither(shop, (order) => isTaken(POST(orderRequest(order))));
  } finally {
    if (DATABASE_URL === undefined) delete process.env.DATABASE_URL;
    else process.env.DATABASE_URL = DATABASE_URL;
  }
});
