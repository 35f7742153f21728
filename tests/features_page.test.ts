import { Glob } from "bun";
import { expect, test } from "bun:test";
import { dirname, join } from "node:path";

// docs/features.md and tests/features say the same: a wish is a row there and a test here, by the same words.

const ROOT = join(import.meta.dir, "..");
const PAGE = "docs/features.md";

/** One wish of the page. */
interface Row {
  readonly wish: string;
  readonly how: string;
  /** The file of its test, from the root; undefined: there is none. */
  readonly file: string | undefined;
}

const page = await Bun.file(join(ROOT, PAGE)).text();

/** The rows of all tables. */
function rowsOf(text: string): readonly Row[] {
  return text.split("\n").filter((line) => /^\| (?!wish \||---)/.test(line)).map((line) => {
    const cells = line.split("|").slice(1, -1).map((cell) => cell.trim());
    const [wish = "", how = "", link = ""] = [cells[0], cells.at(-2), cells.at(-1)];
    return { wish, how, file: /\]\(\.\.\/(tests\/features\/\w+\.test\.ts)\)$/.exec(link)?.[1] };
  });
}

/** Every test of a text, by its name. */
function testsIn(text: string): readonly string[] {
  return [...text.matchAll(/^test\(\s*"([^"]+)"/gm)].map(([, name]) => name as string);
}

/** All tests of tests/features, as `file: name`. */
async function tests(): Promise<readonly string[]> {
  const files = [...new Glob("tests/features/*.test.ts").scanSync(ROOT)].sort();
  const named = await Promise.all(files.map(async (file) => {
    const text = await Bun.file(join(ROOT, file)).text();
    const names = testsIn(text);
    // A test that is written in another way would not be seen here.
    expect({ file, tests: text.match(/\btest\w*[.(]/g)?.length }).toEqual({ file, tests: names.length });
    return names.map((name) => `${file}: ${name}`);
  }));
  return named.flat();
}

test("each row of docs/features.md has a test of its name, and each test of tests/features has its row", async () => {
  const rows = rowsOf(page).flatMap(({ file, wish }) => file === undefined ? [] : [`${file}: ${wish}`]);
  expect(rows.length).toBeGreaterThan(30);
  expect([...rows].sort()).toEqual([...await tests()].sort());
});

test("a row without a test says that it is not here, and no other does", () => {
  for (const { wish, how, file } of rowsOf(page)) {
    expect({ wish, isHere: !how.startsWith("**Not here**") }).toEqual({ wish, isHere: file !== undefined });
  }
});

test("the page's links lead to files, and to sections that they have", async () => {
  const links = [...page.matchAll(/\]\(([\w./]+)(?:#([\w-]+))?\)/g)];
  expect(links.length).toBeGreaterThan(60);
  for (const [, path = "", anchor] of links) {
    const file = Bun.file(join(ROOT, dirname(PAGE), path));
    expect({ path, exists: await file.exists() }).toEqual({ path, exists: true });
    if (anchor === undefined) continue;
    const anchors = [...(await file.text()).matchAll(/^#+ (.*)$/gm)].map(([, title = ""]) =>
      title.toLowerCase().replaceAll(/[^\w\- ]/g, "").replaceAll(" ", "-")
    );
    expect(anchors).toContain(anchor);
  }
});

test("each project that is named by the number of an issue has a link to its repository", () => {
  const repositories = new Map(
    [...page.matchAll(/\[([^\]]+)\]\(https:\/\/github\.com\/([^)]+)\)/g)].map(([, name, path]) => [name, path]),
  );
  const named = new Set([...page.matchAll(/([\w./-]+)#\d+/g)].map(([, name]) => name));
  expect(named.size).toBeGreaterThan(30);
  expect([...named].sort()).toEqual([...repositories.keys()].sort());
  for (const [name = "", path = ""] of repositories) expect(`/${path}`).toEndWith(`/${name}`);
});

test("every setting and command that the page names is there", async () => {
  const [settings, commands] = await Promise.all(
    ["settings", "commands"].map((name) => Bun.file(join(ROOT, `docs/${name}.md`)).text()),
  );
  for (const [name] of page.matchAll(/\bRELAY_[A-Z_]+/g)) expect(settings).toContain(`| \`${name}\``);
  for (const [, name] of page.matchAll(/`mailchute ([a-z]+)/g)) expect(commands).toContain(`\n## ${name}\n`);
});
