/**
 * Masks the local part of an address: the first letter stays, so that people can tell two lines apart.
 *
 * @example One address
 * ```ts
 * import { maskAddress } from "./mask.ts";
 * console.log(maskAddress("ann@example.com"), maskAddress("a@example.com")); // a**@example.com **@example.com
 * ```
 */
export function maskAddress(address: string): string {
  const at = address.lastIndexOf("@");
  // What is masked already stays, so that masking twice is masking once.
  if (at <= 0 || /^.?\*\*$/u.test(address.slice(0, at))) return address;
  const [first = ""] = address.slice(0, at);
  // One letter would be the whole local part; a quote would be the first letter of a quoted one.
  const shown = at === first.length || first === '"' ? "" : first;
  return `${shown}**${address.slice(at)}`;
}

/**
 * Masks every `a@b` inside a text, such as the reply of a server, and the credentials of every URL.
 *
 * Runs in linear time whatever the text: a reply comes from the other side of a socket.
 *
 * @example A reply
 * ```ts
 * import { maskAddresses } from "./mask.ts";
 * console.log(maskAddresses("<ann@example.com>: user unknown")); // <a**@example.com>: user unknown
 * ```
 */
export function maskAddresses(text: string): string {
  if (!text.includes("@")) return text;
  const source = hideUrlCredentials(text);
  let out = "";
  let copied = 0;
  for (let at = source.indexOf("@"); at !== -1; at = source.indexOf("@", at + 1)) {
    const start = localPartStart(source, { at, floor: copied });
    if (start === at || isGap(source[at + 1])) continue;
    out += source.slice(copied, start) + maskAddress(source.slice(start, at + 1));
    copied = at + 1;
  }
  return out + source.slice(copied);
}

/** Replaces `user:password@` in every URL of a text; errors of drivers and clients quote the URL they were given. */
export function hideUrlCredentials(text: string): string {
  return text.replace(/:\/\/[^\s/?#@]{1,1024}@/g, "://**@");
}

// RFC 5321 section 4.1.2: a dot-string, or a quoted string in which any character may stand.
function localPartStart(text: string, options: { readonly at: number; readonly floor: number }): number {
  const { at, floor } = options;
  let index = at;
  if (text[at - 1] === '"') {
    for (index = at - 2; index >= floor; index--) {
      if (text[index] === '"' && text[index - 1] !== "\\") return index;
    }
    index = at - 1; // no quoted string after all
  }
  // Legal in a local part, but after two of them a URL's host part begins.
  while (index > floor && !isGap(text[index - 1]) && text.slice(index - 2, index) !== "//") index--;
  return index;
}

function isGap(char: string | undefined): boolean {
  return char === undefined || /[\s<>()[\],;:"\\@]/.test(char);
}
