import type { TroubleAdvice } from "./trouble_advice.ts";

// The codes of OpenSSL, as Node and Bun name them.
const NOT_TLS = ["ERR_SSL_WRONG_VERSION_NUMBER", "ERR_SSL_PACKET_LENGTH_TOO_LONG", "ERR_SSL_HTTP_REQUEST"];
const TOO_OLD = [
  "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION",
  "ERR_SSL_UNSUPPORTED_PROTOCOL",
  "ERR_SSL_UNSUPPORTED_PROTOCOL_VERSION",
];
const OTHER_NAME = ["ERR_TLS_CERT_ALTNAME_INVALID", "ERR_TLS_CERT_ALTNAME_FORMAT", "HOSTNAME_MISMATCH"];
const UNKNOWN_ISSUER = [
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  // An authority of the same name with another key.
  "CERT_SIGNATURE_FAILURE",
  "CERT_UNTRUSTED",
  "INVALID_CA",
];

/** What was wrong with our certificate. */
export const OUR_CERTIFICATE: readonly string[] = [
  "ERR_SSL_TLSV1_ALERT_UNKNOWN_CA",
  "ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE",
  "ERR_SSL_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
  "ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED",
  "ERR_SSL_SSLV3_ALERT_CERTIFICATE_REVOKED",
  "ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN",
];

/** The rows of TLS: a part of the table in `trouble_advice.ts`. */
export const TLS_ADVICE: Readonly<Record<string, readonly TroubleAdvice[]>> = {
  tls_verify: [
    {
      detail: ["CERT_HAS_EXPIRED"],
      problem: "The certificate of {host} has expired",
      fix: "renew it on the server (if it is new, the clock of this machine is wrong)",
    },
    {
      detail: ["CERT_NOT_YET_VALID"],
      problem: "The certificate of {host} is not valid yet",
      fix: "set the clock of this machine, or of the one that issued the certificate",
    },
    {
      detail: OTHER_NAME,
      problem: "The certificate that {host} shows is for other names",
      fix: "write a host name into SMTP_URL that the certificate is for, or get the server a certificate for {host}",
    },
    {
      detail: ["DEPTH_ZERO_SELF_SIGNED_CERT"],
      problem: "The certificate of {host} is self-signed",
      fix: "save that certificate as a PEM file and add ?ca=/path/of/it.pem to SMTP_URL",
    },
    {
      detail: UNKNOWN_ISSUER,
      problem: "The certificate of {host} was issued by an authority that this machine does not know",
      fix:
        "add ?ca=/path/of/the/authority.pem to SMTP_URL; a public server has to send its intermediate certificates too",
    },
    {
      problem: "The certificate of {host} cannot be trusted",
      fix: "replace it on the server, or name the authority that it comes from with ?ca=/path/of/the/authority.pem",
    },
  ],
  tls_handshake: [
    {
      detail: NOT_TLS,
      tls: ["implicit"],
      problem: "{host} port {port} does not begin with TLS",
      fix: "write smtp://{host}:{port} in SMTP_URL (STARTTLS), or smtps:// with port 465",
    },
    {
      detail: NOT_TLS,
      problem: "{host} went on in plain text after it had agreed to STARTTLS",
      fix: "mend TLS on the server; what stands between (a proxy, a mail filter) may be at fault",
    },
    {
      detail: TOO_OLD,
      problem: "{host} speaks no version of TLS that this route accepts",
      fix: "let the server speak TLS 1.2 or 1.3 (where min-tls=1.3 is set: 1.3, or take that out)",
    },
    {
      detail: OUR_CERTIFICATE,
      problem: "{host} does not accept our certificate",
      fix: "let the server trust the authority that has issued it, or renew it (?cert= in SMTP_URL)",
    },
    {
      problem: "No encryption could be agreed on with {host}",
      fix: "look into the log of the server: it shares no cipher with us, or wants a certificate from us",
    },
  ],
  tls_required: [
    {
      phase: "auth",
      problem: "The connection is not encrypted, so user and password are not sent",
      fix: "write ?tls=required in SMTP_URL, or smtps:// with port 465",
    },
    {
      phase: "starttls",
      problem: "{host} offers STARTTLS and then refuses it",
      fix: "mend TLS on the server (most often its certificate or key cannot be read)",
    },
    {
      hasCredentials: true,
      problem: "{host} port {port} does not offer STARTTLS, and a password goes out over TLS only",
      fix: "use the port for submission with TLS: smtps:// with port 465, or smtp:// with port 587",
    },
    {
      problem: "{host} port {port} does not offer STARTTLS, and this route requires it",
      fix: "use smtps:// with port 465, or, on a network that you trust, ?tls=opportunistic",
    },
  ],
  tls_injection: [{
    problem: "Somebody between us and {host} adds bytes to the dialogue before TLS begins",
    fix: "take out what inspects SMTP on the way (a firewall or proxy), or use smtps:// with port 465",
  }],
};
