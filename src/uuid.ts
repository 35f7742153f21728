/**
 * Makes a UUIDv7 (RFC 9562 section 5.7): 48 bits of time, the rest random, so that ids sort by time and indexes grow at
 * one end.
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
