import { inspect } from "./release_refusals.ts";

// Looks whether the version in package.json can be released, from the root of the repository, and prints the commands
// that do it. It publishes nothing itself: what is on npm stays there, so a person has the last look. docs/releasing.md
// tells the whole way.

const root = process.cwd();

/** In this order: what fails first is cheapest. Each is one command. */
const STEPS: readonly (readonly [what: string, command: readonly string[]])[] = [
  ["the checks", ["npm", "run", "--silent", "check"]],
  ["the tests", ["npm", "test", "--silent"]],
  ["the build", ["npm", "run", "--silent", "build"]],
  ["what npm would publish", ["npm", "pack", "--dry-run", "--ignore-scripts"]],
  // Refuses also what a step before has changed.
  ["what JSR would publish", ["deno", "publish", "--dry-run"]],
];

const { version, refusals } = await inspect(root);
for (const refusal of refusals) console.error(`Cannot release ${version}: ${refusal}`);
if (refusals.length > 0) process.exit(1);

for (const [what, command] of STEPS) {
  console.log(`\n== ${what}: ${command.join(" ")}`);
  const run = Bun.spawn([...command], {
    cwd: root,
    // The Deno that is pinned here, and no other.
    env: { ...process.env, PATH: `${import.meta.dir}/../node_modules/.bin:${process.env.PATH}` },
    stdin: "ignore",
    stdout: "inherit",
    stderr: "inherit",
  });
  if (await run.exited !== 0) {
    console.error(`Cannot release ${version}: ${what} failed (${command.join(" ")}): its last lines above say why`);
    process.exit(1);
  }
}

console.log(`
${version} is ready, and nothing is published. Look at both lists above, then:

  npm publish
  npx deno publish

and, when both have it:

  git tag v${version} && git push origin v${version}`);
