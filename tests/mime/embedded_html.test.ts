import { expect, test } from "bun:test";
import { embeddedHtml } from "../../src/mime/embedded_html.ts";
import { htmlTokens } from "../../src/mime/html_token.ts";
import { prng } from "./prng.ts";

const CASES: Readonly<Record<string, readonly [html: string, embedded: string]>> = {
  "a whole document is its body": [
    "<!doctype html><html lang=en><head><title>x</title><meta charset=utf-8><link href=a><style>p{}</style></head><body class=a><p>Hi</p></body></html>",
    "<p>Hi</p>",
  ],
  "a head that is never closed takes nothing with it": ["<head><title>x</title><body><p>Hi", "<p>Hi</p>"],
  "what is open is closed": ["<div><b>a<i>b", "<div><b>a<i>b</i></b></div>"],
  "what is not open is not closed": ["</div></td></table></body>a</p>", "a"],
  "an end tag closes what is open inside": ["<ul><li><b>a</ul>b", "<ul><li><b>a</b></li></ul>b"],
  "an end tag in a cell closes nothing around the table": [
    "<div><table><tr><td>a</div>b</td></tr></table>c",
    "<div><table><tr><td>ab</td></tr></table>c</div>",
  ],
  "a row without a table is no row": ["<tr><td>a</td></tr></table>b", "ab"],
  "a comment that is never closed ends the item": ["a<!-- <b>", "a"],
  "a quote that is never closed ends the item": ['a<a href="x>b</a>', "a"],
  "no comment makes a tag of what is none": ["a<<!-- -->b>c", "a&lt;b>c"],
  "scripts, styles and forms go, and what a form says stays": [
    "<script>alert(1)</script><style>*{}</style><form action=x><input name=a>Name</form><textarea></table>",
    "Name",
  ],
  "drawings and plugins go with what is in them": [
    "<svg><svg></svg><b>x</b></svg>a<object><p>b</object>c<svg/>d",
    "acd",
  ],
  "handlers, ids and classes go": [
    "<p onclick=x id=a class=b style='color:red' dir=rtl>a",
    '<p style="color:red" dir="rtl">a</p>',
  ],
  "a style that could cover others goes": [
    `<p style="POSITION :fixed">a</p><p style="background:url(x)">b</p><p style="po\\73ition:fixed">c`,
    "<p>a</p><p>b</p><p>c</p>",
  ],
  "a link has a scheme for links": [
    "<a href=https://example.com/?a=1&amp;b=2>a</a><a href=' java\tscript:x'>b</a><a href=/c>c</a><img src=data:image/png;base64,x alt=d>",
    '<a href="https://example.com/?a=1&amp;b=2">a</a><a>b</a><a href="/c">c</a><img alt="d">',
  ],
  "a value cannot leave its quotes": [
    "<a title='\"><script>x</script>'>a",
    '<a title="&quot;&gt;&lt;script&gt;x&lt;/script&gt;">a</a>',
  ],
  "an unknown element goes, and what it says stays": ["<o:p>a</o:p><plaintext>b", "ab"],
  "references and Unicode stay as they are": ["&eacute;&amp;&lt;b&gt; ä€😀שלום", "&eacute;&amp;&lt;b&gt; ä€😀שלום"],
};

for (const [name, [html, embedded]] of Object.entries(CASES)) {
  test(name, () => {
    expect(embeddedHtml(html)).toBe(embedded);
  });
}

/** Which elements are open after this HTML, and whether one was closed that it had not opened. */
function balance(html: string): { readonly open: readonly string[]; readonly closesOthers: boolean } {
  const open: string[] = [];
  let closesOthers = false;
  for (const token of htmlTokens(html)) {
    if (token.kind === "start" && !/^(br|hr|img|wbr|col)$/.test(token.name)) open.push(token.name);
    if (token.kind === "end" && open.pop() !== token.name) closesOthers = true;
  }
  return { open, closesOthers };
}

test("whatever comes in, each element that comes out is closed by its own tag, and a second pass changes nothing", () => {
  const parts =
    "<div> </div> <table> <tr> <td> </td> </tr> </table> <b> </b> <p> </p> <ul> <li> <!-- --> < > \" ' <a href=' <svg> </svg> & x <br> <style> </style>"
      .split(" ");
  const random = prng(7);
  for (let round = 0; round < 3_000; round++) {
    const html = Array.from({ length: 20 }, () => parts[random.int(parts.length)]).join("");
    const embedded = embeddedHtml(html);
    expect({ html, ...balance(embedded) }).toEqual({ html, open: [], closesOthers: false });
    expect({ html, embedded: embeddedHtml(embedded) }).toEqual({ html, embedded });
  }
});

test("a megabyte of open elements takes no longer than a megabyte of text", () => {
  const begin = performance.now();
  const html = embeddedHtml("<b></i>".repeat(150_000));
  expect(html.startsWith("<b>".repeat(200) + "</b>")).toBe(true);
  expect(performance.now() - begin).toBeLessThan(5_000);
});
