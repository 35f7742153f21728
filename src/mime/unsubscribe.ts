/** A URL has no place to fold: with its brackets and name it must fit into 998 (RFC 5322 section 2.1.1). */
const MAX_URL_CHARS = 900;

/**
 * Says why a URL cannot be offered for unsubscribing, or undefined when it can.
 *
 * @example
 * ```ts
 * if (unsubscribeProblem("https://example.com/u/7") !== undefined) throw new Error("unexpected");
 * if (unsubscribeProblem("http://example.com/u/7") === undefined) throw new Error("unexpected");
 * ```
 */
export function unsubscribeProblem(url: string): string | undefined {
  if (!/^(?:https:\/\/[^/]|mailto:[^?])/i.test(url)) return "unsubscribe is an https: or mailto: URL";
  if (!/^[!-;=?-~]+$/.test(url)) return "unsubscribe holds a blank, < >, a control character, or one to percent-encode";
  return url.length > MAX_URL_CHARS ? `unsubscribe has more than ${MAX_URL_CHARS} characters` : undefined;
}

/**
 * Writes List-Unsubscribe (RFC 2369), and for an https URL the header that makes it one click (RFC 8058).
 *
 * @example
 * ```ts
 * const headers = unsubscribeHeaders("https://example.com/u/7");
 * if (!headers.includes("List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n")) throw new Error("unexpected");
 * ```
 * @param url one for which {@linkcode unsubscribeProblem} found nothing
 */
export function unsubscribeHeaders(url: string): string {
  const header = `List-Unsubscribe: <${url}>\r\n`;
  return /^https:/i.test(url) ? `${header}List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n` : header;
}
