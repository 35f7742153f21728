import { body, type Fault } from "./field.ts";

/**
 * HTML: a string, a promise of one (React Email's `render`), or an element whose `toString()` gives a string or a
 * promise (hono/jsx).
 */
export type Html = string | HtmlElement | Promise<string | HtmlElement>;

/** Any object that turns itself into HTML, such as an element of hono/jsx. */
export type HtmlElement = object & {
  /** Renders it. */
  toString(): string | Promise<string>;
};

/** Reads rendered HTML. */
export function html(value: unknown, fault: Fault): string {
  if (typeof value === "object") {
    fault("it does not render itself: give a string (React Email: await render(element))");
    return "";
  }
  return body(value, fault);
}
