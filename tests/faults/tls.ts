import { TEST_AUTHORITY } from "../scripted_server.ts";
import { selfSigned } from "../smtp/certificate.ts";
import { EHLO, type TransportFault } from "./fault.ts";

const NAMES = ["localhost", "127.0.0.1"];
const REQUIRED = { tls: "required" } as const;
const PLAIN_ONLY = [EHLO, "STARTTLS"];

/** STARTTLS, the handshake, the certificate, and the end of TLS. */
export const TLS_FAULTS: readonly TransportFault[] = [
  {
    id: "T01",
    name: "no STARTTLS where TLS is required",
    client: REQUIRED,
    expected: ["untried tls_required ehlo"],
    said: [[EHLO]],
  },
  {
    id: "T02",
    name: "454 to STARTTLS where TLS is required",
    server: () => ({ tls: "starttls", on: { starttls: () => "454 4.7.0 not now" } }),
    client: REQUIRED,
    expected: ["untried tls_required starttls 454"],
    said: [PLAIN_ONLY],
  },
  {
    id: "T02",
    name: "454 to STARTTLS where plain will do",
    server: () => ({ tls: "starttls", on: { starttls: () => "454 4.7.0 not now" } }),
    client: { tls: "opportunistic" },
    expected: ["sent final 250"],
  },
  {
    id: "T03",
    name: "220 to STARTTLS, and then plain text",
    server: (lab) => ({
      tls: "starttls",
      on: {
        starttls: async () => {
          lab.server.interject("220 2.0.0 go ahead\r\n");
          // The first record of TLS, a client hello (RFC 8446 section 5.1).
          await lab.server.whenSaid("STARTTLS\r\n\x16\x03");
          return { close: "250-scripted.example\r\n250 AUTH PLAIN" };
        },
      },
    }),
    client: REQUIRED,
    expected: [["untried tls_handshake starttls", "untried tls_injection starttls"]],
  },
  {
    id: "T04",
    name: "a reply injected behind the 220 in one segment",
    server: () => ({
      tls: "starttls",
      on: { starttls: () => ({ raw: "220 2.0.0 go ahead\r\n250-evil\r\n250 AUTH PLAIN\r\n" }) },
    }),
    client: REQUIRED,
    expected: ["untried tls_injection starttls"],
    said: [PLAIN_ONLY],
  },
  {
    id: "T05",
    name: "a reply injected in a segment after the 220",
    server: () => ({
      tls: "starttls",
      on: { starttls: () => ({ pieces: ["220 2.0.0 go ahead\r\n", "250-evil\r\n250 AUTH PLAIN\r\n"] }) },
    }),
    client: REQUIRED,
    expected: [["untried tls_handshake starttls", "untried tls_injection starttls"]],
  },
  {
    id: "T06",
    name: "a handshake that stalls",
    server: (lab) => ({
      tls: "starttls",
      on: {
        starttls: async () => {
          lab.server.interject("220 2.0.0 go ahead\r\n");
          await lab.server.whenSaid("STARTTLS\r\n\x16\x03");
          return lab.hang();
        },
      },
    }),
    client: REQUIRED,
    passes: true,
    expected: ["untried timeout starttls"],
  },
  {
    id: "T07",
    name: "a certificate that has expired",
    server: () => ({ tls: "starttls", certificate: TEST_AUTHORITY.issue(NAMES, { expired: true }) }),
    client: REQUIRED,
    expected: ["untried tls_verify starttls"],
  },
  {
    id: "T08",
    name: "a certificate for another name",
    server: () => ({ tls: "starttls", certificate: TEST_AUTHORITY.issue(["mx.other.example"]) }),
    client: REQUIRED,
    expected: ["untried tls_verify starttls"],
  },
  {
    id: "T09",
    name: "a self-signed certificate",
    server: () => ({ tls: "starttls", certificate: selfSigned(NAMES) }),
    client: REQUIRED,
    expected: ["untried tls_verify starttls"],
  },
  {
    id: "T10",
    name: "no version of TLS above 1.1",
    server: () => ({ tls: "starttls", tlsVersions: { minVersion: "TLSv1", maxVersion: "TLSv1.1" } }),
    client: REQUIRED,
    expected: ["untried tls_handshake starttls"],
  },
  {
    id: "T11",
    name: "dropped in the handshake",
    server: (lab) => ({
      tls: "starttls",
      on: {
        starttls: async () => {
          lab.server.interject("220 2.0.0 go ahead\r\n");
          await lab.server.whenSaid("STARTTLS\r\n\x16\x03");
          return { cut: true };
        },
      },
    }),
    client: REQUIRED,
    expected: [["untried closed starttls", "untried tls_handshake starttls"]],
  },
  {
    id: "T12",
    name: "no close_notify at QUIT",
    server: () => ({ tls: "starttls", on: { quit: () => ({ cut: true }) } }),
    client: REQUIRED,
    expected: ["sent final 250"],
  },
  {
    id: "T13",
    name: "EHLO refused once TLS is up",
    server: () => ({ tls: "starttls", on: { ehlo: (_, { isTls }) => isTls ? "550 5.7.1 not you" : undefined } }),
    client: REQUIRED,
    expected: ["untried greeting_refused ehlo 550"],
  },
  {
    id: "T13",
    name: "dropped at EHLO once TLS is up",
    server: () => ({ tls: "starttls", on: { ehlo: (_, { isTls }) => isTls ? { close: undefined } : undefined } }),
    client: REQUIRED,
    expected: ["untried closed ehlo"],
  },
  {
    id: "T14",
    name: "a second connection to a server that knows nothing of the first one's TLS session",
    server: () => ({ tls: "starttls" }),
    client: { ...REQUIRED, maxMailsPerConnection: 1 },
    mails: [["ann@corp.example"], ["bob@corp.example"]],
    expected: ["sent final 250", "sent final 250"],
  },
];
