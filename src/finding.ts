import { type Issue, MailchuteError } from "./error.ts";
import { type Field, LIMIT, quote } from "./field.ts";

/** An issue, and whether it is one of size or count. */
export interface Finding extends Issue {
  readonly limit?: boolean | undefined;
  /** What was thrown when the value was read. */
  readonly cause?: unknown;
}

/** Reads each field; what is none is a finding too. */
export function checkFields<T>(
  fields: Readonly<Record<string, Field<unknown>>>,
  input: Readonly<Record<string, unknown>>,
  otherwise: string,
): { readonly output: T; readonly findings: readonly Finding[] } {
  const findings: Finding[] = Object.keys(input).filter((name) => !Object.hasOwn(fields, name))
    .map((name) => ({ path: quote(name), message: otherwise }));
  // Most of the fields of most mails are not there, and no field asks for a value that is not (see `field`).
  const given = Object.entries(fields).filter(([name]) => input[name] !== undefined);
  const read = given.map(([name, one]) => {
    try {
      // Run as it is: a field is one step, for which pipe() and safeParse() would add a twenty-fifth to the bundle.
      const { issues = [], value: output } = one["~run"]({ typed: true, value: input[name] }, {});
      for (const { path = [], message, expected } of issues) {
        findings.push({ path: [name, ...path].join("."), message, limit: expected === LIMIT });
      }
      return [name, output];
    } catch (cause) {
      // In front, since the error is about the first one and has its cause.
      findings.unshift(unreadable(name, cause));
      return [name];
    }
  });
  return { output: Object.fromEntries(read), findings };
}

/**
 * Of a value that throws when it is read: a rendering that fails, a file that is gone, bytes that were transferred
 * away.
 */
export function unreadable(path: string, cause: unknown): Finding {
  return { path, message: "it cannot be read: see cause", cause };
}

/** The values of an object, each read once: one may throw. */
export function valuesOf(input: Readonly<Record<string, unknown>>, what: string): typeof input {
  const values: Record<string, unknown> = {};
  let name = "message";
  try {
    for (name of Object.keys(input)) values[name] = input[name];
  } catch (cause) {
    refuse(what, [unreadable(quote(name), cause)]);
  }
  return values;
}

/** Throws one error with all findings, if there are any. */
export function refuse(what: string, findings: readonly Finding[]): void {
  const [first] = findings;
  if (first === undefined) return;
  const more = findings.length > 1 ? ` (${findings.length} issues)` : "";
  throw new MailchuteError(
    findings.every((finding) => finding.limit) ? "too_large" : "validation_error",
    `${what}: ${first.path}: ${first.message}${more}`,
    {
      issues: findings.map(({ path, message }) => ({ path, message })),
      cause: first.cause,
    },
  );
}
