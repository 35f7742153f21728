import { expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createApp } from "../../relay/http/app.tsx";
import { startHttp } from "../../relay/http/server.ts";
import { startInbox } from "../../relay/mail/inbox.ts";
import { hostileHtml } from "./hostile_mail.ts";
import { QUIET_SOURCE, sendMail } from "./setup.ts";

const CHROMIUM = Bun.which("chromium");
const NO_KEYS = { adminPassword: undefined, metricsToken: undefined };

/** Counts connections, not only requests: a preconnect sends no byte and still tells that the mail was opened. */
async function startBeacon() {
  const seen: string[] = [];
  const counted = { connections: 0 };
  const server = createServer((socket) => {
    counted.connections += 1;
    socket.on("error", () => {});
    socket.on("data", (data) => {
      seen.push(/^\S+ (\S+)/.exec(data.toString("latin1"))?.[1] ?? "?");
      socket.end("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the beacon has no port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    seen,
    counted,
    stop: () => new Promise<void>((resolve) => server.close(() => resolve())),
  };
}

/** Opens a page as a person would and returns its DOM once it has settled. */
async function browse(url: string): Promise<string> {
  const profile = await mkdtemp(join(tmpdir(), "mailchute-browser-"));
  const flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking " +
    "--disable-component-update --disable-sync --virtual-time-budget=4000 --dump-dom";
  const browser = Bun.spawn([CHROMIUM ?? "chromium", ...flags.split(" "), `--user-data-dir=${profile}`, url], {
    stdout: "pipe",
    stderr: "ignore",
  });
  const dom = await new Response(browser.stdout).text();
  await browser.exited;
  await rm(profile, { recursive: true, force: true });
  return dom;
}

const name = "attack: a hostile mail makes a real browser open no connection, in its frame and alone";
test.skipIf(CHROMIUM === null)(CHROMIUM === null ? `${name} (skipped: needs chromium)` : name, async () => {
  const beacon = await startBeacon();
  const directory = await mkdtemp(join(tmpdir(), "mailchute-inbox-"));
  const inbox = await startInbox({ directory });
  const app = createApp({ source: QUIET_SOURCE, keys: NO_KEYS, now: Date.now, inbox });
  const server = await startHttp({ host: "127.0.0.1", port: 0, app });
  const html = hostileHtml(beacon.url);
  const mail = await sendMail(
    inbox,
    `Subject: hostile\r\nContent-Type: text/html\r\n\r\n${html.replaceAll("\n", "\r\n")}`,
  );

  const framed = await browse(`${server.url}/inbox/${mail.id}`);
  expect(framed).toContain("<iframe");
  const alone = await browse(`${server.url}/inbox/${mail.id}/preview`);
  expect(alone).toContain("text");
  expect(beacon.seen).toEqual([]);
  expect(beacon.counted.connections).toBe(0);

  // The same mail, unprotected, must be seen: else the two looks above prove nothing.
  const naked = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: () => new Response(html, { headers: { "content-type": "text/html" } }),
  });
  await browse(naked.url.href);
  expect(beacon.seen.length).toBeGreaterThan(0);

  await naked.stop(true);
  await server.stop();
  await inbox.stop();
  await beacon.stop();
  await rm(directory, { recursive: true });
}, 120_000);
