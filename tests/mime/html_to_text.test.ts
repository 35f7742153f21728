import { expect, test } from "bun:test";
import { htmlToText } from "../../src/mime/html_to_text.ts";
import { thoroughly } from "../thoroughly.ts";

/** What is read, sentence by sentence: HTML, and the text of it. */
const CASES: readonly (readonly [what: string, html: string, text: string])[] = [
  ["blanks and line ends are one blank", " a \n\t b<b> c</b><i>d </i> e", "a b cd e\n"],
  ["paragraphs have a blank line between", "<p>a<p>b</p><p>c</p>d", "a\n\nb\n\nc\n\nd\n"],
  ["headings stand alone", "x<h1>A</h1>a<h2>B</h2><p>b", "x\n\nA\n\na\n\nB\n\nb\n"],
  ["other blocks begin a line", "a<div>b<div>c</div></div>d<section>e</section>", "a\nb\nc\nd\ne\n"],
  ["br breaks the line, and twice leaves a blank one", "a<br>b<br/><br />c</br>d", "a\nb\n\nc\nd\n"],
  ["no more than one blank line is left", "a<br><br><br><br><p></p><p> </p><p>&nbsp;</p><br>b", "a\n\nb\n"],
  ["a block of a break or a no-break space is a blank line", "a<div><br></div>b<div>&nbsp;</div>c", "a\n\nb\n\nc\n"],
  ["a no-break space is a blank that stays", "a&nbsp;&nbsp;b<br>&nbsp;&nbsp;c&nbsp;", "a  b\n  c\n"],
  ["soft hyphens and zero-width spaces are gone", "Donau&shy;dampf\u200bschiff", "Donaudampfschiff\n"],
  ["joiners stay in words and emoji", "می‌خواهم 👩‍👧", "می‌خواهم 👩‍👧\n"],
  ["lists have bullets", "<p>a<ul><li>b</li><li>c</ul>d", "a\n\n- b\n- c\n\nd\n"],
  ["numbered lists count", "<ol><li>a<li>b<li value=7>c<li>d</ol>", "1. a\n2. b\n7. c\n8. d\n"],
  ["numbered lists begin where they say", "<ol start=9><li>a<li>b<p>c</ol>", "9. a\n10. b\n\n    c\n"],
  [
    "letters and roman numerals",
    "<ol type=a start=26><li>x<li>y</ol><ol type=I start=4><li>z</ol>",
    "z. x\naa. y\n\nIV. z\n",
  ],
  [
    "nested lists are indented",
    "<ul><li>a<ol><li>b<ul><li>c</ul><li>d</ol><li>e</ul>",
    "- a\n  1. b\n     - c\n  2. d\n- e\n",
  ],
  [
    "a list item of blocks keeps its bullet",
    "<ul><li><p>a</p><p>b</p></li><li><div>c</div></li></ul>",
    "- a\n\n  b\n\n- c\n",
  ],
  ["an empty item has no bullet", "<ul><li></li><li>a</li><li> </li></ul>", "- a\n"],
  ["terms and their definitions", "<dl><dt>A<dd>a<dd>b<dt>B<dd>c</dl>", "A\n  a\n  b\nB\n  c\n"],
  [
    "quotes",
    "x<blockquote>a<p>b<blockquote>c<br>d</blockquote></blockquote>y",
    "x\n\n> a\n>\n> b\n>\n> > c\n> > d\n\ny\n",
  ],
  ["rules", "a<hr>b", "a\n\n----------\n\nb\n"],
  ["pre keeps its lines and blanks", "a<pre>\n  b\n\n\n    c &amp; d\n</pre>e", "a\n\n  b\n\n\n    c & d\n\ne\n"],
  [
    "a link shows where it leads",
    "Your <a href='https://example.com/7'>order</a>.",
    "Your order (https://example.com/7).\n",
  ],
  ["a link that says its URL stands once", "<a href='https://a.example/'>https://a.example</a>", "https://a.example\n"],
  ["a link of an image", "<a href='https://a.example'><img src=x alt='Shop'></a>", "Shop (https://a.example)\n"],
  ["a link without text is its URL", "<a href='https://a.example'><img src=x></a>", "https://a.example\n"],
  ["a link of blocks", "<a href='https://a.example'><table><tr><td>Buy</table></a>x", "Buy (https://a.example)\n\nx\n"],
  [
    "an address or a number that says itself",
    "<a href=mailto:a@b.c>a@b.c</a> <a href='tel:+49301'>+49 (30) 1</a>",
    "a@b.c +49 (30) 1\n",
  ],
  ["an address behind a name", "<a href='mailto:a@b.c?subject=x'>Write</a>", "Write (a@b.c)\n"],
  [
    "links that lead nowhere in a mail",
    "<a href='#x'>a</a> <a href='/p'>b</a> <a href='javascript:x'>c</a> <a name=d>d</a>",
    "a b c d\n",
  ],
  [
    "a blank in a URL is encoded and a line break gone",
    "<a href=' https://a.example/x y\nz '>a</a>",
    "a (https://a.example/x%20yz)\n",
  ],
  ["images by their alt", "<img src=a alt='A &amp; B'> <img src=pixel><img alt=''>c", "A & B c\n"],
  ["tables row by row", "<table><tr><th>Item<th>Price<tr><td>Lamp<td>49.00</table>", "Item | Price\nLamp | 49.00\n"],
  [
    "empty cells have no separator",
    "<table><tr><td></td><td>a</td><td> </td><td>b</td><td></td></tr></table>",
    "a | b\n",
  ],
  ["cells of blocks", "<table><tr><td><div>a</div></td><td><p>b</p></td></tr></table>", "a | b\n"],
  ["cells of several lines", "<table><tr><td>a<br>b</td><td>c</td></tr><tr><td>d</td></tr></table>", "a\nb\nc\nd\n"],
  ["tables in tables", "<table><tr><td><table><tr><td>a<td>b</table><td>c<tr><td>d</table>", "a | b | c\nd\n"],
  [
    "sections of a table",
    "<table><caption>T</caption><thead><tr><td>a<tbody><tr><td>b<tfoot><tr><td>c</table>",
    "T\na\nb\nc\n",
  ],
  [
    "scripts, styles, titles, templates and comments",
    "<title>t</title><style>a{}</style><script>1<'</p>'</script><template>x<p>y</template><!-- > z -->b",
    "b\n",
  ],
  ["drawings", "<svg><title>x</title><text>y</text></svg><svg/>b", "b\n"],
  ["preheaders", "<div style='font-size:1px;Display : none !important'>x<div>y</div>z</div>b", "b\n"],
  [
    "what is hidden in other ways",
    "<p hidden>x</p><span style='visibility:hidden'>y</span><div style='max-height:0; overflow:hidden'>z</div>b",
    "b\n",
  ],
  [
    "a preheader's filling",
    "Hello<div>&zwnj;&nbsp;&zwnj;&nbsp;&#847;&zwnj;</div>&nbsp;&zwnj; &nbsp;<p>b",
    "Hello\n\nb\n",
  ],
  [
    "what only looks hidden stays",
    "<div style='display:block'>a</div><td style='max-height:0.5em'>b</td><p data-hidden=1>c",
    "a\nb\n\nc\n",
  ],
  [
    "conditional comments",
    "<!--[if mso]>x<![endif]--><!--[if !mso]><!-->a<!--<![endif]--><![if !mso]>b<![endif]>",
    "ab\n",
  ],
  ["character references", "&lt;b&gt; K&ouml;ln &#8364;&#128;", "<b> Köln €€\n"],
  ["< that starts no tag", "1 < 2 <3 <- x<", "1 < 2 <3 <- x<\n"],
  ["</ at the end", "a</", "a</\n"],
  ["quotes in attributes", "<p title='>' data-x=\"a>b\" z=c'd>a</p>b", "a\n\nb\n"],
  ["tags that close nothing", "</i>a</div></td></table>b</x>", "ab\n"],
  [
    "an end tag in a cell closes nothing outside",
    "<div><table><tr><td>a</div>b</td><td>c</table></div>d",
    "ab | c\n\nd\n",
  ],
  [
    "a cell ends what it holds",
    "<table><tr><td><blockquote>a</td><td>b</td></tr></table>c",
    "> a\n\nb\n\nc\n".replace("\n\nb", " | b"),
  ],
  ["what stands behind the body", "<html><body>a</body></html>b", "ab\n"],
  ["an empty mail", "<html><head><meta charset=utf-8></head><body> <p> </p></body></html>", ""],
];

for (const [what, html, text] of CASES) {
  test(`htmlToText(): ${what}`, () => {
    expect(htmlToText(html)).toBe(text);
  });
}

test("htmlToText() reads an order confirmation as a person would", () => {
  const html = `<!doctype html><html><head><title>Order</title><style>td{padding:0}</style></head><body>
    <div style="display:none">Your order is on its way</div>
    <table role="presentation"><tr><td align="center">
      <a href="https://shop.example.com/"><img src="logo.png" alt="Shop"></a>
      <h1>Thank you, J&ouml;rg</h1>
      <p>Your parcel is <strong>on its way</strong>.<br>It takes two days.</p>
      <table><tr><th>Item</th><th>Price</th></tr>
        <tr><td>Desk lamp, brass</td><td align="right">49.00&nbsp;&euro;</td></tr>
        <tr><td>2 &times; light bulb</td><td align="right">9.80&nbsp;&euro;</td></tr></table>
      <p><a class="button" href="https://shop.example.com/orders/1042">Follow it</a></p>
      <hr><p>Shop Ltd &middot; <a href="mailto:help@example.com">help@example.com</a></p>
    </td></tr></table><img src="https://t.example/1.gif" width="1" height="1"></body></html>`;
  expect(htmlToText(html)).toBe([
    "Shop (https://shop.example.com/)",
    "",
    "Thank you, Jörg",
    "",
    "Your parcel is on its way.",
    "It takes two days.",
    "",
    "Item | Price",
    "Desk lamp, brass | 49.00 €",
    "2 × light bulb | 9.80 €",
    "",
    "Follow it (https://shop.example.com/orders/1042)",
    "",
    "----------",
    "",
    "Shop Ltd · help@example.com",
    "",
  ].join("\n"));
});

test("htmlToText() returns at every cut of a mail, and what it has read before a cut it keeps", () => {
  const html =
    `<p title="a>b">a &amp; b<!-- c --><ul><li><a href='https://x.example'>d</a></ul><style>e</style><table><tr><td>f`;
  for (let end = 0; end <= html.length; end++) {
    const text = htmlToText(html.slice(0, end));
    expect(text).toMatch(/^(?:[a<][\s\S]*\n)?$/);
    expect(text).not.toContain("e<");
  }
});

/** Each has been quadratic, or worse, in some reader of HTML. */
const HOSTILE: readonly string[] = [
  ...[
    "<",
    "</",
    "<!",
    "<?",
    "<!--",
    "<!-- x --!>",
    "<!--x-->",
    "<![CDATA[",
    "<a ",
    "<a href='",
    '<a href="x" ',
    "<x y=",
    "< ",
  ],
  ...[
    "<div>",
    "<b></i>",
    "</p>",
    "<p>",
    "<b>",
    "<table><tr><td>x",
    "<table></td>",
    "<ul><li>x",
    "<li>",
    "<td>x",
    "<dl><dd>x",
  ],
  ...[
    "<blockquote>x<br>",
    "<pre>x",
    "<pre>\n",
    "<br>",
    "<hr>",
    "<a href=x>y",
    "<a href=https://x.y>y</a>",
    "<script>",
    "<style>x</style>",
  ],
  ...["&", "&#1", "&amp", "&nbsp;", "&zwnj; ", "x ", "\n", "\u00a0", `<a b='"' c="'">`, "<p style='display:none'>x"],
  ...[
    "<div style='display:none'></p>",
    "<p style='display display display '>",
    "<ol start=3999 type=i><li>x",
    "<div><table>",
  ],
];

const LARGE_CHARS = thoroughly ? 1_000_000 : 200_000;

test(
  `GHSA-9h6g-pr28-7cqp and its kind: ${LARGE_CHARS} characters of hostile HTML take time in proportion to their number, however they are made`,
  () => {
    for (const piece of HOSTILE) {
      const [small, large] = [LARGE_CHARS / 10, LARGE_CHARS].map((chars) =>
        piece.repeat(Math.ceil(chars / piece.length))
      );
      const times = [small, large].map((html) => {
        const start = performance.now();
        const text = htmlToText(html ?? "");
        // And what it makes is in proportion too.
        expect(text.length).toBeLessThan(6 * (html ?? "").length);
        return performance.now() - start;
      });
      // Quadratic would be a hundred times as long, and a hundred seconds for a million.
      expect([piece, (times[1] ?? 0) < LARGE_CHARS / 200]).toEqual([piece, true]);
    }
  },
  120_000,
);

test("a million lines deep in lists make no text many times as long as their HTML", () => {
  const lists = "<ol type=i start=3888><li>".repeat(8);
  for (const html of [`${lists}<pre>${"a\n".repeat(500_000)}`, `${lists}<pre>a${"\n".repeat(999_999)}b`]) {
    const text = htmlToText(html);
    expect(text.startsWith("mmmdccclxxxviii. mmmdccclxxxviii. ")).toBeTrue();
    // Every line is there, and those at the end stand without their indentation.
    expect(text.trimEnd().split("\n").length).toBe(html.split("\n").length - (html.endsWith("\n") ? 1 : 0));
    expect(text.length).toBeLessThan(3 * html.length);
  }
});

test("of very much HTML the text is the beginning, cut between two characters, and says so; all other mails wait while it is made", () => {
  const most = 2_000_000;
  const whole = "a".repeat(most - 10);
  expect(htmlToText(whole)).toBe(`${whole}\n`);
  expect(htmlToText(`${whole}b`)).toBe(`${whole}\n\n[…]\n`);
  // Half a character, and half a reference.
  for (const end of ["\u{1F600}", "&amp;"]) {
    expect(htmlToText(`${whole.slice(1)}${end}`)).toBe(`${whole.slice(1)}\n\n[…]\n`);
  }
  // A tag and its text cost more than their characters.
  const paragraphs = htmlToText("<p>a".repeat(200_000));
  expect(paragraphs).toEndWith("a\n\n[…]\n");
  expect(paragraphs.split("\n\n")).toHaveLength(Math.floor(most / 21) + 1);
  const attributes = Array.from({ length: 2_000 }, (_, index) => `data-${index}=x`).join(" ");
  expect(htmlToText(`<a ${attributes} href="https://shop.example">Shop</a>`)).toBe("Shop\n");
  expect(htmlToText(`<a href="https://shop.example" ${attributes}>Shop</a>`)).toBe("Shop (https://shop.example)\n");
});

test("nodemailer GHSA-9h6g-pr28-7cqp: an image in a data: URI of a megabyte is passed over", () => {
  expect(htmlToText(`<img src="data:image/png;base64,${"A".repeat(1_000_000)}" alt="Logo">`)).toBe("Logo\n");
  expect(htmlToText(`a<img src="data:${"image/".repeat(200_000)}`)).toBe("a\n");
});
