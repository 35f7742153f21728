import { type ClientCertificateSettings, readCertificateFiles } from "./certificate_files.ts";
import type { Secret } from "./secret.ts";
import { SettingsError } from "./settings_error.ts";
import type { SmtpSettings, TlsMode } from "./smtp_url.ts";
import type { Values } from "./table.ts";

/** The variables that choose Django's style. */
export const DJANGO_NAMES: readonly string[] = [
  "EMAIL_HOST",
  "EMAIL_PORT",
  "EMAIL_HOST_USER",
  "EMAIL_HOST_PASSWORD",
  "EMAIL_USE_TLS",
  "EMAIL_USE_SSL",
  "EMAIL_TIMEOUT",
  "EMAIL_SSL_CERTFILE",
  "EMAIL_SSL_KEYFILE",
];

/**
 * Reads Django's variables with Django's meaning: `USE_TLS` is STARTTLS, `USE_SSL` is implicit TLS, neither is no TLS
 * at all, the host is `localhost` and the port 25 unless said.
 *
 * Where Django would hang or would send a password in the clear, the start is refused.
 */
export function readDjangoEmail(values: Values, readFile: (path: string) => string): SmtpSettings {
  const startTls = isTrue(values.emailUseTls);
  const ssl = isTrue(values.emailUseSsl);
  if (startTls && ssl) {
    throw new SettingsError(
      "EMAIL_USE_TLS",
      "Cannot use both EMAIL_USE_TLS and EMAIL_USE_SSL: the first is STARTTLS, the second is TLS from the first byte; " +
        "set EMAIL_USE_TLS for port 587 or EMAIL_USE_SSL for port 465",
    );
  }
  const tls: TlsMode = ssl ? "implicit" : startTls ? "required" : "none";
  const port = values.emailPort ?? 25;
  checkPort(port, tls);
  const credentials = readCredentials(values);
  if (credentials !== undefined && tls === "none") {
    throw new SettingsError(
      "EMAIL_USE_TLS",
      "Cannot use EMAIL_HOST_PASSWORD without TLS: the password would cross the wire unencrypted; set EMAIL_USE_TLS=true " +
        "or EMAIL_USE_SSL=true, or use SMTP_URL with ?tls=none&insecure-auth=yes",
    );
  }
  const clientCertificate = readClientCertificate(values, { tls, readFile });
  return {
    host: values.emailHost ?? "localhost",
    port,
    tls,
    ...(credentials === undefined ? {} : { credentials }),
    ...(clientCertificate === undefined ? {} : { clientCertificate }),
    allowsInsecureAuth: false,
    ...(values.emailTimeout === undefined ? {} : { timeoutMs: values.emailTimeout * 1_000 }),
  };
}

function checkPort(port: number, tls: TlsMode): void {
  if (tls === "implicit" && (port === 25 || port === 587)) {
    throw new SettingsError(
      "EMAIL_PORT",
      `Cannot use EMAIL_USE_SSL with port ${port}: nobody serves TLS from the first byte there; ` +
        "set EMAIL_PORT=465, or EMAIL_USE_TLS=true in place of EMAIL_USE_SSL",
    );
  }
  if (tls !== "implicit" && port === 465) {
    throw new SettingsError(
      "EMAIL_PORT",
      "Cannot use EMAIL_PORT=465 without EMAIL_USE_SSL: that port is TLS from the first byte; set EMAIL_USE_SSL=true" +
        (tls === "required" ? " in place of EMAIL_USE_TLS" : ""),
    );
  }
}

function readCredentials(values: Values): { readonly user: string; readonly password: Secret } | undefined {
  const user = values.emailUser ?? "";
  const password = values.emailPassword;
  const hasPassword = password !== undefined && password.reveal() !== "";
  if (user === "" && !hasPassword) return undefined;
  // Django would silently not log in; a relay that is refused later for that is hard to understand.
  if (user === "" || !hasPassword) {
    const [given, missing] = hasPassword
      ? ["EMAIL_HOST_PASSWORD", "EMAIL_HOST_USER"]
      : ["EMAIL_HOST_USER", "EMAIL_HOST_PASSWORD"];
    throw new SettingsError(missing, `Cannot use ${given} alone: ${missing} is missing; set both or neither`);
  }
  return { user, password };
}

function readClientCertificate(
  values: Values,
  options: { readonly tls: TlsMode; readonly readFile: (path: string) => string },
): ClientCertificateSettings | undefined {
  const { emailCertificate: cert, emailKey } = values;
  if (cert === undefined) {
    if (emailKey === undefined) return undefined;
    throw new SettingsError(
      "EMAIL_SSL_CERTFILE",
      "Cannot use EMAIL_SSL_KEYFILE alone: EMAIL_SSL_CERTFILE is missing; set both or neither",
    );
  }
  if (options.tls === "none") {
    throw new SettingsError(
      "EMAIL_SSL_CERTFILE",
      "Cannot use EMAIL_SSL_CERTFILE without TLS: nobody would see the certificate; set EMAIL_USE_TLS=true or EMAIL_USE_SSL=true",
    );
  }
  // As in Python's ssl, on which Django relies: one file may hold both.
  const names = {
    cert: "EMAIL_SSL_CERTFILE",
    key: emailKey === undefined ? "EMAIL_SSL_CERTFILE" : "EMAIL_SSL_KEYFILE",
  };
  const source = { variable: names.key, readFile: options.readFile, names };
  return readCertificateFiles({ cert, key: emailKey ?? cert }, source);
}

function isTrue(word: string | undefined): boolean {
  return word === "true" || word === "True" || word === "1";
}
