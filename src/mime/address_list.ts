import type { Mailbox } from "../address.ts";
import { HeaderLine } from "./header_line.ts";

/** A phrase of atoms (RFC 5322 section 3.2.3) that needs no quotes. */
const ATOMS = /^[\w!#$%&'*+\-/=?^`{|}~]+(?: [\w!#$%&'*+\-/=?^`{|}~]+)*$/;
/** What may stand between quotes on one line: ASCII, no blanks at the ends. */
const QUOTABLE = /^[!-~](?:[ -~]*[!-~])?$/;
/** Longer names are encoded, since a quoted name has no place to fold that every reader respects. */
const MAX_QUOTED_CHARS = 60;

/**
 * Writes a header field of mailboxes (RFC 5322 section 3.4), folded, with its CRLF.
 *
 * A local part that is not ASCII stays as it is, the one thing in a header that cannot be encoded (RFC 6532): such a mail
 * needs a server with SMTPUTF8.
 *
 * @example
 * ```ts
 * const to = addressHeader("To", [{ email: "jane@example.com", name: "Doe, Jane" }, { email: "bob@example.com" }]);
 * if (to !== 'To: "Doe, Jane" <jane@example.com>, bob@example.com\r\n') throw new Error("unexpected");
 * ```
 * @param mailboxes checked ones, as `parseAddress` returns them
 */
export function addressHeader(name: string, mailboxes: readonly Mailbox[]): string {
  const line = new HeaderLine(name);
  mailboxes.forEach((mailbox, index) => {
    const comma = index < mailboxes.length - 1 ? "," : "";
    if (mailbox.name === undefined) return line.token(`${mailbox.email}${comma}`);
    writePhrase(line, mailbox.name);
    line.token(`<${mailbox.email}>${comma}`);
  });
  return line.end();
}

function writePhrase(line: HeaderLine, name: string): void {
  // Readers decode "=?" between quotes as well, though RFC 2047 section 5 forbids it.
  if (name.length > MAX_QUOTED_CHARS || name.includes("=?") || !QUOTABLE.test(name)) return line.encoded(name);
  if (!ATOMS.test(name)) return line.token(`"${name.replace(/["\\]/g, "\\$&")}"`);
  for (const atom of name.split(" ")) line.token(atom);
}
