const UUID = /^[\da-f]{8}-(?:[\da-f]{4}-){3}[\da-f]{12}$/i;

/**
 * Tells whether a value is a UUID of any version, as a text.
 *
 * @example
 * ```ts
 * if (!isUuid("017f22e2-79b0-7000-8000-000000000000") || isUuid("42") || isUuid(42)) throw new Error("unexpected");
 * ```
 */
export function isUuid(value: unknown): value is string {
  return typeof value === "string" && UUID.test(value);
}
