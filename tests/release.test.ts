import { expect, test } from "bun:test";
import { join } from "node:path";
import { type Ended, execute, printed } from "./package/installed.ts";
import { temporaryDirectory } from "./relay_process.ts";
import { thoroughly } from "./thoroughly.ts";

// The real script in a small package of its own, with real git, npm and Deno.

const SCRIPT = join(import.meta.dir, "../scripts/release.ts");

/** The files of a package that may be released. */
const READY: Readonly<Record<string, string>> = {
  "package.json": `{
  "name": "small",
  "version": "1.2.3",
  "files": ["mod.ts"],
  "scripts": { "check": "node -e ''", "test": "node -e ''", "build": "node -e ''" }
}\n`,
  "deno.json": `{
  "name": "@small/small",
  "version": "1.2.3",
  "license": "MIT",
  "exports": "./mod.ts"
}\n`,
  "mod.ts": "/** One. */\nexport const one = 1;\n",
  "src/version.ts": 'export const VERSION: string = "1.2.3";\n',
  "CHANGELOG.md": "# Changelog\n\n## Unreleased\n\n## 1.2.3 (2026-11-22)\n\n- One more.\n\n## 1.2.2\n\n- One.\n",
};

/** Commits these files to a new repository, changes it, and asks whether it can be released. */
async function release(
  files: Readonly<Record<string, string>>,
  change: (folder: string) => Promise<unknown> = () => Promise.resolve(),
): Promise<Ended> {
  using folder = temporaryDirectory();
  for (const [file, text] of Object.entries({ ...READY, ...files })) await Bun.write(join(folder.path, file), text);
  for (
    const words of [["init"], ["add", "-A"], [
      "-c",
      "user.name=a",
      "-c",
      "user.email=a@example.com",
      "commit",
      "-m",
      "1",
    ]]
  ) {
    await printed(["git", ...words], { cwd: folder.path, env: { ...process.env, GIT_CONFIG_GLOBAL: "/dev/null" } });
  }
  await change(folder.path);
  return await execute([process.execPath, SCRIPT], { cwd: folder.path });
}

test(
  "what may be released is checked, tested, built and listed, and the commands that publish are printed and not run",
  async () => {
    const { code, stdout, stderr } = await release({});
    expect({ code, refused: stderr.includes("Cannot") }).toEqual({ code: 0, refused: false });
    const steps = [...stdout.matchAll(/^== .*?: (.*)$/gm)].map(([, command]) => command);
    expect(steps).toEqual([
      "npm run --silent check",
      "npm test --silent",
      "npm run --silent build",
      "npm pack --dry-run --ignore-scripts",
      "deno publish --dry-run",
    ]);
    expect(stdout).toContain("1.2.3 is ready, and nothing is published");
    expect(stdout).toContain("\n  npm publish\n  npx deno publish\n");
  },
  120_000,
);

/** What is wrong, and the sentences that say so. */
const REFUSED: readonly (readonly [fault: string, files: Readonly<Record<string, string>>, says: readonly string[]])[] =
  [
    ["a version that deno.json does not have", {
      "deno.json": (READY["deno.json"] as string).replace("1.2.3", "1.2.2"),
    }, [
      "package.json says 1.2.3, deno.json says 1.2.2, src/version.ts says 1.2.3: write the same version into all of them",
    ]],
    ["a version that the program does not have", { "src/version.ts": 'export const VERSION: string = "1.2.2";\n' }, [
      "package.json says 1.2.3, deno.json says 1.2.3, src/version.ts says 1.2.2: write the same version into all of them",
    ]],
    ["a changelog without the version", { "CHANGELOG.md": "# Changelog\n\n## Unreleased\n\n## 1.2.30\n\n- One.\n" }, [
      "CHANGELOG.md has no heading ## 1.2.3: write one above what is new in it",
    ]],
    ["a version of which the changelog says nothing", {
      "CHANGELOG.md": "# Changelog\n\n## 1.2.3\n\n## 1.2.2\n\n- One.\n",
    }, [
      "CHANGELOG.md says nothing under ## 1.2.3: tell what changed for whom",
    ]],
    ["notes that are pending", { "CHANGELOG.md": "# Changelog\n\n## Unreleased\n\n- Two.\n\n## 1.2.3\n\n- One.\n" }, [
      "CHANGELOG.md has notes under ## Unreleased: move them under ## 1.2.3",
    ]],
    ["several faults", { "CHANGELOG.md": "# Changelog\n\n## Unreleased\n\n- Two.\n" }, [
      "CHANGELOG.md has no heading ## 1.2.3: write one above what is new in it",
      "CHANGELOG.md has notes under ## Unreleased: move them under ## 1.2.3",
    ]],
  ];

for (const [fault, files, says] of REFUSED) {
  test(`${fault} refuses the release, each with one sentence, before anything is run`, async () => {
    const stderr = says.map((sentence) => `Cannot release 1.2.3: ${sentence}\n`).join("");
    expect(await release(files)).toEqual({ code: 1, stdout: "", stderr });
  });
}

test("a working tree that is not clean refuses the release, and names the files", async () => {
  const ended = await release({}, async (folder) => {
    await Bun.write(join(folder, "mod.ts"), "export const two = 2;\n");
    await Bun.write(join(folder, "new.ts"), "");
  });
  expect(ended).toEqual({
    code: 1,
    stdout: "",
    stderr:
      "Cannot release 1.2.3: the working tree has changes that are not committed (mod.ts, new.ts): commit them or take them back\n",
  });
});

test("a version that has its tag is not released again", async () => {
  const { code, stderr } = await release({}, (cwd) => printed(["git", "tag", "v1.2.3"], { cwd }));
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: "Cannot release 1.2.3: the tag v1.2.3 is there already: raise the version\n",
  });
});

const FAULTS = [
  ["a test that fails", {
    "package.json": (READY["package.json"] as string).replace(`"test": "node -e ''"`, `"test": "exit 1"`),
  }, "the tests"],
  ["what JSR does not take", { "mod.ts": "export const one = Math.random();\n" }, "what JSR would publish"],
  ["a step that changes a file", {
    "package.json": (READY["package.json"] as string).replace(`"build": "node -e ''"`, `"build": "echo >> mod.ts"`),
  }, "what JSR would publish"],
] as const;

// All but the first build and pack what there is.
for (const [fault, files, what] of thoroughly ? FAULTS : FAULTS.slice(0, 1)) {
  test(`${fault} refuses the release, and no command to publish is printed`, async () => {
    const { code, stdout, stderr } = await release(files);
    expect(code).toBe(1);
    expect(stderr).toContain("Cannot release 1.2.3: ");
    expect(stderr).toContain(what);
    expect(stdout).not.toContain("npm publish");
  }, 60_000);
}
