import { MailchuteError } from "./error.ts";
import { LIMITS } from "./limits.ts";

// DESIGN: merging puts values in the place of {{names}}, and nothing else: no conditions, no loops, no lookup beyond
// the recipient's own values. Nothing that stands in a value is ever read again. The same rules hold in SQL
// (src/schema/008_batches.sql).

// Blanks of ASCII only: what else is one depends on the locale of a database.
const PLACEHOLDER = /\{\{[\t-\r ]*([A-Za-z_]\w*)[\t-\r ]*\}\}/g;

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/**
 * Writes a text so that it means itself in HTML, in an attribute with quotes too.
 *
 * @example
 * ```ts
 * if (escapeHtml(`<b title="x">`) !== "&lt;b title=&quot;x&quot;&gt;") throw new Error("unexpected");
 * ```
 */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ESCAPES[character] ?? "");
}

/**
 * Puts something in the place of each name.
 *
 * @example
 * ```ts
 * if (fill("Dear {{ name }}", (name) => name.toUpperCase()) !== "Dear NAME") throw new Error("unexpected");
 * ```
 */
export function fill(text: string, valueOf: (name: string) => string): string {
  return text.replace(PLACEHOLDER, (_, name: string) => valueOf(name));
}

/** The values of one recipient, by name. */
export type Values = Readonly<Record<string, string>>;

/** Where a text stands: a value is escaped in HTML, percent-encoded in a URL, and raw in all else. */
export type TextPlace = "text" | "html" | "url";

/**
 * Finds the names in a text.
 *
 * @example
 * ```ts
 * if (namesIn("Dear {{first}} {{ last }}").join() !== "first,last") throw new Error("unexpected");
 * ```
 */
export function namesIn(text: string): readonly string[] {
  return Array.from(text.matchAll(PLACEHOLDER), ([, name]) => name as string);
}

/**
 * Tells whether every `{{` in a text begins a name: what is meant for another template language would go out as it is,
 * to everybody.
 *
 * @example
 * ```ts
 * if (!isTemplate("Dear {{name}}") || isTemplate("{{#if name}}Dear{{/if}}") || isTemplate("{{{name}}}")) throw new Error("unexpected");
 * ```
 */
export function isTemplate(text: string): boolean {
  return !text.includes("{{{") && !text.replace(PLACEHOLDER, "").includes("{{");
}

/**
 * Puts a recipient's values in the place of the names.
 *
 * @example
 * ```ts
 * const values = { name: "Ann <3" };
 * if (merge("Dear {{name}}", values) !== "Dear Ann <3") throw new Error("unexpected");
 * if (merge("<p>{{name}}</p>", values, "html") !== "<p>Ann &lt;3</p>") throw new Error("unexpected");
 * if (merge("https://example.com/u?n={{name}}", values, "url") !== "https://example.com/u?n=Ann%20%3C3") throw new Error("unexpected");
 * ```
 * @param most how many characters may come of it: a name that stands in a text a million times makes much of a short
 * value. As many as a body may have
 * @throws {MailchuteError} `validation_error` when a value is missing; `too_large` when it becomes longer
 */
export function merge(
  text: string,
  values: Values,
  place: TextPlace = "text",
  most: number = LIMITS.bodyBytes,
): string {
  // Most texts of most mails have none.
  if (!text.includes("{{")) return text;
  let length = text.length;
  return fill(text, (name) => {
    const value = Object.hasOwn(values, name) ? values[name] : undefined;
    if (value === undefined) {
      throw new MailchuteError("validation_error", `Cannot merge the mail: the variable ${name} is missing`, {
        issues: [{ path: `variables.${name}`, message: "it is missing" }],
      });
    }
    const written = writtenIn(place, value);
    length += written.length;
    if (length > most) {
      const message = `with the values in its places a text has more than ${most.toLocaleString("en-US")} characters`;
      throw new MailchuteError("too_large", `Cannot merge the mail: ${message}`, {
        issues: [{ path: "variables", message }],
      });
    }
    return written;
  });
}

function writtenIn(place: TextPlace, value: string): string {
  if (place === "html") return escapeHtml(value);
  return place === "url" ? encodeURIComponent(value.toWellFormed()) : value;
}
