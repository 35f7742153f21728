import { expect, test } from "bun:test";
import { createApp } from "../../relay/http/app.tsx";
import { startHttp } from "../../relay/http/server.ts";
import { QUIET_SOURCE } from "./setup.ts";

const app = createApp({
  source: QUIET_SOURCE,
  keys: { adminPassword: undefined, metricsToken: undefined },
  now: Date.now,
});

test("a real socket on loopback tells the app where the request comes from", async () => {
  const server = await startHttp({ host: "127.0.0.1", port: 0, app });
  try {
    expect(server.url).toMatch(/^http:\/\/127\.0\.0\.1:[1-9]\d*$/);
    expect(await (await fetch(`${server.url}/livez`)).text()).toBe("ok");
    expect((await fetch(`${server.url}/status`)).status).toBe(200);
    expect((await fetch(`${server.url}/status`, { headers: { host: "evil.example" } })).status).toBe(421);
  } finally {
    await server.stop();
  }
});

test("a server on every address keeps its pages from loopback peers too, without a key", async () => {
  const server = await startHttp({ host: "0.0.0.0", port: 0, app });
  try {
    const url = server.url.replace("0.0.0.0", "127.0.0.1");
    expect((await fetch(`${url}/livez`)).status).toBe(200);
    expect((await fetch(`${url}/status`)).status).toBe(404);
  } finally {
    await server.stop();
  }
});

test("a taken port is refused with the settings to change, and free again after stop", async () => {
  const first = await startHttp({ host: "127.0.0.1", port: 0, app });
  const port = Number(new URL(first.url).port);
  await expect(startHttp({ host: "127.0.0.1", port, app })).rejects.toThrow(
    `Cannot listen on 127.0.0.1:${port}: another program has the port; set HOST and PORT to a free address`,
  );
  await first.stop();
  const second = await startHttp({ host: "127.0.0.1", port, app });
  await second.stop();
});

test("a body larger than any request of ours is refused", async () => {
  const server = await startHttp({ host: "127.0.0.1", port: 0, app });
  try {
    const response = await fetch(`${server.url}/status`, { method: "POST", body: "x".repeat(65_537) });
    expect([404, 413]).toContain(response.status);
  } finally {
    await server.stop();
  }
});
