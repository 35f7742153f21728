/** @jsxImportSource hono/jsx */
import { html, raw } from "hono/html";
import type { Child } from "hono/jsx";
import { PAGE_POLICY, STYLE } from "./style.ts";

/** What a page is about. */
export interface PageOptions {
  readonly title: string;
  /** Links in the head of the page: relative, so that any prefix of a proxy works. */
  readonly links?: readonly { readonly href: string; readonly text: string; readonly current?: boolean }[];
  /** Seconds between reloads; none when undefined. */
  readonly refreshSeconds?: number | undefined;
  readonly status?: number;
}

/** Wraps a body into a whole page without a script. */
export async function page(body: Child, options: PageOptions): Promise<Response> {
  const { title, links = [], refreshSeconds, status = 200 } = options;
  const document = (
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        {refreshSeconds === undefined ? "" : <meta http-equiv="refresh" content={String(refreshSeconds)} />}
        <title>{title} · mailchute</title>
        <style>{raw(STYLE)}</style>
      </head>
      <body>
        <a class="skip" href="#content">Skip to the content</a>
        <header>
          <strong>mailchute</strong>
          <nav aria-label="Pages">
            {links.map(({ href, text, current }) => (
              <a href={href} aria-current={current ? "page" : undefined}>{text}</a>
            ))}
          </nav>
        </header>
        <main id="content">{body}</main>
      </body>
    </html>
  );
  const text = await html`<!doctype html>${document}`;
  return new Response(String(text), {
    status,
    headers: { "content-type": "text/html; charset=utf-8", "content-security-policy": PAGE_POLICY },
  });
}
