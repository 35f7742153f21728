import * as v from "valibot";
import { type Address, type Mailbox, parseAddress } from "./address.ts";
import { LIMITS } from "./limits.ts";
import { headerProblem, valueProblem } from "./mime/header.ts";
import { unsubscribeProblem } from "./mime/unsubscribe.ts";
import { octets } from "./octets.ts";
import { isStream } from "./stream.ts";

/** Reports one fault of a field: a clause that says what is wrong and, where it is not plain, what to do. */
export type Fault = (reason: string, at?: readonly (string | number)[], kind?: typeof LIMIT) => void;

/** How issues of size and count are told from the others, in valibot's `expected`. */
export const LIMIT = "limit";

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)$/;

/** How one field is read; `checkFields` asks it only when there is a value. */
export type Field<T> = v.RawTransformAction<unknown, T>;

/** Makes a field from a function that reads its value and reports faults. */
export function field<T>(read: (value: unknown, fault: Fault) => T): Field<T> {
  return v.rawTransform(({ dataset, addIssue }) =>
    read(dataset.value, (message, at = [], expected) => {
      // Not items with keys, as valibot's own: it hands the path on as it is, to `checkFields`.
      addIssue({ message, expected, path: at as unknown as [v.IssuePathItem] });
    })
  );
}

/** Reads one address. */
export function mailbox(value: unknown, fault: Fault): Mailbox | undefined {
  const result = parseAddress(value as Address);
  if (result.ok) return result.mailbox;
  fault(result.reason);
  return undefined;
}

/** Reads one address or a list of them. */
export function mailboxes(value: unknown, fault: Fault): readonly Mailbox[] {
  return listOf(value).flatMap((item, index) =>
    mailbox(item, (reason) => fault(reason, Array.isArray(value) ? [index] : [])) ?? []
  );
}

/** Reads where bounces go: an address, or the empty string for the null reverse-path. */
export function returnPath(value: unknown, fault: Fault): string {
  if (value === "") return value;
  return mailbox(value, fault)?.email ?? "";
}

/** Reads a text that may stand in a header. */
export function line(value: unknown, fault: Fault): string {
  const problem = valueProblem(value as string);
  if (problem === undefined) return (value as string).toWellFormed();
  fault(problem);
  return "";
}

/** Reads a text with line breaks. */
export function body(value: unknown, fault: Fault): string {
  if (typeof value !== "string") fault("it is not a string");
  else if (value.includes("\0")) fault("it holds a NUL character, which Postgres cannot store");
  else if (!over(octets(value), LIMITS.bodyBytes, fault)) return value.toWellFormed();
  return "";
}

/** Reads headers, from an object or from pairs, in their order. */
export function headers(value: unknown, fault: Fault): readonly (readonly [string, string])[] {
  return checkedPairs(pairsOf(value), fault).map(([name, text]) => {
    const header = typeof name === "string" ? name : "";
    const problem = headerProblem(header, text as string);
    if (problem === undefined) return [header, (text as string).toWellFormed()];
    fault(problem, [quote(name)]);
    return ["", ""];
  });
}

/** Reads tags; how many there may be is checked with the mailer's own. */
export function tags(value: unknown, fault: Fault): readonly string[] {
  if (Array.isArray(value)) {
    return listOf(value).map((tag, index) =>
      key(tag, LIMITS.tagBytes, (reason, _, kind) => fault(reason, [index], kind))
    );
  }
  fault("it is not a list of strings");
  return [];
}

/** Reads a text of 1 to so many bytes in one line. */
export function key(value: unknown, maxBytes: number, fault: Fault): string {
  const text = line(value, fault);
  if (value === "") fault("it is empty");
  over(octets(text), maxBytes, fault);
  return text;
}

/** Reads an object of strings. */
export function metadata(value: unknown, fault: Fault): Readonly<Record<string, string>> {
  let bytes = 0;
  const read = checkedPairs(Array.isArray(value) ? undefined : pairsOf(value), fault).map(([name, text]) => {
    const at: Fault = (reason) => fault(reason, [quote(name)]);
    const pair = [line(name, at), line(text, at)] as const;
    bytes += octets(pair.join(""));
    return pair;
  });
  over(bytes, LIMITS.metadataBytes, fault);
  return Object.fromEntries(read);
}

/**
 * Reads a point in time. A string goes through as it is; whether its month has such a day is for the database to say.
 */
export function time(value: unknown, fault: Fault): string {
  // null for an invalid Date, where toISOString throws.
  const text = value instanceof Date ? value.toJSON() : value;
  if (typeof text === "string" && TIME.test(text)) return text;
  fault("it is neither a valid Date nor like 2026-11-22T09:30:00Z, with a zone");
  return "";
}

/** Reads a URL for List-Unsubscribe. */
export function unsubscribe(value: unknown, fault: Fault): string {
  const url = textOf(value);
  const problem = unsubscribeProblem(url);
  if (problem !== undefined) fault(problem);
  return url;
}

/** Reads the name of a stream. */
export function stream(value: unknown, fault: Fault): string {
  if (isStream(value)) return value;
  fault("it is not 1 to 63 of a-z 0-9 . _ -, a letter or digit first");
  return "";
}

/** Makes a reader for a field that has few values. */
export function oneOf<const T extends string | boolean>(
  ...values: readonly T[]
): (value: unknown, fault: Fault) => T | undefined {
  return (value, fault) => {
    const found = values.find((known) => known === value);
    if (found === undefined) fault(`it is not one of ${values.join(", ")}`);
    return found;
  };
}

/** One value as a list of one; the holes of a list are values like any other. */
export function listOf(value: unknown): readonly unknown[] {
  return value === undefined ? [] : Array.isArray(value) ? [...value] : [value];
}

/**
 * Headers as pairs; undefined when they are no headers, such as a Map, a promise or a Date, of which nothing would be
 * seen.
 */
export function pairsOf(value: unknown): readonly (readonly unknown[])[] | undefined {
  if (Object.prototype.toString.call(value) === "[object Object]") return Object.entries(value as object);
  return listOf(value).every((pair) => Array.isArray(pair) && pair.length === 2) ? value as unknown[][] : undefined;
}

function checkedPairs(pairs: ReturnType<typeof pairsOf>, fault: Fault): readonly (readonly unknown[])[] {
  if (pairs === undefined) fault("it is not an object of strings");
  return pairs ?? [];
}

/** As a text; an object without a way to become one as the empty text. */
export function textOf(value: unknown): string {
  try {
    return String(value);
  } catch {
    return "";
  }
}

/** Reports a limit that was passed, and tells so. */
export function over(bytes: number, maxBytes: number, fault: Fault): boolean {
  if (bytes > maxBytes) fault(`it has more than ${maxBytes.toLocaleString("en-US")} bytes`, [], LIMIT);
  return bytes > maxBytes;
}

/** A name may come from anybody: in a path it must not break the log line that shows it. */
export function quote(name: unknown): string {
  return textOf(name).slice(0, 76).replace(/[\p{C}\s]/gu, "?");
}
