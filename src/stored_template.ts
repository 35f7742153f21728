import { type Fault, field, key, over, quote } from "./field.ts";
import { checkFields, type Finding } from "./finding.ts";
import { fitting, isWhole } from "./fitting.ts";
import type { Message } from "./message.ts";
import { octets } from "./octets.ts";
import { valueFault } from "./template_value.ts";
import type { Value } from "./template_variables.ts";
import type { Values } from "./template.ts";

// DESIGN: only the database has the templates, so only it knows whether there is one of that name and which variables
// it asks for (014_templates.sql). What can be told without it is told here, before the database could end the app's
// transaction for it.

/** A template that lies in the database, where `mailchute template save` has put it. */
export interface StoredTemplate {
  /** What it is called: 1 to 100 of A-Z a-z 0-9 . _ -, first a letter or digit. */
  readonly name: string;
  /**
   * Such as `de-AT`: if it is not there `de` is taken, and then the one that was saved without a language.
   * @default the one without a language
   */
  readonly language?: string | undefined;
  /** An older one; versions count within a name and a language. @default the newest */
  readonly version?: number | undefined;
}

/** A template of many mails. */
export interface SharedTemplate extends StoredTemplate {
  /** Each recipient has their own. */
  readonly variables?: undefined;
}

/** A template, and what stands in the places of its `{{names}}`. */
export interface FilledTemplate extends StoredTemplate {
  /**
   * By name; escaped in HTML, raw in text and subject. What the template does not use may be there too. 65,536 bytes in
   * all.
   * @default none
   */
  readonly variables?: Readonly<Record<string, Value>> | undefined;
}

const NAME_BYTES = 100;
const VARIABLES_BYTES = 65_536;
/** A language; empty: none. */
export const LANGUAGE: RegExp = /^([A-Za-z]{2,3}([_-][A-Za-z0-9]{1,8}){0,4})?$/;
const MAX_VERSION = 999_999_999;

/** How a language is stored: `de-at` for `de_AT`. */
export function languageKey(language: string): string {
  return language.replaceAll("_", "-").toLowerCase();
}

const FIELDS = {
  name: field((value, fault) => key(value, NAME_BYTES, fault)),
  language: fitting("a language such as de or de-AT", (value) => typeof value === "string" && LANGUAGE.test(value)),
  version: fitting("a whole number from 1", (value) => isWhole(value, MAX_VERSION)),
  variables: field((value, fault) => readVariables(value, fault)),
};

/** What was read of a mail, each field on its own. */
type Read = { readonly [Name in keyof Message]?: Message[Name] | undefined };

/** Reads the template of a mail into what was read of the mail, and adds what is wrong. */
export function withTemplate(read: Read, given: object, all: Finding[]): Read {
  // A name where it is written without braces is an object of characters.
  const input = given instanceof String ? { name: given.valueOf() } : { ...given };
  const { output, findings } = checkFields<FilledTemplate>(FIELDS, input, "it is no field of a template");
  if (given instanceof String) all.push({ path: "template", message: 'it is a string: write { name: "…" }' });
  for (const finding of findings) all.push({ ...finding, path: `template.${finding.path}` });
  if (output.name === undefined) all.push({ path: "template.name", message: "it is missing" });
  for (const path of ["subject", "text", "html"] as const) {
    if (read[path] !== undefined) all.push({ path, message: "it cannot go together with template, which has its own" });
  }
  return { ...read, template: output };
}

/** Names of which is known that they are used, and those of them that stand in a header. */
interface KnownNames {
  readonly all: readonly string[];
  readonly inLine: ReadonlySet<string>;
}

/**
 * Reads variables of which only the database knows whether they are used, but for those that are named; numbers become
 * strings.
 */
export function readVariables(
  value: unknown,
  fault: Fault,
  { all, inLine }: KnownNames = { all: [], inLine: new Set() },
): Values {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    fault("it is not an object of strings and numbers");
    return {};
  }
  const given = Object.entries(value).filter(([, one]) => one !== undefined && one !== null);
  const names = new Set(given.map(([name]) => name));
  const missing = all.filter((name) => !names.has(name));
  for (const name of missing) fault("it is missing", [name]);
  const read = given.map(([name, one]) => {
    const problem = name.includes("\0")
      ? "it has a NUL character in its name, which Postgres cannot store"
      : valueFault(one, inLine.has(name));
    if (problem !== undefined) fault(problem, [quote(name)]);
    return [name.toWellFormed(), problem === undefined ? String(one).toWellFormed() : ""] as const;
  });
  over(octets(read.flat().join("")), VARIABLES_BYTES, fault);
  return Object.fromEntries([...read, ...missing.map((name) => [name, ""] as const)]);
}
