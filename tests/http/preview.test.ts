import { expect, test } from "bun:test";
import { inlinePictures, previewPage } from "../../relay/http/preview.ts";
import type { MailAttachment, ReadMail } from "../../relay/http/read_mail.ts";

function picture(contentId: string, bytes: number, contentType = "image/png"): MailAttachment {
  return { filename: "x", contentType, contentId, content: new Uint8Array(bytes) };
}

test("a cid: URL becomes the picture in every place it can stand, also percent-encoded", () => {
  const attachments = [picture("a@x", 3)];
  const uri = "data:image/png;base64,AAAA";
  const html = `<img src="cid:a@x"><img src='cid:a%40x'><img src=CID:a@x><p style="background:url(cid:a@x)">cid:b@x`;
  expect(inlinePictures({ html, attachments })).toBe(
    `<img src="${uri}"><img src='${uri}'><img src=${uri}><p style="background:url(${uri})">cid:b@x`,
  );
});

test("attack: an SVG or HTML part is not inlined as a picture", () => {
  for (const type of ["image/svg+xml", "text/html", 'image/png; x="><script>']) {
    const html = '<img src="cid:a">';
    expect(inlinePictures({ html, attachments: [picture("a", 3, type)] })).toBe(html);
  }
});

test("attack: one picture named ten thousand times does not fill the memory", () => {
  const html = '<img src="cid:a">'.repeat(10_000);
  const page = inlinePictures({ html, attachments: [picture("a", 1_048_576)] });
  expect(page.length).toBeLessThan(34 * 1_048_576);
  expect(page).toContain("cid:a");
});

test("attack: a page of a million open tags, comments or quotes is answered in bounded time", async () => {
  const started = performance.now();
  for (const piece of ["<a ", "<div>", "<script>", "<!--", "<a x='", "cid:", "&"]) {
    const mail: Pick<ReadMail, "html" | "attachments"> = { html: piece.repeat(300_000), attachments: [] };
    await previewPage(mail).text();
  }
  expect(performance.now() - started).toBeLessThan(10_000);
});
