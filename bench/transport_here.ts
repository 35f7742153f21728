import type { Transport } from "../relay/delivery/transport.ts";
import { createSmtpTransport } from "../relay/smtp/smtp.ts";
import { compose } from "../src/mime/compose.ts";
import { uuidv7 } from "../src/uuid.ts";
import { FROM, SUBJECT, TEXT } from "./mail.ts";

const NEVER = new AbortController().signal;

/**
 * Our SMTP engine alone, as the relay sets it, but with no end to the mails on a connection: nodemailer's pool has none
 * here either.
 */
export function openTransport(options: { readonly port: number; readonly connections: number }): Transport {
  return createSmtpTransport({
    host: "127.0.0.1",
    tls: "none",
    ehloName: "bench.example.com",
    maxMailsPerConnection: 1_000_000,
    ...options,
  });
}

/** Composes one small mail and sends it. @throws {Error} when it is not sent */
export async function composeAndSend(transport: Transport, to: string): Promise<void> {
  const content = compose({
    id: uuidv7(Date.now(), crypto.randomUUID()),
    date: new Date(),
    from: FROM,
    to: [{ email: to }],
    cc: [],
    replyTo: [],
    subject: SUBJECT,
    text: TEXT,
    headers: [],
    attachments: [],
  });
  const envelope = { reversePath: FROM.email, recipients: [{ position: 0, email: to }] };
  const delivery = await transport.send(envelope, content, NEVER);
  if (delivery.kind !== "attempted" || delivery.outcomes[0]?.kind !== "sent") throw new Error("A mail was not sent");
}
