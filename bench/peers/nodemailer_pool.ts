import { createTransport } from "nodemailer";

/** A mail as nodemailer's users write it. */
export interface PlainMail {
  readonly from: string;
  readonly to: string;
  readonly subject: string;
  readonly text: string;
}

/** What nodemailer is set to; told in the report. */
export const NODEMAILER_SETTINGS = "pool: true, maxMessages: Infinity, no TLS, no log";

/** nodemailer's pool, with as many connections as the relay and no end to the mails on each. */
export interface NodemailerPool {
  send(mail: PlainMail): Promise<unknown>;
  close(): void;
}

/** Makes a pool that opens its connections when mails need them, as the relay's does. */
export function nodemailerPool(options: { readonly port: number; readonly connections: number }): NodemailerPool {
  const transport = createTransport({
    pool: true,
    host: "127.0.0.1",
    port: options.port,
    ignoreTLS: true,
    maxConnections: options.connections,
    maxMessages: Infinity,
  });
  return { send: (mail) => transport.sendMail(mail), close: () => transport.close() };
}
