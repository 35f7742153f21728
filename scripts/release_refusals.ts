import { $ } from "bun";
import { join } from "node:path";

/** What a release is made of, and why there must be none. */
export interface Candidate {
  readonly version: string;
  /** One sentence each, with the fix; none: it may be built and tested. */
  readonly refusals: readonly string[];
}

/** The files that say which version this is, and how to find it in each. */
const VERSIONED = [
  ["package.json", /^ {2}"version": "([^"]+)"/m],
  ["deno.json", /^ {2}"version": "([^"]+)"/m],
  ["src/version.ts", /VERSION: string = "([^"]+)"/],
] as const;

/** Looks at a repository, and at nothing that takes long. */
export async function inspect(root: string): Promise<Candidate> {
  const versions = await Promise.all(VERSIONED.map(async ([file, pattern]) => {
    const text = await Bun.file(join(root, file)).text();
    return { file, version: pattern.exec(text)?.[1] ?? "none" };
  }));
  const version = versions[0]?.version ?? "none";
  const refusals = [
    await uncommitted(root),
    differing(versions),
    await tagged(root, version),
    ...pending(await Bun.file(join(root, "CHANGELOG.md")).text(), version),
  ];
  return { version, refusals: refusals.filter((refusal) => refusal !== undefined) };
}

async function uncommitted(root: string): Promise<string | undefined> {
  const changes = (await $`git status --porcelain`.cwd(root).text()).split("\n").filter((line) => line !== "");
  if (changes.length === 0) return undefined;
  const files = changes.map((line) => line.slice(3)).join(", ");
  return `the working tree has changes that are not committed (${files}): commit them or take them back`;
}

function differing(versions: readonly { readonly file: string; readonly version: string }[]): string | undefined {
  if (new Set(versions.map(({ version }) => version)).size === 1) return undefined;
  const said = versions.map(({ file, version }) => `${file} says ${version}`).join(", ");
  return `${said}: write the same version into all of them`;
}

async function tagged(root: string, version: string): Promise<string | undefined> {
  const tag = (await $`git tag --list ${`v${version}`}`.cwd(root).text()).trim();
  return tag === "" ? undefined : `the tag ${tag} is there already: raise the version`;
}

function pending(changelog: string, version: string): readonly string[] {
  const sections = changelog.split(/^## /m).slice(1).map((section) => {
    const [heading = "", ...lines] = section.split("\n");
    return { heading: heading.trim(), isEmpty: lines.every((line) => line.trim() === "") };
  });
  const named = sections.find(({ heading }) => heading.split(" ")[0] === version);
  const unreleased = sections.find(({ heading }) => heading === "Unreleased");
  const found: string[] = [];
  if (named === undefined) {
    found.push(`CHANGELOG.md has no heading ## ${version}: write one above what is new in it`);
  } else if (named.isEmpty) found.push(`CHANGELOG.md says nothing under ## ${version}: tell what changed for whom`);
  if (unreleased?.isEmpty === false) {
    found.push(`CHANGELOG.md has notes under ## Unreleased: move them under ## ${version}`);
  }
  return found;
}
