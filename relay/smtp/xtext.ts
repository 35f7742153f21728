import { needsSmtpUtf8 } from "./path.ts";

/**
 * Encodes a value for ENVID or ORCPT as xtext (RFC 3461 section 4): `+`, `=` and all but visible ASCII become `+XX`.
 *
 * @example
 * ```ts
 * if (xtext("ann+shop@corp.example") !== "ann+2Bshop@corp.example") throw new Error("unexpected");
 * ```
 */
export function xtext(value: string): string {
  if (PLAIN.test(value)) return value;
  let encoded = "";
  for (const octet of new TextEncoder().encode(value)) {
    const isPlain = octet > 0x20 && octet < 0x7f && octet !== PLUS && octet !== EQUALS;
    encoded += isPlain ? String.fromCharCode(octet) : `+${octet.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return encoded;
}

/** Visible ASCII without `+` and `=`, as nearly all values are. */
const PLAIN = /^[!-*,-<>-~]*$/;
const PLUS = 0x2b;
const EQUALS = 0x3d;

/**
 * Writes an address as ORCPT's value: `rfc822;` with xtext (RFC 3461 section 4.2), or `utf-8;` where it is not ASCII
 * (RFC 6533 section 3: `+`, `=` and `\` become `\x{…}`, everything else stays).
 */
export function originalRecipient(address: string): string {
  if (!needsSmtpUtf8(address)) return `rfc822;${xtext(address)}`;
  return `utf-8;${address.replace(/[+=\\\u0000-\u0020\u007f]/g, escaped)}`;
}

function escaped(character: string): string {
  return `\\x{${character.charCodeAt(0).toString(16).toUpperCase()}}`;
}
