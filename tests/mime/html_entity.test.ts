import { expect, test } from "bun:test";
import { decodeEntities } from "../../src/mime/html_entity.ts";

const noPython = Bun.which("python3") === null;
const why = noPython ? " (skipped: needs python3)" : "";
const NAMES =
  "amp lt gt quot apos nbsp auml Ouml szlig eacute Lstrok zcaron euro hellip ndash mdash lsquo rdquo bull trade rarr check starf times frac12 zwnj";

/** What Python's html.unescape makes of each line. */
function byPython(lines: readonly string[]): readonly string[] {
  const script = "import sys,html,json; print(json.dumps([html.unescape(line) for line in json.load(sys.stdin)]))";
  const { stdout, stderr, success } = Bun.spawnSync(["python3", "-c", script], {
    stdin: new TextEncoder().encode(JSON.stringify(lines)),
  });
  if (!success) throw new Error(`Cannot ask Python: ${stderr.toString()}`);
  return JSON.parse(stdout.toString());
}

test("decodeEntities() replaces names, decimal and hexadecimal numbers", () => {
  expect(decodeEntities("&lt;b&gt; &amp;amp; &#75;&ouml;ln &#x1F680; &quot;&apos;")).toBe("<b> &amp; Köln 🚀 \"'");
  for (const name of NAMES.split(" ")) expect([name, decodeEntities(`&${name};`).length]).toEqual([name, 1]);
});

test("decodeEntities() reads the numbers 128 to 159 as windows-1252 does, and impossible ones as U+FFFD", () => {
  expect(decodeEntities("&#128;&#x93;&#148;&#150;&#x9f;")).toBe("€“”–Ÿ");
  expect(decodeEntities("&#0;&#xD800;&#x110000;&#99999999999999999999;")).toBe("\ufffd".repeat(4));
});

test("decodeEntities() leaves what is no reference as it is", () => {
  for (const text of ["&", "&&", "&;", "&#;", "&#x;", "& amp", "&nosuch;", "&nosuch", "&parallel;", "&#xg;", "AT&T"]) {
    expect(decodeEntities(text)).toBe(text);
  }
});

test("decodeEntities() keeps a query in an attribute, where a name without semicolon means itself", () => {
  const url = "https://x.example/?a=1&copy=2&lt3&amp;b=4&notit=5";
  expect(decodeEntities(url, "attribute")).toBe("https://x.example/?a=1&copy=2&lt3&b=4&notit=5");
  expect(decodeEntities("&copy 2026 &notit", "text")).toBe("© 2026 ¬it");
  expect(decodeEntities("&copy", "attribute")).toBe("©");
});

test.skipIf(noPython)(`decodeEntities() reads none of the 2,231 names in another way than Python${why}`, () => {
  const source = Bun.spawnSync(["python3", "-c", "import html.entities as e; print('\\n'.join(e.html5))"]);
  const names = [...new Set(source.stdout.toString().trim().split("\n").map((name) => name.replace(";", "")))];
  const bare = names.flatMap((name) => [`&${name}`, `&${name}x `]);
  expect(bare.map((line) => decodeEntities(line))).toEqual([...byPython(bare)]);
  const whole = names.map((name) => `&${name};`);
  const expected = byPython(whole);
  const known = whole.flatMap((line, index) =>
    decodeEntities(line) === line ? [] : [[decodeEntities(line), expected[index]]]
  );
  for (const [made, theirs] of known) expect(made).toBe(theirs);
  expect(known.length).toBeGreaterThan(500);
});

test.skipIf(noPython)(`decodeEntities() agrees with Python on numbers${why}`, () => {
  const points = [
    ...Array.from({ length: 0x300 }, (_, point) => point),
    0xd7ff,
    0xd800,
    0xdfff,
    0xe000,
    0xffff,
    0x10000,
    0x10ffff,
    0x110000,
  ];
  // Python drops control characters and noncharacters, which browsers keep.
  const lines = points.filter((point) =>
    !(point < 0x20 && ![0, 9, 10, 12].includes(point)) && (point < 0x7f || point > 0x9f) && point !== 0xffff &&
    point !== 0x10ffff
  )
    .flatMap((point) => [`&#${point};`, `&#x${point.toString(16)}`]);
  expect(lines.map((line) => decodeEntities(line))).toEqual([...byPython(lines)]);
});
