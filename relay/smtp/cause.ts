/** Why a connection could not be made or has ended, as the socket tells it. The codes are those of `RouteTrouble`. */
export interface Cause {
  readonly code: string;
  readonly reason: string;
  /** The code of the socket's error, such as `CERT_HAS_EXPIRED`; undefined when it has none. */
  readonly detail?: string;
}

// What OpenSSL (X509_V_ERR_*, as Node and Bun name them) and the host name check say about a certificate.
const UNTRUSTED: ReadonlySet<string> = new Set([
  "ERR_TLS_CERT_ALTNAME_INVALID",
  "ERR_TLS_CERT_ALTNAME_FORMAT",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "UNABLE_TO_DECRYPT_CERT_SIGNATURE",
  "UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY",
  "CERT_SIGNATURE_FAILURE",
  "CERT_NOT_YET_VALID",
  "CERT_HAS_EXPIRED",
  "CERT_CHAIN_TOO_LONG",
  "CERT_REVOKED",
  "CERT_REJECTED",
  "CERT_UNTRUSTED",
  "INVALID_CA",
  "INVALID_PURPOSE",
  "PATH_LENGTH_EXCEEDED",
  "HOSTNAME_MISMATCH",
  "UNSPECIFIED",
]);

const CAUSES: ReadonlyMap<string, Cause> = new Map([
  ["ECONNREFUSED", { code: "connect_refused", reason: "Nothing listens at this host and port" }],
  ["EHOSTUNREACH", { code: "connect_refused", reason: "There is no way to this host" }],
  ["ENETUNREACH", { code: "connect_refused", reason: "There is no way to the network of this host" }],
  ["EHOSTDOWN", { code: "connect_refused", reason: "The host is down" }],
  ["EACCES", { code: "connect_refused", reason: "The system does not allow connections to this host and port" }],
  ["EPERM", { code: "connect_refused", reason: "The system does not allow connections to this host and port" }],
  ["ETIMEDOUT", { code: "connect_timeout", reason: "The host did not answer in time" }],
  ["ENOTFOUND", { code: "dns", reason: "No such host name is known" }],
  ["EAI_AGAIN", { code: "dns", reason: "The name server did not answer" }],
  ["ENODATA", { code: "dns", reason: "The host name has no address" }],
  ["ESERVFAIL", { code: "dns", reason: "The name server failed" }],
  ["ETIMEOUT", { code: "dns", reason: "The name server did not answer in time" }],
  ["ECONNRESET", { code: "closed", reason: "The server reset the connection" }],
  ["EPIPE", { code: "closed", reason: "The server closed the connection" }],
]);

/** Finds the cause by the code of a socket's error, never by its words. */
export function causeOf(error: Error, options: { readonly isHandshake: boolean }): Cause {
  const code = "code" in error ? String(error.code) : "";
  const detail = code === "" ? {} : { detail: code };
  if (UNTRUSTED.has(code)) {
    return { code: "tls_verify", reason: `The certificate of the server is not valid: ${code}`, ...detail };
  }
  const known = CAUSES.get(code);
  if (known !== undefined) return { ...known, ...detail };
  if (options.isHandshake) {
    return { code: "tls_handshake", reason: `TLS could not be agreed on: ${code || "no code"}`, ...detail };
  }
  return { code: "closed", reason: `The connection failed: ${code || "no code"}`, ...detail };
}
