/** Where a server listens. */
export interface ServerAddress {
  /** A name, an address without brackets, or the folder of a socket. */
  readonly host: string;
  readonly port: number;
}

/**
 * Where the server of a database URL listens: the folder of a Unix socket may be its host, as `%2Frun%2Fpostgresql` or
 * as `?host=/run/postgresql`.
 *
 * @example IPv6, and a socket
 * ```ts
 * import { serverOf } from "./server_address.ts";
 * console.log(serverOf("postgres://relay:secret@[fd00::1]:5433/shop").host); // fd00::1
 * console.log(serverOf("postgres:///shop?host=/run/postgresql").port); // 5432
 * ```
 */
export function serverOf(url: string): ServerAddress {
  const { hostname, port, searchParams } = new URL(url);
  const host = decodeURIComponent(hostname) || (searchParams.get("host") ?? "");
  return { host: host.replace(/^\[(.*)\]$/, "$1"), port: Number(port || searchParams.get("port") || 5432) };
}
