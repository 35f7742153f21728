const UUID = /^[\da-f]{8}-(?:[\da-f]{4}-){3}[\da-f]{12}$/i;

/**
 * Makes a UUIDv7 (RFC 9562 section 5.7): 48 bits of time, the rest random, so that ids sort by time and indexes grow at one end.
 *
 * @example
 * ```ts
 * const id = uuidv7(1_645_557_742_000, "9e6e7a2c-1d0b-4cc3-98c4-dc0c0c07398f");
 * if (id !== "017f22e2-79b0-7cc3-98c4-dc0c0c07398f") throw new Error("unexpected");
 * ```
 * @param nowMs milliseconds since 1970
 * @param random a random UUID (version 4): its last 74 random bits are taken, and its variant
 */
export function uuidv7(nowMs: number, random: string): string {
  const time = nowMs.toString(16).padStart(12, "0");
  return `${time.slice(0, 8)}-${time.slice(8)}-7${random.slice(15)}`;
}

/**
 * Tells whether a text is a UUID of any version.
 *
 * @example
 * ```ts
 * if (!isUuid("017f22e2-79b0-7000-8000-000000000000") || isUuid("42")) throw new Error("unexpected");
 * ```
 */
export function isUuid(text: string): boolean {
  return UUID.test(text);
}
