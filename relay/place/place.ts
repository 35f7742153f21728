import { serverOf } from "../database/server_address.ts";

/** The place where a database's queue is drained, as the database remembers it. */
export interface RememberedPlace {
  /** Of the cluster; undefined where the role could not read it. */
  readonly system: string | undefined;
  /** The object number of the database in its cluster. */
  readonly database: string;
  /** Every address by which relays have reached it. */
  readonly addresses: readonly string[];
}

/** Where a relay finds itself. */
export interface PresentPlace {
  readonly system: string | undefined;
  readonly database: string;
  readonly address: string;
  /** The server was started at the very instant that the database remembers. */
  readonly isSameRun: boolean;
}

/**
 * Tells what makes a database a copy of the one that is remembered; undefined: it is the same one.
 *
 * A copy by its data (a restored dump, a template) has another number or another cluster. A copy of the whole cluster
 * (a promoted replica, a snapshot, a branch) has the same ones, and another address; but so has the original, reached
 * in another way. Then the instant at which the server was started decides: no two servers share it.
 *
 * @example A template copy, and the original through a tunnel
 * ```ts
 * const original = { system: "7", database: "16384", addresses: ["db.example.com:5432/shop"] };
 * const beside = { system: "7", database: "16999", address: "db.example.com:5432/shop_copy", isSameRun: true };
 * const tunnel = { system: "7", database: "16384", address: "localhost:15432/shop", isSameRun: true };
 * if (differenceOf(original, beside) !== "it is another database of the same cluster") throw new Error("unexpected");
 * if (differenceOf(original, tunnel) !== undefined) throw new Error("unexpected");
 * ```
 */
export function differenceOf(remembered: RememberedPlace, present: PresentPlace): string | undefined {
  const { system, database, address, isSameRun } = present;
  if (system !== undefined && remembered.system !== undefined && system !== remembered.system) {
    return "it is in another cluster";
  }
  if (database !== remembered.database) return "it is another database of the same cluster";
  if (isSameRun || remembered.addresses.includes(address)) return undefined;
  return `it is the same database on another server, or at another address: ${address}`;
}

const LOOPBACK = /^(localhost|127(\.\d+){3}|::1)$/;

/**
 * The address of a database, without what may change while it stays the same: user, password, parameters, and by which
 * of its names a pooler or this machine is called.
 *
 * @example Pooled and direct
 * ```ts
 * const pooled = addressOf("postgres://app:pw@ep-1-pooler.eu.neon.tech/shop?sslmode=require");
 * if (pooled !== "ep-1.eu.neon.tech:5432/shop") throw new Error(pooled);
 * if (addressOf("postgres://127.0.0.1:5433/shop") !== "localhost:5433/shop") throw new Error("unexpected");
 * ```
 */
export function addressOf(url: string): string {
  const { pathname } = new URL(url);
  const { host: written, port } = serverOf(url);
  const host = written.toLowerCase().replace(/\.$/, "");
  const plain = LOOPBACK.test(host) ? "localhost" : host.replace(/^([^.]+)-pooler\./, "$1.");
  return `${plain.includes(":") ? `[${plain}]` : plain}:${port}/${decodeURIComponent(pathname.slice(1))}`;
}
