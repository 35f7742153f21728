/** @jsxImportSource hono/jsx */
import { Hono } from "hono";
import { type Log, maskAddresses } from "../log.ts";
import type { Inbox } from "../mail/inbox.ts";
import { challenge, type Connection, isHostAllowed, isLocal, judge, type Keys, listensOnLoopback } from "./access.ts";
import { inboxPages } from "./inbox.tsx";
import { METRICS_TYPE, metricsText } from "./metrics.ts";
import { refreshSeconds } from "./refresh.ts";
import { addSecurityHeaders } from "./security_headers.ts";
import type { RelayStatus, StatusSource } from "./status_source.ts";
import { statusPage } from "./status.tsx";

/** What the app of the relay needs. */
export interface AppOptions {
  readonly source: StatusSource;
  readonly keys: Keys;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly log?: Log;
  /** The playground's inbox; its pages exist only with it, and only on loopback. */
  readonly inbox?: Inbox | undefined;
}

type Accepts = readonly ("basic" | "bearer")[];

/**
 * Creates the HTTP side of the relay: probes for everybody, the rest for this machine or for whoever has a key.
 *
 * The bindings of each request say where it comes from (`startHttp` fills them in); a request without them is a
 * stranger's.
 *
 * @example Ask without a socket
 * ```ts
 * import { createApp } from "./app.tsx";
 * const source = { alive: () => true, ready: async () => ({ ok: true, reasons: [] }), status: async () => { throw 0; } };
 * const app = createApp({ source, keys: { adminPassword: undefined, metricsToken: undefined }, now: Date.now });
 * console.log(await (await app.request("/livez")).text()); // ok
 * ```
 */
export function createApp(options: AppOptions): Hono<{ Bindings: Connection }> {
  const { source, keys, now, log, inbox } = options;
  const app = new Hono<{ Bindings: Connection }>();

  app.use(async (c, next) => {
    await next();
    addSecurityHeaders(c.res.headers);
    // A probe every few seconds would bury what matters.
    if (c.req.path !== "/livez" && c.req.path !== "/readyz") {
      log?.debug("request", { method: c.req.method, path: c.req.path, status: c.res.status });
    }
  });

  app.use(async (c, next) => {
    if (isHostAllowed(connectionOf(c.env), c.req.header("host") ?? new URL(c.req.url).host)) return await next();
    return plain("Cannot answer for this Host: use localhost or 127.0.0.1", 421);
  });

  app.get("/livez", () => source.alive() ? plain("ok") : plain("not alive", 503));
  app.get("/readyz", async () => {
    const { ok, reasons } = await source.ready();
    return ok ? plain("ok") : plain(maskAddresses(`not ready: ${reasons.join(", ")}`).replace(/\s+/g, " "), 503);
  });

  /** Lets a request through, or answers for the door. */
  function refusal(connection: Connection, headers: Headers, accepts: Accepts): Response | undefined {
    const verdict = judge({ connection, headers }, { keys, accepts });
    if (verdict === "allowed") return undefined;
    if (verdict === "hidden") return notFound();
    if (verdict === "wrong_key") log?.warn("request with a wrong password or token", { peer: connection.peer });
    return plain("unauthorized", 401, { "www-authenticate": challenge(keys, accepts) });
  }

  app.get(
    "/status",
    async (c) =>
      refusal(connectionOf(c.env), c.req.raw.headers, ["basic", "bearer"]) ?? c.json(masked(await source.status())),
  );

  app.get("/metrics", async (c) => {
    const refused = refusal(connectionOf(c.env), c.req.raw.headers, ["basic", "bearer"]);
    if (refused !== undefined) return refused;
    const [status, { ok }] = await Promise.all([source.status(), source.ready()]);
    return plain(metricsText(status, ok), 200, { "content-type": METRICS_TYPE });
  });

  app.get("/", async (c) => {
    const connection = connectionOf(c.env);
    return refusal(connection, c.req.raw.headers, ["basic"]) ?? await statusPage(masked(await source.status()), {
      now: new Date(now()),
      hasInbox: inbox !== undefined && isLocal(connection, c.req.raw.headers),
      refreshSeconds: refreshSeconds(c.req.query("poll")),
    });
  });

  if (inbox !== undefined) {
    // Captured mail is everybody's mail: no password opens it from elsewhere.
    app.use("/inbox/*", async (c, next) => {
      const connection = connectionOf(c.env);
      return listensOnLoopback(connection) && isLocal(connection, c.req.raw.headers) ? await next() : notFound();
    });
    app.route("/inbox", inboxPages(inbox));
  }

  app.notFound(() => notFound());
  app.onError((error) => {
    log?.error("request failed", { error });
    return plain("internal error", 500);
  });
  return app;
}

// Without bindings (`app.request` in a test, another server) Hono's `env` may be undefined.
function connectionOf(env: Connection | undefined): Connection {
  return env ?? {};
}

function plain(text: string, status: number = 200, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(text, { status, headers: { "content-type": "text/plain; charset=utf-8", ...headers } });
}

function notFound(): Response {
  return plain("not found", 404);
}

/** Masks what came from outside: errors of a database and replies of a server may quote an address. */
function masked(status: RelayStatus): RelayStatus {
  return {
    ...status,
    databases: status.databases.map((it) =>
      it.lastError === undefined ? it : { ...it, lastError: maskAddresses(it.lastError) }
    ),
    routes: status.routes.map((it) => it.reason === undefined ? it : { ...it, reason: maskAddresses(it.reason) }),
  };
}
