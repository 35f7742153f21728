import { Glob } from "bun";
import { expect, test } from "bun:test";
import { join } from "node:path";
import { ROOT } from "./shop.ts";

const files = [...new Glob("*.{ts,sql}").scanSync(join(ROOT, "examples"))].sort();

async function read(path: string): Promise<string> {
  return await Bun.file(join(ROOT, path)).text();
}

test("the README of the examples names each of them, and nothing that is not there", async () => {
  const linked = [...(await read("examples/README.md")).matchAll(/\]\((\w+\.(?:ts|sql))\)/g)].map(([, file]) => file);
  expect([...linked, "tables.sql"].sort()).toEqual(files);
});

test("each example has less than 60 lines and is run by a test", async () => {
  const tests = [...new Glob("{examples,worker}/*.ts").scanSync(join(ROOT, "tests"))];
  const run = (await Promise.all(tests.map((file) => read(join("tests", file))))).join("\n");
  for (const file of files) {
    const lines = (await read(join("examples", file))).trimEnd().split("\n").length;
    expect({ file, isShort: lines < 60, isRun: run.includes(file) }).toEqual({ file, isShort: true, isRun: true });
  }
});

test("the names by which the examples import this package lead to what npm and JSR publish", async () => {
  const [{ exports: published, imports }, { compilerOptions: { paths } }] = await Promise.all(
    ["deno.json", "tsconfig.json"].map(async (file) => JSON.parse(await read(file))),
  );
  const nameOf = (entry: string) => entry.replace(/^\./, "mailchute");
  for (const [entry, file] of Object.entries(published)) {
    expect({ entry, deno: imports[nameOf(entry)], bun: paths[nameOf(entry)] }).toEqual({
      entry,
      deno: file,
      bun: [file],
    });
  }
});
