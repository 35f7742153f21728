const STREAM = /^[a-z\d][a-z\d._-]{0,62}$/;

/**
 * Tells whether a text can be the name of a stream.
 *
 * @example
 * ```ts
 * if (!isStream("news-2026.weekly") || isStream("-bulk") || isStream("Bulk")) throw new Error("unexpected");
 * ```
 */
export function isStream(name: unknown): name is string {
  return typeof name === "string" && STREAM.test(name);
}
