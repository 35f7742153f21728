import { LogLevel, WorkerMailer } from "worker-mailer";

// DESIGN: the one file that knows worker-mailer, and what of it is private. It is pinned: another version, or another shape, is refused
// before a connection is made, since what stands between it and the server (`guard.ts`) is built for this one.

/** A socket of Cloudflare Workers (`cloudflare:sockets`), as far as it is used here. */
export interface WorkerSocket {
  readonly opened: Promise<unknown>;
  readonly readable: { getReader(): SocketReader };
  readonly writable: { getWriter(): SocketWriter };
  startTls(): WorkerSocket;
  close(): Promise<void>;
}

export interface SocketReader {
  read(): Promise<{ readonly done: boolean; readonly value?: Uint8Array | undefined }>;
  releaseLock(): void;
}

export interface SocketWriter {
  write(bytes: Uint8Array): Promise<void>;
  releaseLock(): void;
}

/** What of a `WorkerMailer` is used. All but `send` and `close` is private there. */
export interface Upstream {
  socket: WorkerSocket;
  reader: SocketReader;
  writer: SocketWriter;
  read(): Promise<string>;
  readTimeout(): Promise<string>;
  initializeSmtpSession(): Promise<void>;
  start(): Promise<void>;
  send(mail: typeof PLACEHOLDER_MAIL & { readonly headers: Record<string, string> }): Promise<void>;
  close(): Promise<void>;
}

/** The version that this is built for. */
export const UPSTREAM_VERSION = "1.2.1";

/** What it believes that it sends. Nothing of a real mail goes through it, so nothing of one can be injected, logged or changed by it. */
const PLACEHOLDER_MAIL = { from: "sender", to: "recipient", subject: "", text: "." } as const;

/** How the content of that ends, after which it waits for the final reply. */
export const PLACEHOLDER_END = "\r\n.\r\n";

const FUNCTIONS = ["read", "readTimeout", "initializeSmtpSession", "start", "send", "close"] as const;
const OBJECTS = ["socket", "reader", "writer"] as const;

/** Where to connect. */
export interface UpstreamTarget {
  readonly host: string;
  readonly port: number;
  readonly tls: "implicit" | "starttls" | "off";
}

/**
 * Begins a connection. Nothing is read or written before `initializeSmtpSession`.
 *
 * @throws {Error} when the installed worker-mailer has another shape
 */
export function openUpstream({ host, port, tls }: UpstreamTarget): Upstream {
  const upstream: unknown = Reflect.construct(WorkerMailer, [{
    ...{ host, port, secure: tls === "implicit", startTls: tls === "starttls" },
    // The guard says the real ones: these may stand in any log, and fit into Latin-1.
    credentials: { username: "user", password: "password" },
    authType: ["plain"],
    logLevel: LogLevel.NONE,
    // Of its timers only this one is left, which is never stopped: it waits for a connection that stands already.
    socketTimeoutMs: 1,
  }]);
  return checkShape(upstream);
}

/** A mail for `send`, with a headers object of its own: it writes into that. */
export function placeholderMail(): Parameters<Upstream["send"]>[0] {
  return { ...PLACEHOLDER_MAIL, headers: {} };
}

/** @throws {Error} naming what is missing */
export function checkShape(upstream: unknown): Upstream {
  const found = (upstream ?? {}) as Readonly<Record<string, unknown>>;
  const missing = [
    ...FUNCTIONS.filter((name) => typeof found[name] !== "function"),
    ...OBJECTS.filter((name) => typeof found[name] !== "object" || found[name] === null),
  ];
  if (missing.length === 0) return upstream as Upstream; // just looked
  throw new Error(
    `Cannot use this worker-mailer: it has no ${missing.join(", ")}; install worker-mailer@${UPSTREAM_VERSION}`,
  );
}
