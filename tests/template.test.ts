import { expect, test } from "bun:test";
import { MailchuteError } from "../src/error.ts";
import { isTemplate, merge, namesIn } from "../src/template.ts";

test("namesIn() finds each name, with and without blanks around it", () => {
  expect(namesIn("{{a}} {{ b_1 }}{{\tc\n}} {{a}}")).toEqual(["a", "b_1", "c", "a"]);
  expect(namesIn("{a} {{1}} {{}} {{a.b}} {{ä}} }}{{")).toEqual([]);
});

test.each([
  ["{{name}} and {{ other }}", true],
  ["no braces, one { and }}", true],
  ["@media print { .a { color: red } }", true],
  ["{{#if name}}", false],
  ["{{name}} {{user.name}}", false],
  ["{{{name}}}", false],
  ["{{", false],
])("isTemplate(%p) is %p", (text, is) => {
  expect(isTemplate(text)).toBe(is);
});

test("merge() escapes in HTML, encodes in a URL, and leaves text as it is", () => {
  const values = { v: `<a href="x">&'é 1/2` };
  expect(merge("{{v}}", values)).toBe(values.v);
  expect(merge("{{v}}", values, "html")).toBe("&lt;a href=&quot;x&quot;&gt;&amp;&#39;é 1/2");
  expect(merge("https://a.example/{{v}}", values, "url")).toBe(
    "https://a.example/%3Ca%20href%3D%22x%22%3E%26'%C3%A9%201%2F2",
  );
});

test("merge() never reads a value again", () => {
  expect(merge("{{a}}{{b}}", { a: "{{b}}", b: "$& $1 {{a}}" })).toBe("{{b}}$& $1 {{a}}");
});

test("merge() names the variable that is missing, those of every object too", () => {
  for (const name of ["name", "toString", "__proto__", "constructor"]) {
    const error = (() => {
      try {
        return merge(`{{${name}}}`, {});
      } catch (error) {
        return error;
      }
    })();
    expect(error).toBeInstanceOf(MailchuteError);
    expect((error as MailchuteError).issues[0]?.path).toBe(`variables.${name}`);
  }
});

test("merge() refuses what becomes longer than a body may be, before it is made", () => {
  const tooLong = (text: string, value: string, place?: "html" | "url") => {
    try {
      return merge(text, { a: value }, place).length;
    } catch (error) {
      return (error as MailchuteError).code;
    }
  };
  expect(tooLong("{{a}}".repeat(100), "x".repeat(99_000))).toBe(9_900_000);
  expect(tooLong("{{a}}".repeat(200), "x".repeat(60_000))).toBe("too_large");
  expect(tooLong("{{a}}".repeat(30), "<".repeat(60_000))).toBe(1_800_000);
  expect(tooLong("{{a}}".repeat(60), '"'.repeat(60_000), "html")).toBe("too_large");
  // Some 100 GB: whoever made it would not come back.
  expect(tooLong("{{a}}".repeat(2_000_000), "x".repeat(60_000))).toBe("too_large");
});

test("merge() takes time linear in a text of braces", () => {
  const text = "{{ ".repeat(100_000);
  const startMs = performance.now();
  expect(merge(text, {})).toBe(text);
  expect(isTemplate(text)).toBe(false);
  expect(performance.now() - startMs).toBeLessThan(2_000);
});
