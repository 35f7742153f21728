import { neonConfig } from "@neondatabase/serverless";
import { expect, test } from "bun:test";
import { startNeonStandin } from "../neon_standin.ts";
import { startWorker, type TestWorker } from "../worker/setup.ts";
import { expectBothOrNeither, openShop, type Order, orderRequest } from "./shop.ts";

/** Whether the answer is "created"; whoever throws has not taken the order. */
function isTaken(answer: Promise<Response>): Promise<boolean> {
  return answer.then(({ status }) => status === 201, () => false);
}

/** Sends an order to a Worker in Cloudflare's runtime. */
async function orderFrom(worker: TestWorker, order: Order): Promise<Response> {
  const { url, method, headers } = orderRequest(order);
  const init = { method, headers: { ...headers.toJSON() }, body: JSON.stringify(order) };
  const answer = await worker.runtime.dispatchFetch(url, init);
  return new Response(await answer.text(), { status: answer.status });
}

test("worker_neon.ts queues the receipt with the order or neither, in one request to Neon", async () => {
  await using shop = await openShop();
  await using neon = await startNeonStandin(shop.url);
  const target: Partial<typeof neonConfig> = {};
  neon.configure(target as typeof neonConfig);
  const endpoint = (target.fetchEndpoint as () => string)();
  const bindings = { DATABASE_URL: shop.url, NEON_ENDPOINT: endpoint };
  await using worker = await startWorker({ entry: "../examples/worker_neon_entry.ts", bindings });
  await expectBothOrNeither(shop, (order) => isTaken(orderFrom(worker, order)));
  // What is no address is refused before anything is asked.
  expect(neon.requests()).toBe(3);

  const answer = await orderFrom(worker, { id: "7", email: "no address" });
  expect(answer.status).toBe(400);
  const { issues } = await answer.json() as { readonly issues: readonly { readonly path: string }[] };
  expect(issues.map(({ path }) => path)).toEqual(["to"]);
});

test("worker_hyperdrive.ts queues the receipt with the order or neither", async () => {
  await using shop = await openShop();
  const hyperdrives = { HYPERDRIVE: shop.url };
  await using worker = await startWorker({ entry: "../../examples/worker_hyperdrive.ts", hyperdrives });
  await expectBothOrNeither(shop, (order) => isTaken(orderFrom(worker, order)));
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
