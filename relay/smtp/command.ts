import type { Envelope, EnvelopeRecipient } from "../../src/envelope.ts";
import type { Capabilities } from "./capability.ts";
import { needsSmtpUtf8 } from "./path.ts";

/** One mail for one transaction: the content in wire format, without dot-stuffing. */
export interface Mail {
  readonly envelope: Envelope;
  readonly content: Uint8Array;
}

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
  const { reversePath, recipients } = mail.envelope;
  // RFC 1870 section 3: counted before dot-stuffing. The server refuses what is too large before it is sent.
  const size = capabilities.size ? ` SIZE=${mail.content.length}` : "";
  const isUtf8 = capabilities.smtpUtf8 &&
    (needsSmtpUtf8(reversePath) || recipients.some(({ email }) => needsSmtpUtf8(email)));
  return `MAIL FROM:<${reversePath}>${size}${isUtf8 ? " SMTPUTF8" : ""}`;
}

/** Writes RCPT for one recipient. */
export function rcptCommand(recipient: EnvelopeRecipient): string {
  return `RCPT TO:<${recipient.email}>`;
}
