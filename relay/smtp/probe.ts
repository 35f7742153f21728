import type { RouteTrouble } from "../delivery/transport.ts";
import { type Capabilities, parseCapabilities } from "./capability.ts";
import { openSocket, type TlsFacts } from "./connection.ts";
import { Link, type Rim } from "./link.ts";
import { linkSettings, type SmtpOptions } from "./smtp.ts";
import { RUNTIME_TIMERS } from "./timers.ts";

/** What a server shows before the first mail. */
export interface ProbeReport {
  /** Its first words; undefined when it had none. */
  readonly banner: string | undefined;
  /** What it offered without TLS; undefined with implicit TLS, and when it was not reached. */
  readonly offeredPlain: Capabilities | undefined;
  /** What it offered over TLS. */
  readonly offeredSecure: Capabilities | undefined;
  readonly tls: TlsFacts | undefined;
  /** The login was accepted. */
  readonly isLoggedIn: boolean;
  /** From the start to the last reply before QUIT. */
  readonly elapsedMs: number;
  /** Why no mail could be sent; undefined when one could. */
  readonly trouble: RouteTrouble | undefined;
}

/**
 * Speaks with a server as the relay does before its first mail, and says QUIT.
 *
 * @example
 * ```ts
 * const report = await probe({ host: "127.0.0.1", port: 1, tls: "none", ehloName: "relay.example" });
 * if (report.trouble?.code !== "connect_refused") throw new Error("unexpected: nothing listens there");
 * ```
 *
 * @throws {TypeError} when host, ehloName, auth or a certificate cannot be used
 */
export function probe(
  options: SmtpOptions,
  rim: Rim = { connector: openSocket, timers: RUNTIME_TIMERS },
): Promise<ProbeReport> {
  return run(linkSettings(options), rim);
}

/**
 * Looks at the certificate of a server that is not trusted: nothing is sent to it but EHLO and STARTTLS.
 *
 * @returns undefined when there is no TLS
 */
export async function probeCertificate(
  options: SmtpOptions,
  rim: Rim = { connector: openSocket, timers: RUNTIME_TIMERS },
): Promise<TlsFacts | undefined> {
  const { auth: _, ...withoutSecrets } = options;
  const { target, session } = linkSettings(withoutSecrets);
  return (await run({ target: { ...target, verify: false }, session }, rim)).tls;
}

function run(settings: ReturnType<typeof linkSettings>, rim: Rim): Promise<ProbeReport> {
  const { session, target } = settings;
  const startedMs = rim.timers.nowMs();
  return new Promise((resolve) => {
    let banner: string | undefined;
    let offeredPlain: Capabilities | undefined;
    let offeredSecure: Capabilities | undefined;
    let isSecure = target.isImplicitTls;
    let tls: TlsFacts | undefined;
    let elapsedMs = 0;
    let isReady = false;
    const link: Link = new Link(target, {
      ...session,
      onOpening: (verb, reply) => {
        elapsedMs = rim.timers.nowMs() - startedMs;
        if (verb === "GREETING") banner = `${reply.code} ${reply.text}`;
        if (verb === "STARTTLS" && reply.code === 220) isSecure = true;
        if (verb !== "EHLO" || reply.code >= 400) return;
        tls = link.tlsFacts;
        if (isSecure) offeredSecure = parseCapabilities(reply);
        else offeredPlain = parseCapabilities(reply);
      },
    }, {
      rim,
      events: {
        ready: () => {
          isReady = true;
          // Not from within the event that made it ready.
          queueMicrotask(() => link.quit());
        },
        delivered: () => undefined,
        roomy: () => undefined,
        closed: (_, trouble) =>
          resolve({
            banner,
            offeredPlain,
            offeredSecure,
            tls,
            isLoggedIn: isReady && session.auth !== undefined,
            elapsedMs,
            trouble: isReady ? undefined : trouble,
          }),
      },
    });
  });
}
