/**
 * A mailer for any Postgres, through postgres.js: a URL in, a mailer out.
 *
 * @module
 */
import postgres from "postgres";
import { createMailer, DEFAULT_TIMEOUT_MS } from "../client.ts";
import { driverHost } from "../client_parameters.ts";
import type { Mailer, MailerOptions } from "../mailer.ts";
import { lastingPool } from "./lasting_pool.ts";
import { openUrl } from "./url.ts";

/**
 * `AsyncDisposable` where TypeScript's `lib` has it, esnext or esnext.disposable, and nothing where it has not: es2022
 * alone compiles too.
 */
export type KnownDisposable = typeof Symbol extends { readonly asyncDispose: infer Key extends symbol }
  ? { readonly [_ in Key]: () => Promise<void> }
  : object;

/** A mailer with a pool of its own. */
export interface PostgresMailer extends Mailer, KnownDisposable {
  /** Waits for the calls under way, at most 5 seconds, and closes all connections. */
  close(): Promise<void>;
}

const MAX_CONNECTIONS = 3;
const IDLE_SECONDS = 20;
const CONNECT_SECONDS = 10;
const CLOSE_SECONDS = 5;

/**
 * Makes a mailer with a small pool: at most 3 connections, opened when needed and closed when idle for 20 seconds. It
 * works through PgBouncer and Hyperdrive. When a call ends in `timeout` its connections are replaced, since a firewall
 * may have forgotten them.
 *
 * It runs each call on its own. To send inside the app's transactions give the app's own `postgres(url)` to
 * `createMailer`. On Cloudflare Workers a connection belongs to one request: make a mailer in the request and close it
 * with `ctx.waitUntil(mail.close())`.
 *
 * @example
 * ```ts
 * await using mail = postgresMailer("postgres://app:secret@localhost/shop", { from: "Shop <shop@example.com>" });
 * const statement = await mail.statement({ to: "ann@example.com", subject: "Welcome", text: "Hello Ann" });
 * if (statement.values.length !== 1) throw new Error("unexpected");
 * ```
 * @throws {MailchuteError} `connection_unsupported` when the URL is none, `validation_error` when an option is wrong
 */
export function postgresMailer(url: string, options: MailerOptions = {}): PostgresMailer {
  const { timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  // A moment before the mailer gives it up, so that the next call, which may come at once, finds the new pool.
  const patienceMs = Math.max(1, timeoutMs - 1);
  const pool = openUrl(url, (url) => lastingPool(() => connect(url), { patienceMs, leaveSeconds: CLOSE_SECONDS }));
  const { close } = pool;
  return { ...createMailer(pool, options), close, [Symbol.asyncDispose]: close };
}

function connect(url: string): postgres.Sql {
  return postgres(url, {
    ...ipv6Of(url),
    // Named statements break behind PgBouncer (transaction pooling), and reading all types costs a round trip.
    prepare: false,
    fetch_types: false,
    max: MAX_CONNECTIONS,
    idle_timeout: IDLE_SECONDS,
    connect_timeout: CONNECT_SECONDS,
    onnotice: () => {},
  });
}

/** The driver splits a host at its colons, also at those of IPv6, unless it is given apart. */
function ipv6Of(url: string): ReturnType<typeof driverHost> | undefined {
  // Not by URL, which knows no list of hosts; the driver does.
  const [, host, port = 5432] = /^\w+:\/\/(?:[^@/]*@)?\[([^\]]+)\](?::(\d+))?/.exec(url) ?? [];
  return host === undefined ? undefined : driverHost({ host, port: Number(port) });
}
