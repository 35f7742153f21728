import { expect, test } from "bun:test";
import { digestBody } from "../../src/mime/digest_body.ts";

test("items of text make a text, each under its subject, in their order, and no HTML", () => {
  const { text, html } = digestBody({
    items: [{ subject: "Grüße von 😀", text: "Hallo\n\n" }, { subject: "Hi", text: "1 < 2 & 3" }],
    more: "and 3 more",
  });
  expect(text).toBe("Grüße von 😀\n-----------\n\nHallo\n\n\nHi\n---\n\n1 < 2 & 3\n\n\nand 3 more\n");
  expect(html).toBeNull();
});

test("a line under a long subject ends where a terminal does", () => {
  const { text } = digestBody({ items: [{ subject: "s".repeat(500), text: "t" }] });
  expect(text.split("\n")[1]).toBe("-".repeat(72));
});

test("one item of HTML makes HTML of all: texts are escaped with their line breaks, HTML is embedded", () => {
  const { text, html } = digestBody({
    items: [
      { subject: "<script>alert('s')</script>", text: '<b>&"no"</b>\n  two' },
      { subject: "שלום", html: "<body><p>Hi <b>Ann</body>", text: "" },
    ],
    more: "<3 more",
  });
  expect(text).toContain("שלום\n----\n\nHi Ann");
  expect(html).toContain(">&lt;script&gt;alert(&#39;s&#39;)&lt;/script&gt;</h2>");
  expect(html).toContain('white-space:pre-wrap">&lt;b&gt;&amp;&quot;no&quot;&lt;/b&gt;\n  two</div>');
  expect(html).toContain("<p>Hi <b>Ann</b></p></td></tr></table>");
  expect(html).toContain('<p dir="auto">&lt;3 more</p>');
  expect(html?.match(/<script/g)).toBeNull();
});

test("what is broken in one item stays in it", () => {
  const broken = ["</td></tr></table></div></body>", "<!--", '<a title="', "<table><tr>", "<style>", "<svg>", "<b><i>"];
  const { html } = digestBody({
    items: [...broken.map((html) => ({ subject: "s", html })), { subject: "last", html: "<p>whole</p>" }],
  });
  expect(html?.match(/<table role="presentation"/g)).toHaveLength(broken.length + 1);
  expect(html?.match(/<table/g)?.length).toBe(html?.match(/<\/table>/g)?.length as number);
  expect(html).toContain(">last</h2>");
  expect(html).toContain("<p>whole</p></td></tr></table>\n</body>\n</html>\n");
});
