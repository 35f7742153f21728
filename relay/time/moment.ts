const UNITS = [["day", 86_400_000], ["hour", 3_600_000], ["minute", 60_000], ["second", 1_000]] as const;

/** A time with seconds, as logs have it. */
export function formatTime(at: Date): string {
  return at.toISOString().replace(/\.\d+Z$/, "Z");
}

/**
 * A time for people, with how far it is away.
 *
 * @example
 * ```ts
 * const now = new Date("2026-11-21T12:00:00Z");
 * if (formatMoment(new Date("2026-11-21T12:04:10Z"), now) !== "2026-11-21T12:04:10Z (in 4 minutes)") throw new Error("unexpected");
 * if (formatMoment(new Date("2026-11-20T11:00:00Z"), now) !== "2026-11-20T11:00:00Z (1 day ago)") throw new Error("unexpected");
 * ```
 */
export function formatMoment(at: Date, now: Date): string {
  const awayMs = at.getTime() - now.getTime();
  const length = formatLength(Math.abs(awayMs));
  const away = length === undefined ? "now" : awayMs > 0 ? `in ${length}` : `${length} ago`;
  return `${formatTime(at)} (${away})`;
}

/** A length in the largest unit that it has one of, rounded; undefined: less than a second. */
export function formatLength(ms: number): string | undefined {
  const unit = UNITS.find(([, unitMs]) => Math.round(ms / unitMs) >= 1 && ms >= unitMs);
  if (unit === undefined) return undefined;
  const count = Math.round(ms / unit[1]);
  return `${count} ${unit[0]}${count === 1 ? "" : "s"}`;
}
