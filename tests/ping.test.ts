import { expect, test } from "bun:test";
import { createLog } from "../relay/log.ts";
import { createPing, MIN_PING_INTERVAL_MS, type PingOptions } from "../relay/ping.ts";
import { Secret } from "../relay/settings/secret.ts";

const GOOD = { databaseAnswered: true, flowing: true, summary: "3 waiting" };

/** A ping to a real server on loopback, with a clock that stands still unless it is moved. */
function setup(answer: (request: Request) => Response | Promise<Response>, options: Partial<PingOptions> = {}) {
  const requests: { method: string; body: string }[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      requests.push({ method: request.method, body: await request.text() });
      return await answer(request);
    },
  });
  const time = { now: 1_000 };
  const lines: string[] = [];
  const settled = { count: 0 };
  const ping = createPing({
    url: new Secret(`http://127.0.0.1:${server.port}/secret-uuid`),
    method: "GET",
    status: 200,
    timeoutMs: 2_000,
    fetch: (url, init) =>
      fetch(url, init).finally(() => {
        settled.count += 1;
      }),
    clock: { now: () => time.now },
    log: createLog({ write: (line) => lines.push(line), now: () => 0 }),
    ...options,
  });
  return {
    ping,
    requests,
    lines,
    server,
    time,
    settled,
    /** Reports once and waits for the end of the ping it must cause. */
    async reportAndWait(look = GOOD) {
      const before = settled.count;
      ping.report(look);
      await ping.settled();
      expect(settled.count).toBe(before + 1);
    },
    async [Symbol.asyncDispose]() {
      await ping.stop();
      await server.stop(true);
    },
  };
}

test("a good look pings, and says so only to the health check", async () => {
  await using it = setup(() => new Response("OK"));
  await it.reportAndWait();
  expect(it.requests).toEqual([{ method: "GET", body: "" }]);
  expect(it.lines).toEqual([]);
});

test("a look without the database, or with mail that does not flow, keeps silent", async () => {
  await using it = setup(() => new Response("OK"));
  it.ping.report({ ...GOOD, databaseAnswered: false });
  it.ping.report({ ...GOOD, flowing: false });
  await it.reportAndWait(); // had one of the two pinged, this one would come too early
  expect(it.requests).toHaveLength(1);
});

test("however often the relay looks, pings are 30 seconds apart", async () => {
  await using it = setup(() => new Response("OK"));
  await it.reportAndWait();
  it.time.now += MIN_PING_INTERVAL_MS - 1;
  it.ping.report(GOOD);
  it.time.now += 1;
  await it.reportAndWait();
  it.ping.report(GOOD);
  await it.ping.stop();
  expect(it.requests).toHaveLength(2);
});

test("one ping at a time, also when the answer takes longer than the interval", async () => {
  let release = (_: Response) => {};
  const answer = new Promise<Response>((resolve) => release = resolve);
  await using it = setup(() => answer);
  const first = it.reportAndWait();
  it.time.now += 10 * MIN_PING_INTERVAL_MS;
  it.ping.report(GOOD);
  release(new Response("OK"));
  await first;
  expect(it.requests).toHaveLength(1);
});

test("POST carries the summary, HEAD and GET carry nothing", async () => {
  for (const [method, body] of [["POST", "3 waiting"], ["HEAD", ""], ["GET", ""]] as const) {
    await using it = setup(() => new Response("OK"), { method });
    await it.reportAndWait();
    expect(it.requests).toEqual([{ method, body }]);
  }
});

test("a wrong status is logged once, and once more when it is right again", async () => {
  let status = 404;
  await using it = setup(() => new Response("", { status }));
  for (status of [404, 404, 503, 200, 200]) {
    await it.reportAndWait();
    it.time.now += MIN_PING_INTERVAL_MS;
  }
  expect(it.lines.map((line) => [JSON.parse(line).msg, JSON.parse(line).reason])).toEqual([
    ["health check not reached", "it answered 404 instead of 200"],
    ["health check not reached", "it answered 503 instead of 200"],
    ["health check reached again", undefined],
  ]);
});

test("another status can be the one that means received", async () => {
  await using it = setup(() => new Response(null, { status: 204 }), { status: 204 });
  await it.reportAndWait();
  expect(it.lines).toEqual([]);
});

test("a server that never answers costs the timeout and a line", async () => {
  await using it = setup(() => new Promise<Response>(() => {}), { timeoutMs: 50 });
  await it.reportAndWait();
  expect(JSON.parse(it.lines[0] ?? "").reason).toBe("no answer within 50 ms");
});

test("a refused connection is a line, and no line ever holds the URL", async () => {
  const it = setup(() => new Response("OK"));
  await it.server.stop(true);
  await it.reportAndWait();
  await it.ping.stop();
  expect(it.lines).toHaveLength(1);
  expect(it.lines[0]).toContain("it cannot be reached");
  expect(it.lines[0]).not.toMatch(/secret-uuid|127\.0\.0\.1/);
});

test("a fetch that throws at once hurts nobody", async () => {
  const it = setup(() => new Response("OK"), {
    fetch: () => {
      throw new TypeError("http://127.0.0.1/secret-uuid is no URL");
    },
  });
  it.ping.report(GOOD);
  await it.ping.stop();
  expect(it.lines.join()).not.toContain("secret-uuid");
  await it.server.stop(true);
});

test("stop gives up the ping under way, without a line, and allows no other", async () => {
  let arrived = () => {};
  const atServer = new Promise<void>((resolve) => arrived = resolve);
  await using it = setup(() => {
    arrived();
    return new Promise<Response>(() => {});
  }, { timeoutMs: 60_000 });
  it.ping.report(GOOD);
  await atServer;
  await it.ping.stop();
  it.time.now += MIN_PING_INTERVAL_MS;
  it.ping.report(GOOD);
  expect(it.lines).toEqual([]);
  expect(it.settled.count).toBe(1);
});
