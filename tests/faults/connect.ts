import type { LookupFunction } from "node:net";
import type { TransportFault, Way } from "./fault.ts";

/** Before the first byte of SMTP: names, addresses, TCP and greetings. */
export const CONNECT_FAULTS: readonly TransportFault[] = [
  { id: "C01", name: "refused", way: "refused", expected: ["untried connect_refused connect"] },
  {
    id: "C02",
    name: "SYN into a black hole",
    way: "black hole",
    passes: true,
    expected: ["untried connect_timeout connect"],
  },
  {
    id: "C03",
    name: "accepted, then closed",
    server: () => ({ on: { connect: () => ({ close: undefined }) } }),
    expected: ["untried closed greeting"],
    said: [[]],
  },
  {
    id: "C04",
    name: "RST at accept",
    server: () => ({ on: { connect: () => ({ reset: true }) } }),
    // The RST may be there before our system has told us that the connection stands.
    expected: [["untried closed greeting", "untried closed connect"]],
    said: [[]],
  },
  {
    id: "C05",
    name: "no greeting, ever",
    server: (lab) => ({ on: { connect: () => lab.hang() } }),
    passes: true,
    expected: ["untried timeout greeting"],
    said: [[]],
  },
  {
    id: "C06",
    name: "a greeting of one byte a second",
    server: (lab) => ({
      on: {
        connect: async () => {
          for (;;) {
            lab.server.interject("2");
            await lab.wait(1_000);
            if (lab.server.openCount === 0) return lab.hang();
          }
        },
      },
    }),
    passes: true,
    expected: ["untried timeout greeting"],
    said: [[]],
  },
  {
    id: "C07",
    name: "421 as greeting",
    server: () => ({ on: { connect: () => ({ close: "421 4.3.2 closing" }) } }),
    expected: ["untried shutting_down greeting 421"],
    said: [[]],
  },
  {
    id: "C08",
    name: "554 as greeting",
    server: () => ({ on: { connect: () => "554 5.7.1 no SMTP here" } }),
    expected: ["untried greeting_refused greeting 554"],
    said: [[]],
  },
  {
    id: "C09",
    name: "a greeting of many lines",
    server: () => ({ on: { connect: () => ({ raw: `${"220-welcome\r\n".repeat(40)}220 scripted.example\r\n` }) } }),
    expected: ["sent final 250"],
  },
  {
    id: "C10",
    name: "HTTP as greeting",
    server: () => ({
      on: { connect: () => ({ raw: "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" }) },
    }),
    expected: ["untried protocol greeting"],
    said: [[]],
  },
  {
    id: "C10",
    name: "binary junk as greeting",
    server: () => ({ on: { connect: () => ({ raw: "\x00\xff\xfe\x01220 \x00\r\n\x00\n" }) } }),
    expected: ["untried protocol greeting"],
    said: [[]],
  },
  {
    id: "C11",
    name: "the first address is dead, the second alive",
    way: named((_, done) => done(null, [{ address: "127.0.0.2", family: 4 }, { address: "127.0.0.1", family: 4 }])),
    expected: ["sent final 250"],
  },
  {
    id: "C12",
    name: "IPv6 is dead, IPv4 alive",
    way: named((_, done) => done(null, [{ address: "::1", family: 6 }, { address: "127.0.0.1", family: 4 }])),
    expected: ["sent final 250"],
  },
  {
    id: "C13",
    name: "no such name (NXDOMAIN)",
    way: named((host, done) => done(dnsError("ENOTFOUND", host), [])),
    expected: ["untried dns connect"],
  },
  {
    id: "C14",
    name: "the name server fails (SERVFAIL)",
    way: named((host, done) => done(dnsError("EAI_AGAIN", host), [])),
    expected: ["untried dns connect"],
  },
  {
    id: "C14",
    name: "the name server never answers",
    way: named(() => undefined),
    passes: true,
    expected: ["untried connect_timeout connect"],
  },
  {
    id: "C15",
    name: "a TLS alert instead of a greeting",
    // RFC 8446 section 6: fatal, unexpected_message.
    server: () => ({ on: { connect: () => ({ close: "\x15\x03\x01\x00\x02\x02\x0a" }) } }),
    expected: ["untried protocol greeting"],
    said: [[]],
  },
  {
    id: "C15",
    name: "a server that waits for TLS on a port taken for plain",
    server: (lab) => ({ tls: "implicit", on: { connect: () => lab.hang() } }),
    passes: true,
    expected: ["untried timeout greeting"],
    said: [[]],
  },
  {
    id: "C15",
    name: "plain SMTP on a port taken for TLS",
    client: { tls: "implicit" },
    expected: ["untried tls_handshake connect"],
  },
];

type Done = (error: NodeJS.ErrnoException | null, addresses: readonly { address: string; family: number }[]) => void;

function named(look: (host: string, done: Done) => void): Way {
  const lookup: LookupFunction = (host, options, done) =>
    look(host, (error, addresses) => {
      const [first] = addresses;
      if (error !== null || options.all === true) done(error, [...addresses]);
      else done(null, first?.address ?? "", first?.family);
    });
  return { host: "mx.corp.example", lookup };
}

function dnsError(code: string, host: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`getaddrinfo ${code} ${host}`), { code, syscall: "getaddrinfo", hostname: host });
}
