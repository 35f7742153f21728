/** A list under way: its kind of numbers, or none, and the next one. */
export interface ListState {
  /** HTML's `type`: `1`, `a`, `A`, `i` or `I`; undefined for bullets. */
  readonly type: string | undefined;
  next: number;
}

const ROMAN: readonly (readonly [digit: string, value: number])[] = [
  ...[["m", 1000], ["cm", 900], ["d", 500], ["cd", 400], ["c", 100], ["xc", 90], ["l", 50]] as const,
  ...[["xl", 40], ["x", 10], ["ix", 9], ["v", 5], ["iv", 4], ["i", 1]] as const,
];
const MAX_ROMAN = 3_999;

/**
 * Writes what stands in front of a list's next item, and counts on.
 *
 * @example
 * ```ts
 * const list = { type: "a", next: 26 };
 * if (listMarker(list) + listMarker(list) !== "z. aa. " || listMarker(undefined) !== "- ") throw new Error("unexpected");
 * ```
 */
export function listMarker(list: ListState | undefined): string {
  if (list?.type === undefined) return "- ";
  return `${numeral(list.next++, list.type)}. `;
}

function numeral(value: number, type: string): string {
  const isUpper = type === type.toUpperCase();
  const text = /^a$/i.test(type) ? alphabetic(value) : /^i$/i.test(type) ? roman(value) : "";
  if (text === "") return String(value);
  return isUpper ? text.toUpperCase() : text;
}

/** a … z, aa … */
function alphabetic(value: number): string {
  let text = "";
  for (let left = value; left > 0; left = Math.floor((left - 1) / 26)) {
    text = String.fromCharCode(97 + (left - 1) % 26) + text;
  }
  return text;
}

function roman(value: number): string {
  if (value > MAX_ROMAN) return "";
  let left = value;
  let text = "";
  for (const [digit, worth] of ROMAN) {
    for (; left >= worth; left -= worth) text += digit;
  }
  return text;
}
