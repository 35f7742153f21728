import { body, type Fault } from "./field.ts";

/**
 * HTML: a string, a promise of one (React Email's `render`), or an element whose `toString()` gives a string or a promise
 * (hono/jsx).
 */
export type Html = string | HtmlElement | Promise<string | HtmlElement>;

/** Any object that turns itself into HTML, such as an element of hono/jsx. */
export type HtmlElement = object & {
  /** Renders it. */
  toString(): string | Promise<string>;
};

/** Renders what is not yet a string; what has no way to be rendered stays as it is, for the check to name. */
export async function loadHtml(value: unknown): Promise<unknown> {
  const element: unknown = await value;
  if (typeof element !== "object" || element === null || !rendersItself(element)) return element;
  // hono answers with a String object.
  return String(await (element as HtmlElement).toString());
}

/** Reads rendered HTML. */
export function html(value: unknown, fault: Fault): string {
  if (typeof value === "object") {
    fault("it does not render itself: give a string (React Email: await render(element))");
    return "";
  }
  return body(value, fault);
}

/** A React element, an array and a plain object would all become something like `[object Object]`. */
function rendersItself(element: object): boolean {
  return !Array.isArray(element) && element.toString !== Object.prototype.toString;
}
