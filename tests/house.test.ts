import { Glob } from "bun";
import { expect, test } from "bun:test";
import { basename, join } from "node:path";
import denoJson from "../deno.json" with { type: "json" };
import packageJson from "../package.json" with { type: "json" };
import { OPTIONAL_PACKAGES } from "../relay/optional_packages.ts";
import { PROGRAM_VERSION } from "../relay/version.ts";
import { VERSION } from "../src/version.ts";

// Rules of the house that a program can check, and no linter does.

const ROOT = join(import.meta.dir, "..");

interface SourceFile {
  readonly path: string;
  readonly text: string;
  /** The text without comments. */
  readonly code: string;
}

async function read(...patterns: readonly string[]): Promise<readonly SourceFile[]> {
  const paths = patterns.flatMap((pattern) => [...new Glob(pattern).scanSync(ROOT)])
    .filter((path) => !path.includes("node_modules/")).sort();
  return await Promise.all(paths.map(async (path) => {
    const text = await Bun.file(join(ROOT, path)).text();
    return { path, text, code: text.replaceAll(/\/\*[\s\S]*?\*\/|(?<![:"'`/\\])\/\/.*$/gm, "") };
  }));
}

const program = await read("{src,relay,worker,bin}/**/*.{ts,tsx}", "mod.ts");
const tests = await read("tests/**/*.{ts,tsx}");

/** The files whose code has this, each with the first place. */
function found(files: readonly SourceFile[], pattern: RegExp): readonly string[] {
  return files.flatMap(({ path, code }) => {
    const [match] = pattern.exec(code) ?? [];
    return match === undefined ? [] : [`${path}: ${match.trim()}`];
  });
}

test("no file of the program has more than 300 lines", async () => {
  expect(program.length).toBeGreaterThan(80);
  const schema = await read("src/schema/*.sql");
  expect(schema.length).toBeGreaterThan(10);
  const long = [...program, ...schema].filter(({ text }) => text.trimEnd().split("\n").length > 300);
  expect(long.map(({ path }) => path)).toEqual([]);
});

test("no comment is wider than the code, but for diagrams and examples", async () => {
  const wide = [...program, ...tests, ...await read("{bench,scripts}/**/*.ts", "src/schema/*.sql")].flatMap((file) => {
    let isExample = false;
    return file.text.split("\n").flatMap((line, index) => {
      if (/^\s*\* ```/.test(line)) isExample = !isExample;
      const isProse = /^\s*(\/\/|\/?\*\*?|--) /.test(line) && !isExample && !/[─▲│]/.test(line);
      return isProse && line.length > 120 ? [`${file.path}:${index + 1}`] : [];
    });
  });
  expect(wide).toEqual([]);
});

test("no file is called after what all files are", () => {
  const names = /^(utils?|helpers?|types?|common|index|misc|shared|lib)\.(tsx?|sql)$/;
  expect([...program, ...tests].map(({ path }) => path).filter((path) => names.test(basename(path)))).toEqual([]);
});

test("file names are in snake_case", () => {
  const names = /^[a-z0-9]+(_[a-z0-9]+)*(\.(test|d))?\.tsx?$/;
  expect([...program, ...tests].map(({ path }) => path).filter((path) => !names.test(basename(path)))).toEqual([]);
});

const ANY = /[:<|&,(=]\s*any\s*[,;)>[\]=|&{]|\bas\s+any\b|\bany\[\]/;

test("no type is any", () => {
  expect(found([...program, ...tests], ANY)).toEqual([]);
  const any = ["a", "n", "y"].join("");
  for (
    const code of [
      `const a: ${any} = 1;`,
      `x as ${any}`,
      `Array<${any}>`,
      `${any}[]`,
      `f(a: ${any})`,
      `Map<string, ${any}>`,
    ]
  ) {
    expect({ code, is: ANY.test(code) }).toEqual({ code, is: true });
  }
});

test("nothing is exported as default, and there is no enum and no namespace", () => {
  expect(found(program, /^export default\b|^\s*(export\s+)?(declare\s+)?(const\s+)?(enum|namespace)\s+\w+\s*\{/m))
    .toEqual([]);
});

test("no test is skipped, left for later or runs alone", () => {
  expect(tests.length).toBeGreaterThan(60);
  const marks = ["skip", "only", "todo"].join("|");
  // debian.ts leaves out what needs a program of a Debian package, and says so in the test's name.
  const others = tests.filter(({ path }) => path !== "tests/debian.ts");
  expect(found(others, new RegExp(`\\b(test|describe|it)\\.(${marks})\\b`))).toEqual([]);
});

test("no test sleeps: it waits for what it needs", () => {
  const sleeps = ["Bun\\.sleep", "\\bsleep\\(", "await new Promise(<\\w+>)?\\(\\(?\\w+\\)? => setTimeout\\("].join("|");
  expect(found(tests, new RegExp(sleeps))).toEqual([]);
});

test("every test file tests: it is called *.test.ts and holds a test, and no other file does", () => {
  const wrong = tests.filter(({ path, code }) => path.includes(".test.") !== /^\s*test\w*(\.\w+)?\(/m.test(code));
  expect(wrong.map(({ path }) => path)).toEqual([]);
});

test("no file names a folder of the machine it was written on", async () => {
  const files = [
    ...program,
    ...tests,
    ...await read("{docs,scripts,bench,examples}/**/*.{md,ts,tsx,mjs,json}", "*.{md,json}"),
  ];
  // /home/bun is a folder of the image.
  const folders = new RegExp(`["'\`( ]/(${["work", "home", "Users", "root"].join("|")})/(?!bun\\b)[\\w.-]+`);
  const naming = files.filter(({ path, text }) => path !== "package-lock.json" && folders.test(text));
  expect(naming.map(({ path, text }) => `${path}: ${folders.exec(text)?.[0]}`)).toEqual([]);
});

test("package.json, deno.json and the program have the same version", () => {
  expect(denoJson.version).toBe(packageJson.version);
  expect(PROGRAM_VERSION).toBe(packageJson.version);
  expect(VERSION).toBe(packageJson.version);
  expect(PROGRAM_VERSION).toMatch(/^\d+\.\d+\.\d+$/);
});

test("the command asks for the Bun that package.json asks for", async () => {
  const [, oldest] = /OLDEST_BUN = "([\d.]+)"/.exec(await Bun.file(join(ROOT, "bin/mailchute.ts")).text()) ?? [];
  expect(packageJson.engines.bun).toBe(`>=${oldest}`);
});

test("package.json and deno.json pin every dependency exactly, and to the same version", () => {
  const exact = /^(npm:[\w@/-]+@)?\d+\.\d+\.\d+(-[\w.]+)?$/;
  const pinned: Readonly<Record<string, string>> = { ...packageJson.dependencies, ...packageJson.devDependencies };
  expect(Object.keys(pinned).length).toBeGreaterThan(10);
  expect(Object.entries(pinned).filter(([, version]) => !exact.test(version))).toEqual([]);
  for (const [name, target] of Object.entries(denoJson.imports)) {
    const [, version] = /^npm:.+@([^@]+)$/.exec(target) ?? [];
    if (!target.startsWith("npm:")) continue;
    expect({ name, version }).toEqual({ name, version: pinned[name] });
  }
});

test("a peer dependency is optional, and its range holds the version that is tested", () => {
  const meta: Readonly<Record<string, { readonly optional: boolean }>> = packageJson.peerDependenciesMeta;
  const tested: Readonly<Record<string, string>> = packageJson.devDependencies;
  for (const [name, range] of Object.entries(packageJson.peerDependencies)) {
    expect({ name, optional: meta[name]?.optional }).toEqual({ name, optional: true });
    // To npm, and not to Bun.semver, this one holds what comes before a release too.
    if (range !== "*") {
      expect({ name, fits: Bun.semver.satisfies(tested[name] as string, range) }).toEqual({ name, fits: true });
    }
  }
});

test("packages that only some commands need keep no app from installing, and are named in the version that is tested", () => {
  for (const [name, version] of Object.entries(OPTIONAL_PACKAGES)) {
    const peers: Readonly<Record<string, string>> = packageJson.peerDependencies;
    const tested: Readonly<Record<string, string>> = packageJson.devDependencies;
    expect({ name, range: peers[name], version: tested[name] }).toEqual({ name, range: "*", version });
  }
});
