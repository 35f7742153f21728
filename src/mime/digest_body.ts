import { escapeHtml } from "../template.ts";
import { embeddedHtml } from "./embedded_html.ts";
import { htmlToText } from "./html_to_text.ts";

/** What a digest says, as the database keeps it. */
export interface DigestContent {
  /** In the order of their coming. */
  readonly items: readonly DigestItem[];
  /** A line for those that have no room, such as `and 3 more`. */
  readonly more?: string;
}

/** One item: at least one of text and html. */
export interface DigestItem {
  readonly subject: string;
  readonly text?: string;
  readonly html?: string;
}

const CELL = 'style="padding:0 0 24px;border-bottom:1px solid #ddd"';
const HEADING = 'style="margin:24px 0 8px;font-size:18px"';

/**
 * Lays out a digest: each item under its subject, as text, and as HTML if one of them has HTML.
 *
 * Each item is a table of its own, which together with `embeddedHtml` keeps what is broken in one from reaching the
 * next.
 *
 * @example
 * ```ts
 * const { text, html } = digestBody({ items: [{ subject: "Ann replied", text: "Yes!" }], more: "and 3 more" });
 * if (text !== "Ann replied\n-----------\n\nYes!\n\n\nand 3 more\n" || html !== null) throw new Error(text);
 * ```
 */
export function digestBody({ items, more }: DigestContent): { readonly text: string; readonly html: string | null } {
  const sections = items.map(toText);
  const text = `${[...sections, ...(more === undefined ? [] : [more])].join("\n\n\n")}\n`;
  if (items.every(({ html }) => html === undefined)) return { text, html: null };
  const rest = more === undefined ? "" : `<p dir="auto">${escapeHtml(more)}</p>\n`;
  return { text, html: `<!doctype html>\n<html>\n<body>\n${items.map(toHtml).join("")}${rest}</body>\n</html>\n` };
}

function toText({ subject, text, html }: DigestItem): string {
  const rule = "-".repeat(Math.min(Math.max([...subject].length, 3), 72));
  // An empty text asks for HTML alone, of which a digest has a part only.
  return `${subject}\n${rule}\n\n${(text || htmlToText(html ?? "")).trimEnd()}`;
}

function toHtml({ subject, text, html }: DigestItem): string {
  const body = html === undefined
    ? `<div dir="auto" style="white-space:pre-wrap">${escapeHtml((text ?? "").trimEnd())}</div>`
    : embeddedHtml(html);
  return `<h2 dir="auto" ${HEADING}>${escapeHtml(subject)}</h2>\n` +
    `<table role="presentation" width="100%" cellpadding="0" cellspacing="0"><tr><td ${CELL}>${body}</td></tr></table>\n`;
}
