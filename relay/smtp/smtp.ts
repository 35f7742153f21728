import type { Envelope } from "../../src/envelope.ts";
import type { Delivery, Transport } from "../delivery/transport.ts";
import { adviceOnTrouble, type RouteFacts } from "./advice.ts";
import type { Credentials, PasswordMechanism } from "./auth.ts";
import type { DeliveryReports } from "./capability.ts";
import type { Mail } from "./command.ts";
import { checkCertificates, type ClientCertificate, openSocket, type Target } from "./connection.ts";
import { type Deadlines, DEFAULT_DEADLINES } from "./deadline.ts";
import { outcomeOf } from "./ending.ts";
import { limit } from "./limit.ts";
import type { Rim } from "./link.ts";
import { type OneEach, oneEach } from "./one_each.ts";
import type { TlsPolicy } from "./opening.ts";
import { deliverInParts } from "./parts.ts";
import { faultOfEnvelope } from "./path.ts";
import { Pool } from "./pool.ts";
import type { SessionSettings } from "./session.ts";
import { RUNTIME_TIMERS } from "./timers.ts";

/** One SMTP server and how to speak with it. */
export interface SmtpOptions {
  /** A name or an address. With TLS, the certificate must be valid for it. */
  readonly host: string;
  readonly port: number;
  /** `implicit`: TLS at once; `required`: STARTTLS or nothing; `opportunistic`: STARTTLS when offered; `none`. */
  readonly tls: TlsPolicy;
  /** What we call ourselves in EHLO: a host name or an address literal such as `[192.0.2.1]`. */
  readonly ehloName: string;
  /** A password, or a function that gives the OAuth 2.0 access token of the moment (XOAUTH2). */
  readonly auth?: Credentials | undefined;
  /** Insists on one way to show the password. @default {the first of PLAIN and LOGIN that the server offers} */
  readonly authMechanism?: PasswordMechanism | undefined;
  /** Lets the credentials go over a connection without TLS. @default {false} */
  readonly allowPlaintextAuth?: boolean | undefined;
  /** The most connections at a time. @default {4} */
  readonly connections?: number | undefined;
  /** Certificates in PEM to trust instead of the well-known authorities. */
  readonly ca?: string | undefined;
  /** Proves to the server who we are. */
  readonly clientCertificate?: ClientCertificate | undefined;
  /** The most connections that are busy with mail for one recipient domain. @default {no limit} */
  readonly connectionsPerDomain?: number | undefined;
  /** Recipients that one transaction may have; a mail to more goes out in several. @default {100} */
  readonly recipientsPerTransaction?: number | undefined;
  /** Sends large mails by BDAT where the server offers CHUNKING. @default {true} */
  readonly chunking?: boolean | undefined;
  /**
   * The delivery reports to ask for where the server offers DSN: `failures` are delays too, `all` has what was
   * delivered as well.
   * @default {"failures"}
   */
  readonly dsn?: DeliveryReports | undefined;
  /** @default {"TLSv1.2"} */
  readonly minTls?: "TLSv1.2" | "TLSv1.3" | undefined;
  /** The longest waits; those left out keep their default. */
  readonly timeouts?: Partial<Deadlines> | undefined;
  /** Mails after which a connection is replaced. @default {500} */
  readonly maxMailsPerConnection?: number | undefined;
  /** @default {300_000} */
  readonly maxConnectionAgeMs?: number | undefined;
  /** Sees the dialogue for debugging: no secrets of AUTH and no content, but addresses. */
  readonly onDialogue?: ((line: string) => void) | undefined;
}

/**
 * Makes a transport to one SMTP server: a pool of connections that are opened when mails need them.
 *
 * @example
 * ```ts
 * const transport = createSmtpTransport({ host: "127.0.0.1", port: 1, tls: "none", ehloName: "relay.example" });
 * const envelope = { reversePath: "app@shop.example", recipients: [{ position: 0, email: "ann@corp.example" }] };
 * const content = new TextEncoder().encode("Subject: hello\r\n\r\nHello\r\n");
 * const delivery = await transport.send(envelope, content, AbortSignal.timeout(60_000));
 * await transport.close();
 * // Nothing listens there: no attempt was made.
 * if (delivery.kind !== "unavailable" || delivery.trouble.code !== "connect_refused") throw new Error("unexpected");
 * ```
 *
 * @param rim sockets and time; the runtime's by default
 * @throws {RangeError} when a number is out of its range
 * @throws {TypeError} when host, ehloName, auth or a certificate cannot be used
 */
export function createSmtpTransport(
  options: SmtpOptions,
  rim: Rim = { connector: openSocket, timers: RUNTIME_TIMERS },
): Transport {
  const pool = new Pool({
    ...linkSettings(options),
    rim,
    connections: limit("connections", options.connections, { fallback: 4, max: 1_000 }),
    connectionsPerDomain: options.connectionsPerDomain === undefined
      ? Infinity
      : limit("connectionsPerDomain", options.connectionsPerDomain, { fallback: 1, max: 1_000 }),
    maxMailsPerConnection: limit("maxMailsPerConnection", options.maxMailsPerConnection, {
      fallback: 500,
      max: 1_000_000,
    }),
    maxConnectionAgeMs: limit("maxConnectionAgeMs", options.maxConnectionAgeMs, { fallback: 300_000, max: DAY_MS }),
  });

  // RFC 5321 section 4.5.3.1.8: as many as every server has to take.
  const most = limit("recipientsPerTransaction", options.recipientsPerTransaction, { fallback: 100, max: 10_000 });

  return {
    send(envelope, content, signal, witness) {
      const fault = faultOfEnvelope(envelope);
      if (fault !== undefined) return Promise.resolve(refused(envelope, fault));
      // What is begun goes on to its end: to the others a part that is called back would be a failed attempt.
      const deliver = (mail: Mail, isBegun: boolean) => pool.deliver(mail, isBegun ? NEVER : signal);
      const each = oneEach(envelope, witness);
      return deliverInParts({ content, ...(each ?? { envelope, witness }) }, { most, deliver })
        .then((delivery) => withFix(spread(delivery, each), options));
    },
    openConnections: () => pool.size,
    close: () => pool.close(),
    abort: () => pool.abort(),
  };
}

/** Calls nothing back. */
const NEVER = new AbortController().signal;

const DAY_MS = 86_400_000;

/** Checks the options of one connection and says where it goes and what is spoken on it. */
export function linkSettings(options: SmtpOptions): { readonly target: Target; readonly session: SessionSettings } {
  const { tls, auth, ca } = options;
  checkHost(options.host);
  checkEhloName(options.ehloName);
  if (auth !== undefined) checkCredentials(auth);
  checkCertificates(options);
  return {
    target: {
      host: options.host,
      port: limit("port", options.port, { fallback: 0, max: 65_535 }),
      isImplicitTls: tls === "implicit",
      // RFC 7435: TLS that nobody asked for beats none, whoever is at the other end; a password is not for whoever.
      verify: tls !== "opportunistic" || auth !== undefined,
      ca,
      minTls: options.minTls ?? "TLSv1.2",
      clientCertificate: options.clientCertificate,
    },
    session: {
      tls,
      ehloName: options.ehloName,
      auth,
      authMechanism: options.authMechanism,
      chunking: options.chunking ?? true,
      dsn: options.dsn ?? "failures",
      allowPlaintextAuth: options.allowPlaintextAuth ?? false,
      deadlines: checkedDeadlines(options.timeouts ?? {}),
      onDialogue: options.onDialogue,
    },
  };
}

function spread(delivery: Delivery, each: OneEach | undefined): Delivery {
  if (each === undefined || delivery.kind !== "attempted") return delivery;
  return { kind: "attempted", outcomes: each.spread(delivery.outcomes) };
}

/** The log of a route that is out says what to change. */
function withFix(delivery: Delivery, options: SmtpOptions): Delivery {
  if (delivery.kind === "attempted") return delivery;
  const { trouble } = delivery;
  return { kind: "unavailable", trouble: { ...trouble, fix: adviceOnTrouble(trouble, routeFacts(options)).fix } };
}

/** What an advice has to know of a route. */
export function routeFacts({ host, port, tls, auth, clientCertificate }: SmtpOptions): RouteFacts {
  const hasToken = auth !== undefined && "accessToken" in auth;
  return {
    host,
    port,
    tls,
    hasCredentials: auth !== undefined,
    hasToken,
    hasCertificate: clientCertificate !== undefined,
  };
}

/** Refused here: nothing was written, and no server can make it right. */
function refused(envelope: Envelope, reason: string): Delivery {
  const outcomes = envelope.recipients.map(({ position }) =>
    outcomeOf(position, { kind: "bounced", phase: "mail", blame: "message" }, { reason })
  );
  return { kind: "attempted", outcomes };
}

function checkedDeadlines(given: Partial<Deadlines>): Deadlines {
  const checked: Record<string, number> = {};
  for (const [name, fallback] of Object.entries(DEFAULT_DEADLINES)) {
    checked[name] = limit(`timeouts.${name}`, given[name as keyof Deadlines], { fallback, max: DAY_MS });
  }
  for (const name of Object.keys(given)) {
    if (!(name in DEFAULT_DEADLINES)) {
      throw new TypeError(`Cannot use timeouts.${name}: it is none of ${Object.keys(DEFAULT_DEADLINES).join(", ")}`);
    }
  }
  return { ...DEFAULT_DEADLINES, ...checked };
}

function checkHost(host: string): void {
  if (!/^[\w.:%-]+$/.test(host)) {
    throw new TypeError(
      `Cannot use host = ${JSON.stringify(host)}: give a host name or an IP address, without brackets`,
    );
  }
}

/** The name becomes part of a command (GHSA-vvjj-xcjg-gr5g). */
function checkEhloName(name: string): void {
  if (!/^(?:[\w.-]{1,255}|\[[\w.:]{1,64}\])$/.test(name)) {
    throw new TypeError(
      `Cannot use ehloName = ${JSON.stringify(name)}: give a host name or an address literal such as [192.0.2.1]`,
    );
  }
}

/** NUL ends a field of AUTH PLAIN (RFC 4616 section 2). The values themselves are never shown. */
function checkCredentials(credentials: Credentials): void {
  for (const [name, value] of Object.entries(credentials)) {
    if (typeof value !== "string") continue;
    if (value === "") throw new TypeError(`Cannot use auth.${name}: it is empty; leave auth out to send without AUTH`);
    if (value.includes("\0")) throw new TypeError(`Cannot use auth.${name}: it contains a NUL character`);
  }
}
