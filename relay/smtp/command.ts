import type { Envelope, EnvelopeRecipient } from "../../src/envelope.ts";
import type { MailContent, Witness } from "../delivery/transport.ts";
import type { Capabilities } from "./capability.ts";
import { needsSmtpUtf8 as contentNeedsSmtpUtf8, sizeOf } from "./content.ts";
import { needsSmtpUtf8 } from "./path.ts";
import { originalRecipient, xtext } from "./xtext.ts";

/** One mail for one transaction: the content in wire format, without dot-stuffing. */
export interface Mail {
  readonly envelope: Envelope;
  readonly content: MailContent;
  readonly witness?: Witness | undefined;
}

/** RFC 3461 sections 4.4 and 4.2: longer ones are refused by servers that count. */
const MAX_ENVID_CHARACTERS = 100;
const MAX_ORCPT_CHARACTERS = 500;

/** RFC 3461 section 4.1. */
const NOTIFY = { failures: " NOTIFY=FAILURE,DELAY", all: " NOTIFY=SUCCESS,FAILURE,DELAY" } as const;

/**
 * Writes MAIL with the parameters that the server understands (RFC 5321 section 4.1.1.11).
 *
 * @example
 * ```ts
 * import { NO_CAPABILITIES } from "./capability.ts";
 *
 * const mail = { envelope: { reversePath: "", recipients: [] }, content: new Uint8Array(12) };
 * if (mailCommand(mail, NO_CAPABILITIES) !== "MAIL FROM:<>") throw new Error("unexpected");
 * ```
 */
export function mailCommand(mail: Mail, capabilities: Capabilities): string {
  const { reversePath, recipients, id } = mail.envelope;
  let command = `MAIL FROM:<${reversePath}>`;
  // RFC 1870 section 3: counted before dot-stuffing. The server refuses what is too large before it is sent.
  if (capabilities.size) command += ` SIZE=${sizeOf(mail.content)}`;
  if (capabilities.dsn !== "none") {
    // A bounce that carries the header alone still names the message, and spares others the content.
    command += " RET=HDRS";
    const envelopeId = id === undefined ? "" : xtext(id);
    if (envelopeId !== "" && envelopeId.length <= MAX_ENVID_CHARACTERS) command += ` ENVID=${envelopeId}`;
  }
  const isUtf8 = capabilities.smtpUtf8 && (needsSmtpUtf8(reversePath) ||
    recipients.some(({ email }) => needsSmtpUtf8(email)) || contentNeedsSmtpUtf8(mail.content));
  return isUtf8 ? `${command} SMTPUTF8` : command;
}

/** Writes RCPT for one recipient. */
export function rcptCommand(recipient: EnvelopeRecipient, mail: Mail, capabilities: Capabilities): string {
  const { email } = recipient;
  let command = `RCPT TO:<${email}>`;
  if (capabilities.dsn === "none") return command;
  // Never NEVER: that would switch off all bounces. With the null reverse-path there is nobody to notify.
  if (mail.envelope.reversePath !== "") command += NOTIFY[capabilities.dsn];
  const original = originalRecipient(email);
  return original.length <= MAX_ORCPT_CHARACTERS ? `${command} ORCPT=${original}` : command;
}
