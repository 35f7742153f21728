import { decodeEntities } from "./html_entity.ts";
import { type Attributes, htmlTokens } from "./html_token.ts";
import { listMarker, type ListState } from "./list_marker.ts";
import { TextWriter } from "./text_writer.ts";

const VOID = new Set("area base br col embed hr img input link meta param source track wbr".split(" "));
/** Their content is not for readers. */
const UNSEEN = new Set(["template", "svg", "datalist", "select", "audio", "video", "object", "canvas"]);
/** How many line breaks a block asks for in front and behind. */
const BLOCKS: ReadonlyMap<string, 1 | 2> = new Map([
  ..."address article aside caption center dd details dialog div dl dt fieldset figcaption figure footer form header"
    .split(" ")
    .map((name) => [name, 1] as const),
  ..."legend main nav section summary".split(" ").map((name) => [name, 1] as const),
  ..."blockquote h1 h2 h3 h4 h5 h6 hr p pre listing table".split(" ").map((name) => [name, 2] as const),
]);
const LISTS = new Set(["ul", "ol", "menu", "dir"]);
/** An end tag inside of one of these closes nothing outside of it. */
const SCOPES = new Set(["table", "td", "th", "caption", ...UNSEEN]);
const TABLE_PARTS = new Set(["td", "th", "tr", "thead", "tbody", "tfoot", "caption"]);
/**
 * A start tag that ends elements whose end tag may be left out, as far as none of `within`, and no scope, is between.
 */
interface Implied {
  readonly ends: readonly string[];
  readonly within: readonly string[];
  readonly isScoped?: boolean;
}
const CELL: Implied = { ends: ["td", "th", "caption"], within: ["table"] };
const SECTION: Implied = { ends: ["thead", "tbody", "tfoot", "tr", "caption"], within: ["table"] };
const TERM: Implied = { ends: ["dt", "dd"], within: ["dl"], isScoped: true };
const IMPLIED: ReadonlyMap<string, Implied> = new Map([
  ["li", { ends: ["li"], within: [...LISTS], isScoped: true }],
  ["dt", TERM],
  ["dd", TERM],
  ["td", CELL],
  ["th", CELL],
  ["tr", { ends: ["tr", "caption"], within: ["table"] }],
  ["thead", SECTION],
  ["tbody", SECTION],
  ["tfoot", SECTION],
  ["a", { ends: ["a"], within: [], isScoped: true }],
]);
const RULE = "-".repeat(10);

/** So much is read, in characters of text; a novel is shorter. All other mails wait meanwhile. */
const MOST_WORK = 2_000_000;
/** What a tag, or the beginning of a text, costs beside its characters. */
const TOKEN_WORK = 10;
/** Stands where the reading ended. */
const CUT = "\n[…]\n";
/** Half a character, or half a reference, at the end of a text that was cut. */
const HALF = /[\ud800-\udbff]$|&[^;\s]{0,31}$/;

/**
 * Makes the text of a mail that was given as HTML only, for readers and filters that want one: headings, paragraphs,
 * lists, quotes and tables by their line breaks, a link as `text (url)`, an image by its alt. What a mail hides (a
 * preheader with `display: none`) is left out. Lines are not wrapped. Takes time linear in the input, however it is
 * nested or broken; of very much it makes the beginning, and ends with `[…]`.
 *
 * @example
 * ```ts
 * const text = htmlToText("<h1>Hello</h1><ul><li>One<li><a href='https://example.com/2'>Two</a></ul>");
 * if (text !== "Hello\n\n- One\n- Two (https://example.com/2)\n") throw new Error("unexpected");
 * ```
 * @returns the empty string when there is nothing to read
 */
export function htmlToText(html: string): string {
  const reader = new HtmlReader();
  let left = MOST_WORK;
  for (const token of htmlTokens(html)) {
    left -= TOKEN_WORK + (token.kind === "text" ? token.text.length : 0);
    if (left < 0) {
      if (token.kind === "text") reader.text(token.text.slice(0, left).replace(HALF, ""));
      return reader.end() + CUT;
    }
    if (token.kind === "text") reader.text(token.text);
    else if (token.kind === "end") reader.close(token.name);
    else if (!(token.isSelfClosed && token.name === "svg")) reader.open(token.name, token.attributes);
  }
  return reader.end();
}

/** An element that is open, and what to do when it ends. */
interface OpenElement {
  readonly name: string;
  readonly end: (() => void) | undefined;
}

/** Follows which elements are open, as browsers do where it makes a difference to text. */
class HtmlReader {
  readonly #writer = new TextWriter();
  readonly #open: OpenElement[] = [];
  /** Where in #open the elements of a name are, so that nothing is ever searched for. */
  readonly #places = new Map<string, number[]>();
  /** Where the scopes are among them. */
  readonly #scopes: number[] = [];
  readonly #lists: ListState[] = [];
  #verbatim = 0;
  #isPreStart = false;

  text(raw: string): void {
    const text = decodeEntities(raw);
    // HTML drops the line break behind <pre>.
    const shown = this.#isPreStart ? text.replace(/^\r?\n/, "") : text;
    this.#isPreStart = false;
    if (this.#verbatim > 0) this.#writer.verbatim(shown);
    else this.#writer.flow(shown);
  }

  open(name: string, attributes: Attributes): void {
    this.#isPreStart = false;
    if (BLOCKS.has(name) || LISTS.has(name)) this.#closeIfOpen("p", this.#lastScope());
    const implied = IMPLIED.get(name);
    if (implied !== undefined) {
      const within = Math.max(implied.isScoped ? this.#lastScope() : -1, this.#last(implied.within));
      for (const ended of implied.ends) this.#closeIfOpen(ended, within);
    }
    if (VOID.has(name)) return this.#void(name, attributes);
    const end = this.#begin(name, attributes);
    const places = this.#places.get(name);
    if (places === undefined) this.#places.set(name, [this.#open.length]);
    else places.push(this.#open.length);
    if (SCOPES.has(name)) this.#scopes.push(this.#open.length);
    this.#open.push({ name, end });
  }

  close(name: string): void {
    if (name === "br") return this.#writer.breakLine();
    // What stands behind the end of the body is shown as if it stood before it.
    if (name === "body" || name === "html") return;
    this.#closeIfOpen(name, TABLE_PARTS.has(name) ? this.#last(["table"]) : name === "table" ? -1 : this.#lastScope());
  }

  end(): string {
    this.#closeDownTo(0);
    return this.#writer.end();
  }

  /** The place of the innermost open element of these names; -1 when there is none. */
  #last(names: Iterable<string>): number {
    let last = -1;
    for (const name of names) last = Math.max(last, this.#places.get(name)?.at(-1) ?? -1);
    return last;
  }

  #lastScope(): number {
    return this.#scopes.at(-1) ?? -1;
  }

  #closeIfOpen(name: string, outer: number): void {
    const place = this.#last([name]);
    if (place >= 0 && place >= outer) this.#closeDownTo(place);
  }

  #closeDownTo(place: number): void {
    while (this.#open.length > place) {
      const element = this.#open.pop();
      if (element === undefined) return;
      this.#places.get(element.name)?.pop();
      if (SCOPES.has(element.name)) this.#scopes.pop();
      element.end?.();
    }
  }

  #void(name: string, attributes: Attributes): void {
    if (isHidden(attributes)) return;
    if (name === "br") this.#writer.breakLine();
    if (name === "img") this.#writer.flow(attributes.get("alt") ?? "");
    if (name !== "hr") return;
    this.#writer.break(2);
    this.#writer.flow(RULE);
    this.#writer.break(2);
  }

  /** Writes what an element begins with, and returns how to end it. */
  #begin(name: string, attributes: Attributes): (() => void) | undefined {
    const writer = this.#writer;
    if (UNSEEN.has(name) || isHidden(attributes)) {
      writer.hide();
      return () => writer.show();
    }
    if (LISTS.has(name)) return this.#beginList(name, attributes);
    const breaks = BLOCKS.get(name);
    if (breaks !== undefined) writer.break(breaks);
    const end = this.#beginSpecial(name, attributes);
    return breaks === undefined ? end : () => {
      end?.();
      writer.break(breaks);
    };
  }

  #beginSpecial(name: string, attributes: Attributes): (() => void) | undefined {
    const writer = this.#writer;
    switch (name) {
      case "a":
        return this.#beginLink(attributes.get("href"));
      case "li":
        return this.#beginItem(attributes);
      case "blockquote":
        writer.indent("> ", "> ");
        return () => writer.outdent();
      case "dd":
        writer.indent("  ", "  ");
        return () => writer.outdent();
      case "tr":
        writer.startRow();
        return () => writer.endRow();
      case "td":
      case "th":
        writer.startCell();
        return undefined;
      case "pre":
      case "listing":
        this.#verbatim++;
        this.#isPreStart = true;
        return () => {
          this.#verbatim--;
          writer.endVerbatim();
        };
      default:
        return undefined;
    }
  }

  #beginList(name: string, attributes: Attributes): () => void {
    const breaks = this.#lists.length === 0 ? 2 : 1;
    this.#writer.break(breaks);
    const type = name === "ol" ? attributes.get("type") ?? "1" : undefined;
    this.#lists.push({ type, next: wholeNumber(attributes.get("start")) ?? 1 });
    return () => {
      this.#lists.pop();
      this.#writer.break(breaks);
    };
  }

  #beginItem(attributes: Attributes): () => void {
    const list = this.#lists.at(-1);
    const value = wholeNumber(attributes.get("value"));
    if (list !== undefined && value !== undefined) list.next = value;
    const marker = listMarker(list);
    this.#writer.break(1);
    this.#writer.indent(marker, " ".repeat(marker.length));
    return () => {
      this.#writer.outdent();
      this.#writer.break(1);
    };
  }

  #beginLink(href: string | undefined): (() => void) | undefined {
    const url = readableUrl(href ?? "");
    if (url === "") return undefined;
    this.#writer.startCapture();
    return () => {
      const text = this.#writer.endCapture();
      if (text === "") this.#writer.flow(url);
      else if (!saysTheSame(text, url)) this.#writer.append(` (${url})`);
    };
  }
}

/**
 * What a reader can use of a link: no anchor, no script, no path without its host; without the scheme of an address or
 * a number.
 */
function readableUrl(href: string): string {
  // URLs lose these wherever they stand (URL standard, section 4.4).
  const url = href.replaceAll(/[\t\n\r]/g, "").trim().replaceAll(" ", "%20");
  const contact = /^(?:mailto|tel|sms):([^?]*)/i.exec(url)?.[1];
  if (contact !== undefined) return contact;
  if (url.startsWith("//")) return `https:${url}`;
  return /^[a-z][a-z\d+.-]*:/i.test(url) && !/^(?:javascript|vbscript|data|cid|blob|file|about):/i.test(url) ? url : "";
}

function saysTheSame(text: string, url: string): boolean {
  const bare = (value: string) => value.replace(/\/$/, "").toLowerCase();
  if (bare(text) === bare(url)) return true;
  // A number is grouped for people, and not for machines.
  return /^\+?[\d]+$/.test(url) && text.replaceAll(/[^\d+]/g, "") === url;
}

function isHidden(attributes: Attributes): boolean {
  if (attributes.has("hidden")) return true;
  const style = attributes.get("style") ?? "";
  return style !== "" && (/(?:^|[;\s])(?:display\s*:\s*none|visibility\s*:\s*hidden)\b/i.test(style) ||
    (/(?:^|[;\s])max-height\s*:\s*0(?![\d.])/i.test(style) && /overflow\s*:\s*hidden/i.test(style)));
}

function wholeNumber(text: string | undefined): number | undefined {
  return /^\s*-?\d{1,9}\s*$/.test(text ?? "") ? Number(text) : undefined;
}
