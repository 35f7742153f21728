/** Returns the length of a text in UTF-8. */
export function octets(text: string): number {
  // Most texts are ASCII, and need no copy.
  return /[^\0-\x7f]/.test(text) ? new TextEncoder().encode(text).length : text.length;
}
