import type { Options } from "postgres";
import { driverHost, withoutForeignParameters } from "../../src/client_parameters.ts";
import { type DatabaseTls, TLS_PARAMETERS } from "../settings/database_tls.ts";
import { serverOf } from "./server_address.ts";

const OURS: ReadonlySet<string> = new Set(["host", "port", "user", "password", ...TLS_PARAMETERS]);

/** A database URL as the driver takes it, which knows no IPv6 and no authorities, and what it is told besides. */
export function driverOptions({ url, tls }: { readonly url: string; readonly tls?: DatabaseTls | undefined }): {
  readonly url: string;
  readonly options: Pick<Options<Record<string, never>>, "host" | "port" | "path" | "user" | "password" | "ssl">;
} {
  const { host, port } = serverOf(url);
  const { searchParams } = new URL(url);
  // A URL whose host is a parameter has no place for them before it.
  const login = ["user", "password"].flatMap((name) => searchParams.has(name) ? [[name, searchParams.get(name)]] : []);
  const [before = "", parameters = ""] = withoutForeignParameters(url).split("?", 2);
  const kept = parameters.split("&").filter((pair) => pair !== "" && !OURS.has(pair.split("=", 1)[0] ?? ""));
  return {
    url: kept.length === 0 ? before : `${before}?${kept.join("&")}`,
    options: {
      ...driverHost({ host, port }),
      ...Object.fromEntries(login),
      ...(host.startsWith("/") ? { path: `${host}/.s.PGSQL.${port}` } : {}),
      ssl: tls === undefined ? false : sslOf(tls),
    },
  };
}

function sslOf({ mode, ca, clientCertificate }: DatabaseTls): NonNullable<Options<Record<string, never>>["ssl"]> {
  if (mode === "disable") return false;
  // The driver asks the server only here whether it has TLS, and goes on without.
  if (mode === "allow" || mode === "prefer") return "prefer";
  return {
    rejectUnauthorized: mode !== "require",
    ...(ca === undefined ? {} : { ca }),
    ...(mode === "verify-ca" ? { checkServerIdentity: () => undefined } : {}),
    ...(clientCertificate === undefined ? {} : { cert: clientCertificate.cert, key: clientCertificate.key.reveal() }),
  };
}
