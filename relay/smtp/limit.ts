/**
 * Checks a limit instead of replacing it: 0, NaN and "5" never become "no limit" or the default.
 *
 * @example
 * ```ts
 * if (limit("connections", undefined, { fallback: 4, max: 100 }) !== 4) throw new Error("unexpected");
 * // limit("connections", 0, { fallback: 4, max: 100 }) throws: Cannot use connections = 0: …
 * ```
 *
 * @param name the field, for the error
 * @param value what was configured; undefined means the fallback
 * @throws {RangeError} when the value is no whole number from `min` (default 1) to `max`
 */
export function limit(
  name: string,
  value: number | undefined,
  options: { readonly fallback: number; readonly max: number; readonly min?: number },
): number {
  const { fallback, max, min = 1 } = options;
  if (value === undefined) return fallback;
  if (!Number.isSafeInteger(value) || value < min || value > max) {
    throw new RangeError(`Cannot use ${name} = ${value}: set a whole number from ${min} to ${max}`);
  }
  return value;
}
