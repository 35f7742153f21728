/**
 * Parameters of a database URL that only some other client understands: libpq's, which Neon's console writes, and
 * Prisma's. postgres.js hands what it does not know to the server, which refuses the connection for it.
 */
const FOREIGN: ReadonlySet<string> = new Set([
  "channel_binding",
  "connection_limit",
  "gssencmode",
  "pgbouncer",
  "pool_timeout",
  "schema",
  "socket_timeout",
  "sslnegotiation",
  "statement_cache_size",
]);

/**
 * Removes from a database URL what is not meant for us; the rest stays as it is, character by character.
 *
 * @example A URL as Neon's console gives it
 * ```ts
 * const url = "postgres://app:pw@ep-1.neon.tech/shop?sslmode=require&channel_binding=require";
 * if (withoutForeignParameters(url) !== "postgres://app:pw@ep-1.neon.tech/shop?sslmode=require") throw new Error("unexpected");
 * ```
 */
export function withoutForeignParameters(url: string): string {
  const at = url.indexOf("?");
  if (at < 0) return url;
  const kept = url.slice(at + 1).split("&").filter((pair) => !FOREIGN.has(pair.split("=", 1)[0] ?? ""));
  return url.slice(0, at) + (kept.length === 0 ? "" : `?${kept.join("&")}`);
}

/** A server as postgres.js takes it without splitting its name at colons: lists, of which its types say nothing. */
export function driverHost(
  server: { readonly host: string; readonly port: number },
): { readonly host: string; readonly port: number } {
  return { host: [server.host], port: [server.port] } as unknown as typeof server;
}
