// DESIGN: what of worker-mailer is used, most of it private there. It is pinned: another shape is refused before a byte
// is read or written, since what stands between it and the server (`guard.ts`) is built for this one.

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
  send(mail: PlaceholderMail): Promise<void>;
  close(): Promise<void>;
}

/**
 * What it believes that it sends. Nothing of a real mail goes through it, so nothing of one can be injected, logged or
 * changed by it.
 */
export interface PlaceholderMail {
  readonly from: string;
  readonly to: string;
  readonly subject: string;
  readonly text: string;
  /** It writes into these. */
  readonly headers: Record<string, string>;
}

/** The version that this is built for. */
export const UPSTREAM_VERSION = "1.2.1";

const FUNCTIONS = ["read", "readTimeout", "initializeSmtpSession", "start", "send", "close"] as const;
const OBJECTS = ["socket", "reader", "writer"] as const;

/** Takes it for what it is, if it is. @throws {Error} naming what is missing */
export function checkShape(upstream: unknown): Upstream {
  const found = (upstream ?? {}) as Readonly<Record<string, unknown>>;
  refuseWithout(OBJECTS.filter((name) => typeof found[name] !== "object" || found[name] === null));
  return upstream as Upstream; // just looked, and before it at its class
}

/**
 * Looks at the class alone, so that a wrong one is found before anything is claimed.
 * @throws {Error} naming what is missing
 */
export function checkClass({ prototype }: { readonly prototype: unknown }): void {
  const found = (prototype ?? {}) as Readonly<Record<string, unknown>>;
  refuseWithout(FUNCTIONS.filter((name) => typeof found[name] !== "function"));
}

function refuseWithout(missing: readonly string[]): void {
  if (missing.length === 0) return;
  throw new Error(
    `Cannot use this worker-mailer: it has no ${missing.join(", ")}; install worker-mailer@${UPSTREAM_VERSION}`,
  );
}
