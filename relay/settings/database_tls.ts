import { type ClientCertificateSettings, readCertificate, readCertificateFiles } from "./certificate_files.ts";
import { refuse, type UrlSource } from "./url_source.ts";

const MODES = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] as const;

/** How the way to a database is protected, in the words of libpq (`sslmode`). */
export type DatabaseTlsMode = typeof MODES[number];

/** What a database URL says of TLS. */
export interface DatabaseTls {
  readonly mode: DatabaseTlsMode;
  /** Certificates to trust instead of the system's, as PEM text. */
  readonly ca?: string;
  readonly clientCertificate?: ClientCertificateSettings;
}

/** The parameters of a database URL that are read here. */
export const TLS_PARAMETERS = ["ssl", "sslmode", "sslrootcert", "sslcert", "sslkey"] as const;

/**
 * Reads what a database URL says of TLS, as libpq does (PostgreSQL's documentation, "Database Connection Control
 * Functions"), with two differences: without a word nothing is encrypted, and who names an authority without a mode
 * has the server checked in full.
 *
 * @example An authority of one's own
 * ```ts
 * import { readDatabaseTls } from "./database_tls.ts";
 * const { searchParams } = new URL("postgres://h/d?sslmode=verify-full&sslrootcert=/etc/mailchute/ca.pem");
 * const readFile = () => "-----BEGIN CERTIFICATE-----\n…";
 * console.log(readDatabaseTls(searchParams, { variable: "DATABASE_URL", readFile }).mode); // verify-full
 * ```
 * @throws {SettingsError} when a word is unknown, two contradict each other, or a file cannot be read
 */
export function readDatabaseTls(parameters: URLSearchParams, source: UrlSource): DatabaseTls {
  const [root, cert, key] = ["sslrootcert", "sslcert", "sslkey"].map((name) => parameters.get(name) ?? undefined);
  const isOwn = root !== undefined && root !== "system";
  const asked = readMode(parameters, source) ?? (root === undefined ? "disable" : "verify-full");
  // As libpq: who names an authority means it.
  const mode = asked === "require" && isOwn ? "verify-ca" : asked;
  const isVerified = mode === "verify-ca" || mode === "verify-full";
  if (root !== undefined && !isVerified || root === "system" && mode !== "verify-full") {
    throw refuse(source, `with sslmode=${mode} sslrootcert=${root} has no meaning`, "write sslmode=verify-full");
  }
  if ((cert === undefined) !== (key === undefined)) {
    throw refuse(source, "sslcert and sslkey belong together", "give both, or neither");
  }
  const ca = isOwn ? { ca: readCertificate(root, { parameter: "sslrootcert", source }) } : {};
  if (cert === undefined || key === undefined) return { mode, ...ca };
  if (!isVerified && mode !== "require") {
    throw refuse(source, `with sslmode=${mode} sslcert has no meaning`, "write sslmode=verify-full");
  }
  const names = { cert: "sslcert", key: "sslkey" };
  return { mode, ...ca, clientCertificate: readCertificateFiles({ cert, key }, { ...source, names }) };
}

/** `ssl=true` is how drivers of JavaScript say it. */
function readMode(parameters: URLSearchParams, source: UrlSource): DatabaseTlsMode | undefined {
  const written = parameters.get("sslmode") ?? parameters.get("ssl") ?? undefined;
  if (written === undefined) return undefined;
  if (!parameters.has("sslmode") && (written === "true" || written === "false")) {
    return written === "true" ? "verify-full" : "disable";
  }
  const mode = MODES.find((known) => known === written);
  if (mode !== undefined) return mode;
  throw refuse(
    source,
    `sslmode=${written} is none of ${MODES.join(", ")}`,
    "write sslmode=verify-full, or sslmode=require, which checks no certificate",
  );
}
