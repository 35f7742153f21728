import type { Envelope } from "../../src/envelope.ts";

// Controls end a command (GHSA-v3q9-hj7j-63hq, CVE-2026-30227); angle brackets end the path in it (RFC 5321 section
// 4.1.2).
const FORBIDDEN = /[\u0000-\u001f\u007f-\u009f\u2028\u2029<>]/;
// Outside of these an address needs RFC 6531.
const ASCII = /^[\u0000-\u007f]*$/;

/**
 * Says why an envelope must not be written into commands, undefined when it may.
 *
 * Addresses were checked when they were enqueued. A database that somebody else wrote to must not speak SMTP through us
 * all the same, so this is asked again right before the wire.
 *
 * @example
 * ```ts
 * const recipients = [{ position: 0, email: "a@b.example>\r\nRCPT TO:<c@d.example" }];
 * if (faultOfEnvelope({ reversePath: "", recipients }) === undefined) throw new Error("unexpected");
 * ```
 */
export function faultOfEnvelope(envelope: Envelope): string | undefined {
  if (FORBIDDEN.test(envelope.reversePath)) {
    return "The return path contains a control character or an angle bracket";
  }
  for (const { email } of envelope.recipients) {
    if (email === "") return "A recipient address is empty";
    if (FORBIDDEN.test(email)) return "A recipient address contains a control character or an angle bracket";
  }
  return undefined;
}

/** Whether an address can only go to a server that offers SMTPUTF8 (RFC 6531). */
export function needsSmtpUtf8(address: string): boolean {
  return !ASCII.test(address);
}
