import type { Mailbox } from "../address.ts";
import { HeaderLine } from "./header_line.ts";

/** A phrase of atoms (RFC 5322 section 3.2.3) that needs no quotes. */
const ATOMS = /^[\w!#$%&'*+\-/=?^`{|}~]+(?: [\w!#$%&'*+\-/=?^`{|}~]+)*$/;
/**
 * ASCII words of at most 70, one blank between: between quotes it can be folded at its blanks, and every line keeps to
 * 78.
 */
const QUOTABLE = /^[!-~]{1,70}(?: [!-~]{1,70})*$/;

/**
 * Writes a header field of mailboxes (RFC 5322 section 3.4), folded, with its CRLF.
 *
 * A local part that is not ASCII stays as it is, the one thing in a header that cannot be encoded (RFC 6532): such a
 * mail needs a server with SMTPUTF8. For others it can be written as the name of an empty group, which readers show and
 * nobody can answer to (RFC 6857 section 3.1.8).
 *
 * @example
 * ```ts
 * const to = addressHeader("To", [{ email: "jane@example.com", name: "Doe, Jane" }, { email: "bob@example.com" }]);
 * if (to !== 'To: "Doe, Jane" <jane@example.com>, bob@example.com\r\n') throw new Error("unexpected");
 * ```
 * @param mailboxes checked ones, as `parseAddress` returns them
 */
export function addressHeader(
  name: string,
  mailboxes: readonly Mailbox[],
  options: { readonly isAsciiOnly?: boolean | undefined } = {},
): string {
  const line = new HeaderLine(name);
  mailboxes.forEach((mailbox, index) => {
    const comma = index < mailboxes.length - 1 ? "," : "";
    const { email, name } = mailbox;
    if (options.isAsciiOnly && needsUtf8(email)) {
      line.encoded(name === undefined ? email : `${name} ${email}`);
      return line.token(`:;${comma}`);
    }
    if (name !== undefined) writePhrase(line, name);
    // Without brackets some readers drop the quotes of a local part, and take the colon of an IPv6 address for the end
    // of a group's name.
    line.token((name === undefined && !/^"|]$/.test(email) ? email : `<${email}>`) + comma);
  });
  return line.end();
}

/**
 * Tells whether an address can stand in a header only as UTF-8: its local part is not ASCII. Domains are written in
 * their ASCII form.
 *
 * @example
 * ```ts
 * if (!needsUtf8("jörg@example.com") || needsUtf8("ann@münchen.example")) throw new Error("unexpected");
 * ```
 */
export function needsUtf8(email: string): boolean {
  return /[^\0-\x7f]/.test(email.slice(0, email.lastIndexOf("@")));
}

function writePhrase(line: HeaderLine, name: string): void {
  // Readers decode "=?" between quotes as well, though RFC 2047 section 5 forbids it.
  if (name.includes("=?") || !QUOTABLE.test(name)) return line.encoded(name);
  const phrase = ATOMS.test(name) ? name : `"${name.replace(/["\\]/g, "\\$&")}"`;
  for (const word of phrase.split(" ")) line.token(word);
}
