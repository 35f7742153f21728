import { isOfPooler } from "../database/connection_pool.ts";
import { serverOf } from "../database/server_address.ts";
import { errorCode } from "../error_code.ts";
import type { DatabaseTlsMode } from "../settings/database_tls.ts";
import type { DatabaseUnderTest } from "./database.ts";
import { fail, type Finding, ok, reasonOf, span, warn } from "./finding.ts";

/** Behind a pooler this is about the pooler's own connection. */
const WHO = `
select session_user::text as role, coalesce(s.ssl, false) as ssl, s.version as tls
from (values (pg_backend_pid())) as me (pid) left join pg_stat_ssl s on s.pid = me.pid`;

const LOOPBACK: ReadonlySet<string> = new Set(["localhost", "127.0.0.1", "::1", ""]);
const ROUNDS = 3;

/**
 * Whether the database answers, how fast, to whom, and whether others on the way can read along.
 * @throws what a pooler says that takes no parameter of the server
 */
export async function checkConnection(test: DatabaseUnderTest): Promise<readonly Finding[]> {
  const { sql } = test;
  let row;
  try {
    [row] = await sql.unsafe(WHO);
  } catch (error) {
    if (isOfPooler(error)) throw error;
    return [notReached(error, test)];
  }
  const rounds: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const sentMs = performance.now();
    await sql.unsafe("select 1");
    rounds.push(performance.now() - sentMs);
  }
  const role = row?.role as string;
  const connection = ok("connection", `answers the role ${role}, a round trip takes ${span(Math.min(...rounds))}`);
  const version = (row?.tls ?? undefined) as string | undefined;
  const { host } = serverOf(test.database.url);
  const mode = test.database.tls?.mode ?? "disable";
  const link = { host, mode, isServerTls: row?.ssl === true, version, variable: test.variable };
  return [connection, findingOfTls(link)];
}

/** What is known of the way to the database. */
export interface DatabaseLink {
  readonly host: string;
  readonly mode: DatabaseTlsMode;
  readonly isServerTls: boolean;
  readonly version: string | undefined;
  readonly variable: string;
}

/** Judges how the way to the database is protected. */
export function findingOfTls({ host, mode, isServerTls, version, variable }: DatabaseLink): Finding {
  const isOptional = mode === "allow" || mode === "prefer";
  if (isOptional ? isServerTls : mode !== "disable") {
    const note = VERIFIED[mode] ?? "not verified (sslmode=verify-full does that)";
    return ok("tls", `${isServerTls && version !== undefined ? version : "TLS"}, certificate ${note}`);
  }
  if (LOOPBACK.has(host) || host.startsWith("/")) return ok("tls", "none, and none is needed on this machine");
  return warn(
    "tls",
    `none: whoever is between here and ${host} can read the mails`,
    `add ?sslmode=verify-full to ${variable} (or sslmode=require, which checks no certificate)`,
  );
}

const VERIFIED: Readonly<Partial<Record<DatabaseTlsMode, string>>> = {
  "verify-ca": "verified, but not the name of the server (sslmode=verify-full does that)",
  "verify-full": "verified",
};

const UNKNOWN_AUTHORITY =
  "name the certificate of its authority by &sslrootcert=/path/to/ca.pem in {variable} (sslmode=require checks none)";

/** What to change, by the code of the error. */
const FIXES: Readonly<Record<string, string>> = {
  ECONNREFUSED: "start Postgres, or correct host and port in {variable}",
  ENOTFOUND: "correct the host in {variable}, or use a name server that knows it",
  EAI_AGAIN: "check the name servers of this machine",
  CONNECT_TIMEOUT: "open the firewall between this machine and the database, or correct the host in {variable}",
  ETIMEDOUT: "open the firewall between this machine and the database, or correct the host in {variable}",
  "28P01": "correct user and password in {variable} (@ is written %40, : %3A, / %2F)",
  "28000":
    "let pg_hba.conf of the server allow this role from this machine; if it speaks of no encryption, add ?sslmode=require to {variable}",
  "3D000": "correct the name of the database in {variable}, or create it",
  "42704": "take the parameter that the server does not know out of {variable}",
  "53300": "let the server allow more connections (max_connections), or use fewer elsewhere",
  "57P03": "wait: the server starts or stops",
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_AUTHORITY,
  DEPTH_ZERO_SELF_SIGNED_CERT: UNKNOWN_AUTHORITY,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_AUTHORITY,
  CERT_SIGNATURE_FAILURE: UNKNOWN_AUTHORITY,
  CERT_HAS_EXPIRED: "renew the server's certificate",
  ERR_TLS_CERT_ALTNAME_INVALID: "use the host name that the certificate is for in {variable}",
};

function notReached(error: unknown, { database, variable, isEmbedded }: DatabaseUnderTest): Finding {
  const code = errorCode(error);
  if (isEmbedded && code === "ECONNREFUSED") {
    return warn("connection", "the embedded Postgres does not run now", "start it: mailchute run");
  }
  const fix = (FIXES[code] ?? "check {variable}").replace("{variable}", variable);
  return fail("connection", `no answer from ${database.display}: ${reasonOf(error)}`, fix);
}
