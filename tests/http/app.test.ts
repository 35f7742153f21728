import { expect, test } from "bun:test";
import type { Connection, Keys } from "../../relay/http/access.ts";
import { createApp } from "../../relay/http/app.tsx";
import type { StatusSource } from "../../relay/http/status_source.ts";
import { PAGE_POLICY, STYLE } from "../../relay/http/style.ts";
import { createLog } from "../../relay/log.ts";
import { Secret } from "../../relay/settings/secret.ts";
import { QUIET_SOURCE, STATUS } from "./setup.ts";

const LOCAL: Connection = { listening: "127.0.0.1", peer: "127.0.0.1" };
const REMOTE: Connection = { listening: "0.0.0.0", peer: "192.0.2.7" };
const NO_KEYS: Keys = { adminPassword: undefined, metricsToken: undefined };
const KEYS: Keys = { adminPassword: new Secret("pw"), metricsToken: new Secret("tok") };
const BASIC = { authorization: `Basic ${btoa("any:pw")}` };
const BEARER = { authorization: "Bearer tok" };

function setup(options: { readonly source?: Partial<StatusSource>; readonly keys?: Keys } = {}) {
  const lines: string[] = [];
  const app = createApp({
    source: { ...QUIET_SOURCE, ...options.source },
    keys: options.keys ?? NO_KEYS,
    now: () => Date.parse("2026-11-21T13:06:00Z"),
    log: createLog({ write: (line) => lines.push(line), now: () => 0, level: "debug" }),
  });
  const ask = (path: string, connection: Connection = LOCAL, headers: Record<string, string> = {}) =>
    app.request(`http://localhost:8025${path}`, { headers }, connection);
  return { app, ask, lines };
}

test("the probes answer bare words on any address, without a key", async () => {
  const { ask } = setup();
  for (const connection of [LOCAL, REMOTE, {}]) {
    for (const path of ["/livez", "/readyz"]) {
      const response = await ask(path, connection);
      expect([response.status, await response.text()]).toEqual([200, "ok"]);
    }
  }
});

test("a relay that is stuck is not alive, and one that cannot deliver says why it is not ready", async () => {
  const reasons = ["database home does not answer", "route refused\nann@example.com"];
  const { ask } = setup({ source: { alive: () => false, ready: () => Promise.resolve({ ok: false, reasons }) } });
  const alive = await ask("/livez", REMOTE);
  expect([alive.status, await alive.text()]).toEqual([503, "not alive"]);
  const ready = await ask("/readyz", REMOTE);
  expect([ready.status, await ready.text()]).toEqual([
    503,
    "not ready: database home does not answer, route refused a**@example.com",
  ]);
  // Not every reason is in a metric of its own.
  expect(await (await ask("/metrics")).text()).toContain("\nmailchute_ready 0\n");
  expect(await (await setup({}).ask("/metrics")).text()).toContain("\nmailchute_ready 1\n");
});

test("liveness asks nobody: a status that fails and a database that hangs leave it alone", async () => {
  const { ask } = setup({
    source: { ready: () => new Promise(() => {}), status: () => Promise.reject(new Error("away")) },
  });
  expect((await ask("/livez")).status).toBe(200);
});

test("on loopback /, /status and /metrics answer without a key", async () => {
  const { ask } = setup({ keys: KEYS });
  for (const path of ["/", "/status", "/metrics"]) expect((await ask(path)).status).toBe(200);
});

test("from elsewhere they do not exist while no key is configured", async () => {
  const { ask } = setup();
  const nothing = await (await ask("/nothing", REMOTE)).text();
  for (const path of ["/", "/status", "/metrics", "/inbox"]) {
    const response = await ask(path, REMOTE, { ...BASIC });
    expect([path, response.status, await response.text()]).toEqual([path, 404, nothing]);
    expect(response.headers.has("www-authenticate")).toBe(false);
  }
});

test("from elsewhere the password opens all, the token /status and /metrics", async () => {
  const { ask } = setup({ keys: KEYS });
  const status = async (path: string, headers: Record<string, string> = {}) =>
    (await ask(path, REMOTE, headers)).status;
  for (const path of ["/status", "/metrics"]) {
    expect([await status(path), await status(path, BASIC), await status(path, BEARER)]).toEqual([401, 200, 200]);
  }
  expect([await status("/"), await status("/", BASIC), await status("/", BEARER)]).toEqual([401, 200, 401]);
  expect((await ask("/", REMOTE)).headers.get("www-authenticate")).toBe('Basic realm="mailchute", charset="UTF-8"');
});

test("with only a token the page stays hidden from elsewhere", async () => {
  const { ask } = setup({ keys: { ...NO_KEYS, metricsToken: KEYS.metricsToken } });
  expect((await ask("/", REMOTE, BEARER)).status).toBe(404);
  expect((await ask("/metrics", REMOTE, BEARER)).status).toBe(200);
});

test("attack: a proxy on this machine does not make everybody local", async () => {
  const { ask } = setup();
  expect((await ask("/status", LOCAL, { "x-forwarded-for": "192.0.2.7" })).status).toBe(404);
});

test("attack: a page of a rebound name reads nothing", async () => {
  const { ask } = setup();
  for (const path of ["/", "/status", "/metrics", "/livez", "/nothing"]) {
    const response = await ask(path, LOCAL, { host: "evil.example:8025" });
    expect([path, response.status]).toEqual([path, 421]);
    expect(await response.text()).not.toContain("ok");
  }
  expect((await ask("/status", LOCAL, { host: "[::1]:8025" })).status).toBe(200);
});

test("every answer carries the security headers and is never stored", async () => {
  const { ask } = setup({ keys: KEYS, source: { status: () => Promise.reject(new Error("x")) } });
  for (
    const [path, connection] of [["/livez", REMOTE], ["/", REMOTE], ["/status", LOCAL], ["/nothing", LOCAL]] as const
  ) {
    const { headers } = await ask(path, connection);
    expect(headers.get("cache-control")).toBe("no-store");
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    expect(headers.get("x-frame-options")).toBe("DENY");
    expect(headers.get("referrer-policy")).toBe("no-referrer");
    expect(headers.get("content-security-policy")).toContain("default-src 'none'");
  }
  const refused = await ask("/", LOCAL, { host: "evil.example" });
  expect(refused.headers.get("x-content-type-options")).toBe("nosniff");
});

test("/status is the status as JSON, with what came from outside masked", async () => {
  const failing = { ...STATUS.databases[0]!, reachable: false, lastError: "no such user ann@example.com" }; // setup.ts has one
  const { ask } = setup({ source: { status: () => Promise.resolve({ ...STATUS, databases: [failing] }) } });
  const response = await ask("/status");
  expect(response.headers.get("content-type")).toContain("application/json");
  const text = await response.text();
  expect(JSON.parse(text)).toMatchObject({
    version: "0.1.0",
    startedAt: "2026-11-21T12:00:00.000Z",
    counters: STATUS.counters,
  });
  expect(text).toContain("a**@example.com");
});

test("the page says in one sentence that mail flows, or what keeps it from flowing", async () => {
  expect(await (await setup().ask("/")).text()).toContain("Mail flows.");
  const broken = {
    ...STATUS,
    databases: [{
      name: "crm<b>",
      reachable: false,
      inFlight: 0,
      listening: false,
      lastError: "ann@example.com <img>",
    }],
    routes: STATUS.routes.map((it) => ({
      ...it,
      state: "open" as const,
      reason: "smtp.internal:25 refused the connection",
    })),
  } as const;
  const text = await (await setup({ source: { status: () => Promise.resolve(broken) } }).ask("/")).text();
  expect(text).toContain("Database crm&lt;b&gt; does not answer: a**@example.com &lt;img&gt;.");
  expect(text).toContain("Route default is out: smtp.internal:25 refused the connection.");
  expect(text).toContain("<td>unknown</td>");
  expect(text).not.toContain("Mail flows.");
  expect(text).not.toContain("<img");
});

test("the page has no script, and its stylesheet is the one whose digest the policy names", async () => {
  const response = await setup().ask("/");
  const text = await response.text();
  expect(text.startsWith("<!doctype html>")).toBe(true);
  expect(text).not.toMatch(/<script|\son[a-z]+=|javascript:/i);
  const style = /<style>([\s\S]*?)<\/style>/.exec(text)?.[1] ?? "";
  expect(style).toBe(STYLE);
  const digest = new Bun.CryptoHasher("sha256").update(style).digest("base64");
  expect(response.headers.get("content-security-policy")).toBe(PAGE_POLICY);
  expect(PAGE_POLICY).toContain(`style-src 'sha256-${digest}'`);
  expect(text.match(/<table/g)?.length).toBe(text.match(/<caption/g)?.length);
  for (const cell of text.match(/<th\b[^>]*>/g) ?? []) expect(cell).toContain("scope=");
});

test("the page reloads itself only when it is asked to, from 2 to 3600 seconds", async () => {
  const { ask } = setup();
  for (const [query, seconds] of [["?poll=2", "2"], ["?poll=3600", "3600"]]) {
    expect(await (await ask(`/${query}`)).text()).toContain(`<meta http-equiv="refresh" content="${seconds}"`);
  }
  for (const query of ["", "?poll=1", "?poll=3601", "?poll=0", "?poll=5;url=//evil", "?poll=-5", "?poll="]) {
    expect(await (await ask(`/${query}`)).text()).not.toContain("http-equiv");
  }
});

test("probes are not logged, other requests are, and a wrong key is a warning", async () => {
  const { ask, lines } = setup({ keys: KEYS });
  await ask("/livez", REMOTE);
  await ask("/readyz", REMOTE);
  expect(lines).toEqual([]);
  await ask("/status", REMOTE, { authorization: "Bearer wrong-token" });
  expect(lines.map((line) => JSON.parse(line).level)).toEqual([40, 20]);
  expect(lines.join()).not.toContain("wrong-token");
});

test("a status that fails is a 500 without its reason, which the log has", async () => {
  const { ask, lines } = setup({ source: { status: () => Promise.reject(new Error("secret detail")) } });
  for (const path of ["/", "/status", "/metrics"]) {
    const response = await ask(path);
    expect([response.status, await response.text()]).toEqual([500, "internal error"]);
  }
  expect(lines.join()).toContain("secret detail");
});

test("only GET and HEAD exist", async () => {
  const { app } = setup();
  for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
    expect((await app.request("http://localhost/status", { method }, LOCAL)).status).toBe(404);
  }
  const head = await app.request("http://localhost/status", { method: "HEAD" }, LOCAL);
  expect([head.status, await head.text()]).toEqual([200, ""]);
});
