import type { ReadMail } from "./read_mail.ts";

/**
 * The policy of a mail's own page: nothing runs, nothing is fetched, nothing is sent, and it has no origin.
 *
 * `sandbox` also holds when the page is opened by itself, and it stops meta refresh, which no other directive does.
 */
export const PREVIEW_POLICY: string = [
  "sandbox",
  "default-src 'none'",
  "style-src 'unsafe-inline'",
  "img-src data:",
  "form-action 'none'",
  "base-uri 'none'",
  "frame-ancestors 'self'",
].join("; ");

// Not SVG: it is a document. The others can hold nothing but pixels.
const PICTURES = new Set(["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"]);

/** One picture named ten thousand times must not become ten thousand pictures. */
const MAX_INLINED_BYTES = 32 * 1_048_576;

/** Elements that fetch, run, submit or move before a policy is asked, or that have no use without what it forbids. */
const REMOVED = "script, link, meta, base, object, embed, applet, iframe, frame, frameset, portal, template";

/**
 * Returns a mail's HTML as a page of its own, with its inline pictures as data URIs.
 *
 * The policy alone keeps the mail from doing anything; what it cannot forbid (`<link rel=preconnect>` opens a
 * connection under any policy) is removed, along with everything that has no use here.
 */
export function previewPage(mail: Pick<ReadMail, "html" | "attachments">): Response {
  const page = new HTMLRewriter()
    .on(REMOVED, { element: (element) => void element.remove() })
    // A sandbox opens no new window: the link opens where it is.
    .on("a, area", { element: (element) => void element.removeAttribute("target") })
    .transform(inlinePictures(mail));
  return new Response(page, {
    headers: {
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": PREVIEW_POLICY,
      "x-dns-prefetch-control": "off",
      "x-frame-options": "SAMEORIGIN",
    },
  });
}

/** Replaces `cid:` URLs (RFC 2392) by the pictures that they name; unknown ones stay and show nothing. */
export function inlinePictures(mail: Pick<ReadMail, "html" | "attachments">): string {
  const pictures = new Map<string, () => string>();
  for (const { contentId, contentType, content } of mail.attachments) {
    if (contentId === undefined || !PICTURES.has(contentType)) continue;
    let uri: string | undefined;
    pictures.set(contentId, () => uri ??= `data:${contentType};base64,${Buffer.from(content).toString("base64")}`);
  }
  let left = MAX_INLINED_BYTES;
  return (mail.html ?? "").replace(/\bcid:([^\s"'<>()\\]{1,998})/gi, (whole, id: string) => {
    const uri = (pictures.get(id) ?? pictures.get(decode(id)))?.();
    if (uri === undefined || uri.length > left) return whole;
    left -= uri.length;
    return uri;
  });
}

function decode(id: string): string {
  try {
    return decodeURIComponent(id.replaceAll("&amp;", "&"));
  } catch {
    return id;
  }
}
