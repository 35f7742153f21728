import { valueProblem } from "./mime/header.ts";

/**
 * Tells what is wrong with a value that is to stand in the place of a `{{name}}`; undefined: nothing.
 *
 * @param inLine it stands in a header, where no line break may
 */
export function valueFault(value: unknown, inLine: boolean): string | undefined {
  if (value === undefined || value === null) return "it is missing";
  if (typeof value !== "string" && !Number.isFinite(value)) return "it is neither a string nor a number";
  const text = String(value);
  if (text.includes("\0")) return "it holds a NUL character, which Postgres cannot store";
  return inLine ? valueProblem(text) : undefined;
}
