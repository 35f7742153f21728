import { readNamedFile } from "./environment.ts";
import { Secret } from "./secret.ts";
import { refuse, type UrlSource } from "./url_source.ts";

/** Who we are, for a server that asks for a certificate; both as PEM text. */
export interface ClientCertificateSettings {
  readonly cert: string;
  readonly key: Secret;
}

/**
 * Reads a client certificate from its file, and the key from the other; without the other, both stand in the first (as
 * in Django).
 */
export function readCertificateFiles(
  paths: { readonly cert: string; readonly key: string },
  source: UrlSource & { readonly names: { readonly cert: string; readonly key: string } },
): ClientCertificateSettings {
  const cert = readCertificate(paths.cert, { parameter: source.names.cert, source });
  const key = readNamedFile(paths.key, { fileName: source.variable, readFile: source.readFile });
  const shown = `the file ${JSON.stringify(paths.key)} that ${source.names.key} names`;
  if (!/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(key)) {
    throw refuse(source, `${shown} holds no PEM private key`, "name a PEM file");
  }
  if (/-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m.test(key)) {
    throw refuse(
      source,
      `${shown} is encrypted, and nobody is there to be asked`,
      "write it with openssl pkey -in … -out …",
    );
  }
  return { cert, key: new Secret(key) };
}

/** Reads a PEM file that a parameter names. */
export function readCertificate(
  path: string,
  { parameter, source }: { readonly parameter: string; readonly source: UrlSource },
): string {
  const pem = readNamedFile(path, { fileName: source.variable, readFile: source.readFile });
  if (pem.includes("-----BEGIN CERTIFICATE-----")) return pem;
  throw refuse(
    source,
    `the file ${JSON.stringify(path)} that ${parameter} names holds no PEM certificate`,
    "name a PEM file",
  );
}
