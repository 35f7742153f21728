import type { EnvelopeRecipient } from "../../src/envelope.ts";
import type { Outcome } from "../delivery/transport.ts";
import type { Capabilities } from "./capability.ts";
import type { Mail } from "./command.ts";
import { needsSmtpUtf8 as contentNeedsSmtpUtf8, sizeOf } from "./content.ts";
import { needsSmtpUtf8 } from "./path.ts";

/** Why a mail, or some of its recipients, cannot go to this server at all. */
export interface ServerFault {
  /** Whom it concerns. */
  readonly test: (recipient: EnvelopeRecipient) => boolean;
  readonly meaning: Pick<Outcome, "kind" | "phase" | "blame">;
  readonly reason: string;
}

const EVERYBODY = (): boolean => true;

/**
 * Finds what the server's offer rules out, before a command is said: the reason is clearer than the server's would be.
 */
export function faultForServer(mail: Mail, capabilities: Capabilities): ServerFault | undefined {
  const { maxSizeBytes } = capabilities;
  const sizeBytes = sizeOf(mail.content);
  if (maxSizeBytes !== undefined && sizeBytes > maxSizeBytes) {
    // RFC 1870 section 6.1: a fixed limit, for which there is no later.
    const reason = `The mail has ${sizeBytes} octets, and the server takes ${maxSizeBytes}`;
    return { test: EVERYBODY, meaning: { kind: "bounced", phase: "mail", blame: "message" }, reason };
  }
  return capabilities.smtpUtf8 ? undefined : utf8Fault(mail);
}

/** RFC 6531 section 3.2: without the offer, nothing that needs it may be sent. */
function utf8Fault(mail: Mail): ServerFault | undefined {
  const { reversePath, recipients } = mail.envelope;
  if (needsSmtpUtf8(reversePath) || contentNeedsSmtpUtf8(mail.content)) {
    const where = needsSmtpUtf8(reversePath) ? "The return path" : "An address in the header";
    const reason = `${where} needs SMTPUTF8, which the server does not offer`;
    return { test: EVERYBODY, meaning: { kind: "bounced", phase: "mail", blame: "message" }, reason };
  }
  if (!recipients.some(({ email }) => needsSmtpUtf8(email))) return undefined;
  return {
    test: ({ email }) => needsSmtpUtf8(email),
    meaning: { kind: "bounced", phase: "rcpt", blame: "recipient" },
    reason: "The address needs SMTPUTF8, which the server does not offer",
  };
}
