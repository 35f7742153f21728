import { type Field, field } from "./field.ts";

/**
 * Makes a reader for values that are told by a question.
 *
 * @param what how a value that fits is called: `a whole number from 1`
 * @param fits one that throws has said no
 */
export function fitting(what: string, fits: (value: unknown) => boolean): Field<unknown> {
  return field((value, fault) => {
    try {
      if (fits(value)) return value;
    } catch {
      // Said below.
    }
    fault(`it is not ${what}`);
    return value;
  });
}

/** Tells whether it is a whole number from 1 to that. */
export function isWhole(value: unknown, most: number): boolean {
  return Number.isInteger(value) && Number(value) >= 1 && Number(value) <= most;
}
