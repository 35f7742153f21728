import { LogLevel, WorkerMailer } from "worker-mailer";
import { checkClass, checkShape, type PlaceholderMail, type Upstream } from "./upstream_shape.ts";

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

/** Looks whether the installed worker-mailer is one that can be used. @throws {Error} naming what it lacks */
export function checkUpstream(): void {
  checkClass(WorkerMailer);
}

/** A mail for `send`, with a headers object of its own: it writes into that. */
export function placeholderMail(): PlaceholderMail {
  return { from: "sender", to: "recipient", subject: "", text: ".", headers: {} };
}
