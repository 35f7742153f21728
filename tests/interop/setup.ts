import type { Delivery, MailContent, Transport } from "../../relay/delivery/transport.ts";
import { createSmtpTransport, type SmtpOptions } from "../../relay/smtp/smtp.ts";
import type { Mail } from "../../src/mime/compose.ts";
import { MAIL } from "../mime/mail.ts";
import { type Box, CREDENTIALS, DOMAIN, type Entrance, HOST, type MailServer } from "./mail_server.ts";

/** A transport to one entrance of a server, with what it said and heard. */
export interface Way extends AsyncDisposable {
  readonly transport: Transport;
  readonly dialogue: readonly string[];
  /** Sends one mail to these recipients, as the relay would. */
  send(content: MailContent, ...emails: readonly string[]): Promise<Delivery>;
}

const NEVER: AbortSignal = new AbortController().signal;

/** The usual options for an entrance; TLS is verified and required wherever there is any. */
export function openWay(server: MailServer, entrance: Entrance, options: Partial<SmtpOptions> = {}): Way {
  const dialogue: string[] = [];
  const transport = createSmtpTransport({
    host: HOST,
    port: server.port(entrance) ?? 0,
    tls: entrance === "plain" ? "none" : entrance === "implicit" ? "implicit" : "required",
    ehloName: "relay.example",
    connections: 1,
    ca: server.ca,
    auth: entrance === "plain" ? undefined : CREDENTIALS,
    onDialogue: (line) => dialogue.push(line),
    ...options,
  });
  return {
    transport,
    dialogue,
    send: (content, ...emails) => {
      const recipients = emails.map((email, position) => ({ position, email }));
      return transport.send({ reversePath: "app@shop.example", recipients }, content, NEVER);
    },
    [Symbol.asyncDispose]: () => transport.close(),
  };
}

export function addressOf(box: Box): string {
  return `${box}@${DOMAIN}`;
}

/** A mail with a number of its own, which its Message-ID shows. */
export function numberedMail(number: number, fields: Partial<Mail> = {}): Mail {
  return { ...MAIL, id: `0190d5a0-0000-7000-8000-${number.toString(16).padStart(12, "0")}`, ...fields };
}

/** What stands behind the header: the part that no server may touch, with LF as a mailbox has it. */
export function bodyOf(mail: Uint8Array): string {
  const text = new TextDecoder("latin1").decode(mail).replaceAll("\r\n", "\n");
  return text.slice(text.indexOf("\n\n") + 2);
}

/** The header, unfolded, as `name: value` lines. */
export function headersOf(mail: Uint8Array): readonly string[] {
  const text = new TextDecoder("latin1").decode(mail).replaceAll("\r\n", "\n");
  return text.slice(0, text.indexOf("\n\n")).replaceAll(/\n(?=[ \t])/g, "").split("\n");
}
