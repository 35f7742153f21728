import { escapeHtml } from "../template.ts";
import { type Attributes, htmlTokens } from "./html_token.ts";

// DESIGN: what comes out is written anew from the tokens of a browser, so it holds nothing but elements that are named
// here, each of them closed. It can close nothing that it has not opened, and leaves nothing open: no quote, no
// comment, no element.

const VOID = new Set(["br", "hr", "img", "wbr", "col"]);
const TABLE_PARTS = new Set(["caption", "col", "colgroup", "tbody", "td", "tfoot", "th", "thead", "tr"]);
const ELEMENTS = new Set([
  ..."a abbr address article aside b bdi bdo big blockquote br center cite code dd del details dfn div dl dt em figcaption figure font footer"
    .split(" "),
  ..."h1 h2 h3 h4 h5 h6 header hr i img ins kbd li main mark nav ol p pre q s samp section small span strike strong sub summary sup table"
    .split(" "),
  ..."time tt u ul var wbr".split(" "),
  ...TABLE_PARTS,
]);
/** Their content is not for readers, or is no HTML. */
const DROPPED = new Set("applet audio canvas datalist math object select svg template video".split(" "));
/** An end tag inside of one of these closes nothing outside of it (HTML standard, section 13.2.4.2). */
const SCOPES = new Set(["table", "td", "th", "caption"]);
const ATTRIBUTES = new Set(
  ("align alt bgcolor border cellpadding cellspacing cite color cols colspan datetime dir face height href hspace lang reversed role rowspan " +
    "size src start style title type valign value vspace width").split(" "),
);
const URLS = new Set(["cite", "href", "src"]);
/** Deeper than any mail; what is beyond keeps its text. */
const MAX_DEPTH = 200;

/**
 * Makes the HTML of one mail fit to stand inside of another: links, pictures, tables and `style` attributes stay; style
 * sheets, scripts, forms, comments, ids and classes go, and nothing of it reaches beyond itself, however broken it is.
 *
 * @example
 * ```ts
 * const html = embeddedHtml("<!doctype html><style>p{}</style><body></div><p onclick=x>1 < 2<b>bold<!-- ");
 * if (html !== "<p>1 &lt; 2<b>bold</b></p>") throw new Error(html);
 * ```
 */
export function embeddedHtml(html: string): string {
  const open: string[] = [];
  let out = "";
  /** The element of which nothing is taken, and how many of its name are open in it. */
  let dropped: { readonly name: string; depth: number } | undefined;
  for (const token of htmlTokens(html)) {
    if (dropped !== undefined) {
      if (token.kind !== "text" && token.name === dropped.name) dropped.depth += token.kind === "start" ? 1 : -1;
      if (dropped.depth === 0) dropped = undefined;
    } else if (token.kind === "text") {
      // A "<" that starts no tag could with what comes after something that is left out.
      out += token.text.replaceAll("<", "&lt;");
    } else if (token.kind === "end") {
      const at = placeOf(token.name, open);
      if (at >= 0) out += closed(open.splice(at));
    } else if (DROPPED.has(token.name)) {
      if (!token.isSelfClosed) dropped = { name: token.name, depth: 1 };
    } else if (isKept(token.name, open)) {
      out += `<${token.name}${written(token.attributes)}>`;
      if (!VOID.has(token.name)) open.push(token.name);
    }
  }
  return out + closed(open);
}

function isKept(name: string, open: readonly string[]): boolean {
  // A part of a table without one would be a part of whatever table is around it.
  return ELEMENTS.has(name) && open.length < MAX_DEPTH && (!TABLE_PARTS.has(name) || open.includes("table"));
}

/** Where the element is that an end tag closes; -1: there is none. */
function placeOf(name: string, open: readonly string[]): number {
  for (let at = open.length - 1; at >= 0; at--) {
    const found = open[at] as string;
    if (found === name) return at;
    if (name === "table" || TABLE_PARTS.has(name) ? found === "table" : SCOPES.has(found)) return -1;
  }
  return -1;
}

function closed(names: readonly string[]): string {
  return names.toReversed().map((name) => `</${name}>`).join("");
}

function written(attributes: Attributes): string {
  return [...attributes].filter(([name, value]) => ATTRIBUTES.has(name) && isHarmless(name, value))
    .map(([name, value]) => ` ${name}="${escapeHtml(value)}"`).join("");
}

function isHarmless(name: string, value: string): boolean {
  // What is positioned could lie over other items.
  if (name === "style") return !/position|url\s*\(|expression|[\\@]/i.test(value);
  if (!URLS.has(name)) return true;
  // Browsers leave out control characters and blanks before they look for the scheme.
  // deno-lint-ignore no-control-regex
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(value.replace(/[\x00-\x20]/g, ""))?.[1]?.toLowerCase();
  return scheme === undefined || ["http", "https", "mailto", "tel", "sms"].includes(scheme);
}
