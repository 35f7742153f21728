import type { Limit } from "../limits/throttle.ts";
import { type ClientCertificateSettings, readCertificate, readCertificateFiles } from "./certificate_files.ts";
import { type Kind, Wrong } from "./kind.ts";
import { PARAMETER_NAMES, type ParameterName, type ParameterValue, smtpParameters } from "./smtp_parameter_table.ts";
import { refuse, type UrlSource } from "./url_source.ts";

/** What `?…` of an SMTP URL says beside TLS and login; those left out keep the default of the transport. */
export interface SmtpParameters {
  /** The name to give in EHLO; the machine's own when undefined. */
  readonly ehloName?: string;
  /** Certificates to trust instead of the system's, as PEM text. */
  readonly trustedCertificates?: string;
  readonly clientCertificate?: ClientCertificateSettings;
  readonly minTls?: "TLSv1.2" | "TLSv1.3";
  /** The most connections at a time; RELAY_CONNECTIONS when undefined. */
  readonly connections?: number;
  /** The most connections that are busy with mail for one recipient domain. */
  readonly connectionsPerDomain?: number;
  /** How many mails may start in a time. */
  readonly rates?: readonly Limit[];
  readonly mailsPerConnection?: number;
  readonly connectionAgeMs?: number;
  /** False: large mails go out by DATA too. */
  readonly chunking?: false;
  /** Which delivery reports are asked for. */
  readonly dsn?: "none" | "all";
}

/** The parameters as they are written. */
export type WrittenParameters = ReadonlyMap<ParameterName, string>;

const REPORTS = { no: "none", success: "all" } as const;

/** Takes the parameters of a URL apart: each known, given once, and not empty. */
export function splitParameters(url: URL, source: UrlSource): WrittenParameters {
  const found = new Map<ParameterName, string>();
  for (const [given, value] of url.searchParams) {
    const name = PARAMETER_NAMES.find((known) => known === given);
    if (name === undefined) {
      throw refuse(source, `there is no parameter ${JSON.stringify(given)}`, `use ${PARAMETER_NAMES.join(", ")}`);
    }
    if (found.has(name)) throw refuse(source, `the parameter ${name} is given twice`, "keep one");
    if (value === "") throw refuse(source, `the parameter ${name} is empty`, "give it a value or remove it");
    found.set(name, value);
  }
  return found;
}

/** Reads all parameters but those of TLS mode and login. */
export function readParameters(
  written: WrittenParameters,
  options: { readonly source: UrlSource; readonly tls: string },
): SmtpParameters {
  const { source, tls } = options;
  for (const name of ["min-tls", "cert", "key"] as const) {
    if (tls !== "none" || !written.has(name)) continue;
    throw refuse(source, `with tls=none ${name} has no meaning`, `remove it, or use tls=required`);
  }
  const value = <Name extends ParameterName>(name: Name) => readParameter(name, { written, source });
  const name = written.get("name");
  const ca = written.get("ca");
  const tlsVersion = value("min-tls");
  const dsn = value("dsn");
  return withoutUndefined({
    ehloName: name === undefined ? undefined : checkEhloName(name, source),
    trustedCertificates: ca === undefined ? undefined : readCertificate(ca, { parameter: "ca", source }),
    clientCertificate: readClientCertificate(written, source),
    minTls: tlsVersion === undefined ? undefined : `TLSv${tlsVersion}` as const,
    connections: value("connections"),
    connectionsPerDomain: value("domain-connections"),
    rates: value("rate"),
    mailsPerConnection: value("mails-per-connection"),
    connectionAgeMs: value("connection-age"),
    chunking: value("chunking") === "no" ? false : undefined,
    dsn: dsn === undefined ? undefined : REPORTS[dsn],
  });
}

/** The parameters of a URL, and where it was found. */
export interface Written {
  readonly written: WrittenParameters;
  readonly source: UrlSource;
}

/** Reads one parameter as the table says. */
export function readParameter<Name extends ParameterName>(
  name: Name,
  { written, source }: Written,
): ParameterValue<Name> | undefined {
  const text = written.get(name);
  if (text === undefined) return undefined;
  // The kind of this very name.
  const kind = smtpParameters[name].kind as Kind<ParameterValue<Name>>;
  const value = kind.parse(text);
  if (!(value instanceof Wrong)) return value;
  throw refuse(source, `${name}=${text}: ${value.because}`, value.fix ?? `it must be ${kind.form}`);
}

function readClientCertificate(
  written: WrittenParameters,
  source: UrlSource,
): ClientCertificateSettings | undefined {
  const cert = written.get("cert");
  const key = written.get("key");
  if (cert === undefined && key === undefined) return undefined;
  if (cert === undefined || key === undefined) {
    const [given, missing] = cert === undefined ? ["key", "cert"] : ["cert", "key"];
    throw refuse(source, `it has ${given} and no ${missing}`, `add ?${missing}= with the path of a PEM file`);
  }
  return readCertificateFiles({ cert, key }, { ...source, names: { cert: "cert", key: "key" } });
}

function checkEhloName(name: string, source: UrlSource): string {
  // RFC 5321 section 4.1.1.1: a domain or an address literal.
  if (/^([A-Za-z0-9]([A-Za-z0-9.-]{0,253}[A-Za-z0-9])?|\[[0-9A-Za-z:.]{2,64}\])$/.test(name)) return name;
  throw refuse(source, "its name is no host name that EHLO could give", "write ?name=relay.example.com or remove it");
}

type Defined<T> = { readonly [Key in keyof T]?: Exclude<T[Key], undefined> };

/** Leaves out what was not said. */
function withoutUndefined<T extends object>(values: T): Defined<T> {
  // Each entry that is left is one of the type, without undefined.
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Defined<T>;
}
