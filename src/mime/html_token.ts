import { decodeEntities } from "./html_entity.ts";

/** A piece of HTML: text between tags, its character references not yet replaced, or a tag. */
export type HtmlToken =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "start"; readonly name: string; readonly attributes: Attributes; readonly isSelfClosed: boolean }
  | { readonly kind: "end"; readonly name: string };

/** Names in lower case, values with their character references replaced. */
export type Attributes = ReadonlyMap<string, string>;

/**
 * Elements whose content is no HTML: it ends at their end tag and nowhere else (HTML standard, section 13.2.5). Nobody
 * reads it.
 */
const RAW: ReadonlyMap<string, RegExp> = new Map(
  ["script", "style", "title", "textarea", "iframe", "noembed", "noframes", "xmp"]
    .map((name) => [name, new RegExp(`</${name}(?=[\\t\\n\\f\\r />])`, "gi")]),
);
/**
 * Of a tag, and of an attribute's value: nobody reads more (of the latter an image, as a URL), and all other mails
 * would wait for it.
 */
const MOST_ATTRIBUTES = 1_000;
const MOST_CHARACTERS = 100_000;
/** What is no text: a tag, a comment, a declaration. */
const TAG_LIKE = /^<(?:[A-Za-z!?]|\/[^])/;
const COMMENT_END = /--!?>/g;
const NAME_END = /[\t\n\f\r />]/g;
const ATTRIBUTE_START = /[^\t\n\f\r /]/g;
const ATTRIBUTE_NAME_END = /[\t\n\f\r />=]/g;
const NOT_BLANK = /[^\t\n\f\r ]/g;
const UNQUOTED_END = /[\t\n\f\r >]/g;

/**
 * Splits HTML into text and tags as the tokenizer of the HTML standard does (section 13.2.5); comments, declarations
 * and the content of scripts and the like are left out. It never goes back, so it takes time linear in the input, and
 * what is not closed reaches to the end.
 *
 * @example
 * ```ts
 * const kinds = [...htmlTokens("1 < 2<!-- <b> --><a href='x'>y</a>")].map(({ kind }) => kind);
 * if (kinds.join() !== "text,text,start,text,end") throw new Error("unexpected");
 * ```
 */
export function* htmlTokens(html: string): Generator<HtmlToken> {
  let at = 0;
  while (at < html.length) {
    if (!TAG_LIKE.test(html.slice(at, at + 3))) {
      // A "<" that starts no tag is text.
      const next = html.indexOf("<", at + 1);
      const end = next < 0 ? html.length : next;
      yield { kind: "text", text: html.slice(at, end) };
      at = end;
      continue;
    }
    const isEnd = html[at + 1] === "/";
    if (!/[A-Za-z]/.test(html[isEnd ? at + 2 : at + 1] ?? "")) {
      at = commentEnd(html, at);
      continue;
    }
    const tag = readTag(html, isEnd ? at + 2 : at + 1);
    // Browsers drop a tag that never ends, and so the rest.
    if (tag === undefined) return;
    at = tag.end;
    const { name, attributes, isSelfClosed } = tag;
    if (isEnd) {
      yield { kind: "end", name };
      continue;
    }
    const close = RAW.get(name);
    if (close === undefined) yield { kind: "start", name, attributes, isSelfClosed };
    else at = find(close, html, at);
  }
}

/** Where a comment, a declaration or what looks like one ends. */
function commentEnd(html: string, at: number): number {
  if (!html.startsWith("<!--", at)) return after(html, html.indexOf(">", at), 1);
  const abrupt = /^-?>/.exec(html.slice(at + 4, at + 6));
  if (abrupt !== null) return at + 4 + abrupt[0].length;
  const end = find(COMMENT_END, html, at + 4);
  return after(html, html.indexOf(">", end), 1);
}

interface Tag {
  readonly name: string;
  readonly attributes: Attributes;
  readonly isSelfClosed: boolean;
  readonly end: number;
}

/** Reads a tag from its name on; undefined when the text ends within it. */
function readTag(html: string, start: number): Tag | undefined {
  const attributes = new Map<string, string>();
  let at = find(NAME_END, html, start);
  const name = html.slice(start, at).toLowerCase();
  while ((at = find(ATTRIBUTE_START, html, at)) < html.length) {
    if (html[at] === ">") return { name, attributes, isSelfClosed: html[at - 1] === "/", end: at + 1 };
    // An "=" in front belongs to the name.
    const nameEnd = find(ATTRIBUTE_NAME_END, html, at + 1);
    const key = html.slice(at, nameEnd).toLowerCase();
    const value = readValue(html, nameEnd);
    if (value === undefined) return undefined;
    if (!attributes.has(key) && attributes.size < MOST_ATTRIBUTES) {
      attributes.set(key, value.text.length > MOST_CHARACTERS ? "" : decodeEntities(value.text, "attribute"));
    }
    at = value.end;
  }
  return undefined;
}

/** Reads `= value`, if there is one; undefined when its quotes are not closed. */
function readValue(html: string, nameEnd: number): { readonly text: string; readonly end: number } | undefined {
  const equals = find(NOT_BLANK, html, nameEnd);
  if (html[equals] !== "=") return { text: "", end: nameEnd };
  const start = find(NOT_BLANK, html, equals + 1);
  const quote = html[start];
  if (quote === '"' || quote === "'") {
    const close = html.indexOf(quote, start + 1);
    return close < 0 ? undefined : { text: html.slice(start + 1, close), end: close + 1 };
  }
  const end = find(UNQUOTED_END, html, start);
  return { text: html.slice(start, end), end };
}

/** The place of the next match, or the end. */
function find(pattern: RegExp, html: string, from: number): number {
  pattern.lastIndex = from;
  return pattern.exec(html)?.index ?? html.length;
}

function after(html: string, index: number, chars: number): number {
  return index < 0 ? html.length : index + chars;
}
