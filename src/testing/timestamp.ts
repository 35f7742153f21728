const TIME = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d)(\.\d{1,9})?)?(?:Z|([+-])(\d\d):?(\d\d))$/;
const MINUTE_MS = 60_000;
/** The Date of a mail has no place for it (to_time of 002_checks.sql). */
const YEAR_10000_MS = Date.UTC(10_000);

/**
 * Reads a time as Postgres does, which knows how many days a month has where `Date` goes on to the next one.
 *
 * @example
 * ```ts
 * if (timestampMs("2026-02-28T01:00:00+01:00") !== Date.UTC(2026, 1, 28)) throw new Error("unexpected");
 * if (timestampMs("2026-02-30T00:00:00Z") !== undefined) throw new Error("unexpected");
 * ```
 * @returns milliseconds since 1970; undefined when there is no such time
 */
export function timestampMs(text: string): number | undefined {
  const [, year, month, day, hour, minute, second = "0", fraction = "0", sign, zoneHour = "0", zoneMinute = "0"] =
    TIME.exec(text) ?? [];
  const date = new Date(0);
  date.setUTCFullYear(Number(year), Number(month) - 1, Number(day));
  const exists = date.getUTCMonth() === Number(month) - 1 && date.getUTCDate() === Number(day);
  const inRange = Number(hour) < 24 && Number(minute) < 60 && Number(second) < 60 && Number(zoneHour) < 16 &&
    Number(zoneMinute) < 60;
  if (!exists || !inRange) return undefined;
  const zoneMs = (Number(zoneHour) * 60 + Number(zoneMinute)) * MINUTE_MS * (sign === "-" ? -1 : 1);
  const timeMs = (Number(hour) * 60 + Number(minute)) * MINUTE_MS + Number(second) * 1_000;
  const atMs = date.getTime() + timeMs + Math.floor(Number(fraction) * 1_000) - zoneMs;
  return atMs < YEAR_10000_MS ? atMs : undefined;
}
