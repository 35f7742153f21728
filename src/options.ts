import { type Fault, type Field, field, key } from "./field.ts";
import { checkFields, refuse } from "./finding.ts";
import { LIMITS } from "./limits.ts";

/** Fields of options, by their names. */
export type OptionFields = Readonly<Record<string, Field<unknown>>>;

/** Where a call runs: its shape is looked at when it is used. */
export const CALL: OptionFields = { tx: field((tx) => tx) };

/** A key or the name of a batch. */
export const KEY: Field<unknown> = field((value, fault) => key(value, LIMITS.idempotencyKeyBytes, fault));

/** What `setTimeout` can count: above, it fires at once. */
const MAX_TIMEOUT_MS = 2_147_483_647;

/** A deadline in milliseconds. */
export const TIMEOUT: Field<unknown> = field((value, fault: Fault) => {
  if (typeof value === "number" && value >= 1 && value <= MAX_TIMEOUT_MS) return value;
  fault(`it is not a number of milliseconds from 1 to ${MAX_TIMEOUT_MS}`);
  return MAX_TIMEOUT_MS;
});

/** Reads options, or throws all that is wrong with them. */
export function check<T>(fields: OptionFields, options: object, what: string): T {
  // A connection given in the place of its options is a function, or an object of names that are unknown here; a key is
  // a string.
  const { output, findings } = checkFields<T>(
    fields,
    typeof options === "object" ? { ...options } : { options },
    "it is no option",
  );
  refuse(what, findings);
  return output;
}
