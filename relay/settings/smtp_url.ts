import { type Environment, readNamedFile } from "./environment.ts";
import { Secret } from "./secret.ts";
import { SettingsError } from "./settings_error.ts";

/** `required` is STARTTLS with a verified certificate or nothing; `opportunistic` is STARTTLS when it is offered. */
export type TlsMode = "implicit" | "required" | "opportunistic" | "none";

/** The next hop. */
export interface SmtpSettings {
  readonly host: string;
  readonly port: number;
  readonly tls: TlsMode;
  readonly credentials?: { readonly user: string; readonly password: Secret };
  /** The name to give in EHLO; the machine's own when undefined. */
  readonly ehloName?: string;
  /** Certificates to trust instead of the system's, as PEM text. */
  readonly trustedCertificates?: string;
  /** True only when somebody asked for it: credentials may cross the wire without TLS. */
  readonly allowsInsecureAuth: boolean;
  /** Longest wait for the server; undefined leaves it to the transport's own limits for each command. */
  readonly timeoutMs?: number;
}

const TLS_MODES: readonly TlsMode[] = ["implicit", "required", "opportunistic", "none"];
const PARAMETERS = ["tls", "name", "ca", "insecure-auth"];
const ENCODE = "write special characters of the user and the password as %40 for @, %3A for :, %2F for /, %23 for #";

/** Reads `SMTP_URL`. Its text appears in no error, since it holds a password. */
export function parseSmtpUrl(written: string, environment: Pick<Environment, "readFile">): SmtpSettings {
  const url = URL.canParse(written) ? new URL(written) : undefined;
  if (url === undefined || !/^smtps?:$/.test(url.protocol)) {
    throw refuse(
      "it is no URL that begins with smtp:// or smtps://",
      `write smtp://user:password@host:587 and ${ENCODE}`,
    );
  }
  if (url.hash !== "" || (url.pathname !== "" && url.pathname !== "/")) {
    throw refuse("something follows the host that is no ?parameter", ENCODE);
  }
  if (url.hostname === "") throw refuse("it names no host", "write smtp://host:25");
  const parameters = readParameters(url);
  const credentials = readCredentials(url);
  const tls = readTls(url, { asked: parameters.get("tls"), withCredentials: credentials !== undefined });
  const insecure = parameters.get("insecure-auth");
  if (insecure !== undefined && insecure !== "yes") {
    throw refuse("insecure-auth takes only the word yes", "write ?insecure-auth=yes or remove it");
  }
  const leaky = tls === "none" || tls === "opportunistic";
  if (credentials !== undefined && leaky && insecure === undefined) {
    throw refuse(
      `with tls=${tls} the password could cross the wire unencrypted`,
      "use tls=required, or add insecure-auth=yes if that is what you want",
    );
  }
  const name = parameters.get("name");
  const ca = parameters.get("ca");
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: readPort(url, { tls, withCredentials: credentials !== undefined }),
    tls,
    ...(credentials === undefined ? {} : { credentials }),
    ...(name === undefined ? {} : { ehloName: checkEhloName(name) }),
    ...(ca === undefined ? {} : { trustedCertificates: readCertificates(ca, environment) }),
    allowsInsecureAuth: leaky && insecure === "yes",
  };
}

function readParameters(url: URL): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const [name, value] of url.searchParams) {
    if (!PARAMETERS.includes(name)) {
      throw refuse(`there is no parameter ${JSON.stringify(name)}`, `use ${PARAMETERS.join(", ")}`);
    }
    if (found.has(name)) throw refuse(`the parameter ${name} is given twice`, "keep one");
    if (value === "") throw refuse(`the parameter ${name} is empty`, "give it a value or remove it");
    found.set(name, value);
  }
  return found;
}

function readCredentials(url: URL): { readonly user: string; readonly password: Secret } | undefined {
  if (url.username === "" && url.password === "") return undefined;
  if (url.username === "") throw refuse("it has a password but no user", "write smtp://user:password@host:587");
  if (url.password === "") throw refuse("it has a user but no password", "write smtp://user:password@host:587");
  try {
    return { user: decodeURIComponent(url.username), password: new Secret(decodeURIComponent(url.password)) };
  } catch {
    throw refuse("a % in the user or the password is not followed by two hex digits", "write %25 for %");
  }
}

function readTls(
  url: URL,
  options: { readonly asked: string | undefined; readonly withCredentials: boolean },
): TlsMode {
  const { asked, withCredentials } = options;
  const tls = TLS_MODES.find((mode) => mode === asked);
  if (asked !== undefined && tls === undefined) {
    throw refuse("there is no such tls mode", `use ${TLS_MODES.join(", ")}`);
  }
  if (url.protocol === "smtps:") {
    if (tls !== undefined && tls !== "implicit") {
      throw refuse(`smtps:// is implicit TLS and tls=${tls} is not`, `write smtp:// with ?tls=${tls}`);
    }
    // Elsewhere smtps:// means STARTTLS (dj-email-url, django-environ); on these ports that is what was meant.
    if (url.port === "25" || url.port === "587") {
      throw refuse(
        `smtps:// is TLS from the first byte, which nobody serves on port ${url.port}`,
        `write smtp:// with port ${url.port} for STARTTLS, or smtps:// with port 465`,
      );
    }
    return "implicit";
  }
  if (tls === undefined && url.port === "465") {
    throw refuse("port 465 is TLS from the first byte and smtp:// is not", "write smtps:// with port 465");
  }
  return tls ?? (withCredentials ? "required" : "opportunistic");
}

function readPort(url: URL, options: { readonly tls: TlsMode; readonly withCredentials: boolean }): number {
  if (url.port === "0") throw refuse("there is no port 0", "write a port from 1 to 65535");
  if (url.port !== "") return Number(url.port);
  if (options.tls === "implicit") return 465;
  return options.withCredentials ? 587 : 25;
}

function checkEhloName(name: string): string {
  // RFC 5321 section 4.1.1.1: a domain or an address literal.
  if (/^([A-Za-z0-9]([A-Za-z0-9.-]{0,253}[A-Za-z0-9])?|\[[0-9A-Za-z:.]{2,64}\])$/.test(name)) return name;
  throw refuse("its name is no host name that EHLO could give", "write ?name=relay.example.com or remove it");
}

function readCertificates(path: string, environment: Pick<Environment, "readFile">): string {
  const pem = readNamedFile(path, { fileName: "SMTP_URL", readFile: environment.readFile });
  if (pem.includes("-----BEGIN CERTIFICATE-----")) return pem;
  throw refuse(`the file ${JSON.stringify(path)} that ca names holds no PEM certificate`, "name a PEM file");
}

function refuse(because: string, fix: string): SettingsError {
  return new SettingsError("SMTP_URL", `Cannot use SMTP_URL: ${because}; ${fix}`);
}
