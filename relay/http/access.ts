import { createHash, timingSafeEqual } from "node:crypto";
import type { Secret } from "../settings/secret.ts";

/** The two ends of the connection, from the socket and never from a header. */
export interface Connection {
  /** The address of the other side; undefined when it is not known, which counts as far away. */
  readonly peer?: string;
  /** The address that the server listens on. */
  readonly listening?: string;
}

/** What opens the doors from other machines. */
export interface Keys {
  readonly adminPassword: Secret | undefined;
  readonly metricsToken: Secret | undefined;
}

/** Who may come in: `hidden` answers 404, so that nobody learns that there is a door. */
export type Verdict = "allowed" | "wrong_key" | "no_key" | "hidden";

/** Tells whether an address is this machine's own: 127.0.0.0/8, ::1, IPv4 in IPv6, or the name localhost. */
export function isLoopback(address: string): boolean {
  const bare = address.replace(/^\[(.*)\]$/, "$1").replace(/^::ffff:(?=\d+\.)/i, "").toLowerCase();
  if (bare === "localhost" || bare === "::1") return true;
  const octets = /^127\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(bare);
  return octets !== null && octets.slice(1).every((octet) => Number(octet) <= 255);
}

/** Tells whether the server can be reached from this machine only. */
export function listensOnLoopback(connection: Connection): boolean {
  return connection.listening !== undefined && isLoopback(connection.listening);
}

// A proxy on this machine would make everybody a neighbour; most of them leave one of these behind.
const PROXY_HEADERS = ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"];

/** Tells whether the request was made on this machine: both ends are loopback and no proxy stands between. */
export function isLocal(connection: Connection, headers: Headers): boolean {
  if (connection.peer === undefined || !isLoopback(connection.peer)) return false;
  return listensOnLoopback(connection) && !PROXY_HEADERS.some((name) => headers.has(name));
}

/**
 * Checks the Host header against DNS rebinding: a web page of `evil.example`, whose name points to 127.0.0.1, would
 * otherwise read ours with the browser of whoever visits it. Where a key is needed anyway, any name will do.
 */
export function isHostAllowed(connection: Connection, host: string | null): boolean {
  if (!listensOnLoopback(connection)) return true;
  // RFC 9112 section 3.2: name or literal, and a port.
  const match = /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(?::\d{1,5})?$/.exec(host ?? "");
  return match !== null && isLoopback(match[1] ?? "");
}

/** Decides about a page (`basic` only) or about /status and /metrics (`basic` or `bearer`). */
export function judge(
  request: { readonly connection: Connection; readonly headers: Headers },
  options: { readonly keys: Keys; readonly accepts: readonly ("basic" | "bearer")[] },
): Verdict {
  if (isLocal(request.connection, request.headers)) return "allowed";
  const { adminPassword, metricsToken } = options.keys;
  const password = options.accepts.includes("basic") ? adminPassword : undefined;
  const token = options.accepts.includes("bearer") ? metricsToken : undefined;
  if (password === undefined && token === undefined) return "hidden";
  const header = request.headers.get("authorization");
  if (header === null) return "no_key";
  const basic = basicPassword(header);
  const bearer = /^bearer +(\S+) *$/i.exec(header)?.[1];
  // Both are compared, whichever was sent, so that the time tells nothing.
  const passwordFits = sameSecret(basic, password);
  const tokenFits = sameSecret(bearer, token);
  return passwordFits || tokenFits ? "allowed" : "wrong_key";
}

/** Returns what WWW-Authenticate has to say (RFC 7617 section 2, RFC 6750 section 3). */
export function challenge(keys: Keys, accepts: readonly ("basic" | "bearer")[]): string {
  const offers: string[] = [];
  if (keys.adminPassword !== undefined && accepts.includes("basic")) {
    offers.push('Basic realm="mailchute", charset="UTF-8"');
  }
  if (keys.metricsToken !== undefined && accepts.includes("bearer")) offers.push('Bearer realm="mailchute"');
  return offers.join(", ");
}

// RFC 7617 section 2: the user name ends at the first colon; ours may be any.
function basicPassword(header: string): string | undefined {
  const encoded = /^basic +([A-Za-z0-9+/=]+) *$/i.exec(header)?.[1];
  if (encoded === undefined) return undefined;
  try {
    const bytes = Uint8Array.from(atob(encoded), (char) => char.charCodeAt(0));
    const pair = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    const colon = pair.indexOf(":");
    return colon === -1 ? undefined : pair.slice(colon + 1);
  } catch {
    return undefined;
  }
}

// Digests have one length, so the comparison tells neither where the texts differ nor how long they are.
function sameSecret(given: string | undefined, expected: Secret | undefined): boolean {
  const one = createHash("sha256").update(given ?? "").digest();
  const other = createHash("sha256").update(expected?.reveal() ?? "").digest();
  return timingSafeEqual(one, other) && given !== undefined && expected !== undefined;
}
