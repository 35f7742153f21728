const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/**
 * Parses a length of time with its unit: a whole number and `ms`, `s`, `m`, `h` or `d`.
 *
 * A bare number is refused on purpose: nobody can see whether `30` means seconds or milliseconds.
 *
 * @example One unit each
 * ```ts
 * import { parseDuration } from "./duration.ts";
 * console.log(parseDuration("90s"), parseDuration("90")); // 90000 undefined
 * ```
 *
 * @returns milliseconds, or undefined when the text is no duration
 */
export function parseDuration(text: string): number | undefined {
  const match = /^(\d{1,12})(ms|s|m|h|d)$/.exec(text);
  if (match === null) return undefined;
  const ms = Number(match[1]) * UNIT_MS[match[2] as keyof typeof UNIT_MS]; // the pattern admits these five units only
  return Number.isSafeInteger(ms) ? ms : undefined;
}

/**
 * Formats milliseconds in the largest unit that divides them, as `parseDuration` reads them.
 *
 * @example Back and forth
 * ```ts
 * import { formatDuration } from "./duration.ts";
 * console.log(formatDuration(120_000), formatDuration(90_000)); // 2m 90s
 * ```
 */
export function formatDuration(ms: number): string {
  if (ms === 0) return "0s";
  for (const unit of ["d", "h", "m", "s"] as const) {
    if (ms % UNIT_MS[unit] === 0) return `${ms / UNIT_MS[unit]}${unit}`;
  }
  return `${ms}ms`;
}
