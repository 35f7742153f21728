// Runs a TypeScript file with the Bun of node_modules, after installing what is missing: all that a fresh machine needs
// is Node and npm.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const [script, ...args] = process.argv.slice(2);

if (!isInstalled()) {
  console.error("Installing the dependencies (npm ci), once …");
  // npm is a script for Node wherever it runs us; a shell finds it everywhere else.
  const npm = process.env.npm_execpath ? [process.execPath, process.env.npm_execpath] : ["npm"];
  const run = spawnSync(npm[0], [...npm.slice(1), "ci", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: root,
    stdio: ["ignore", 2, 2],
  });
  if (run.status !== 0) process.exit(run.status ?? 1);
}

const bun = join(root, "node_modules", "bun", "bin", "bun.exe");
if (spawnSync(bun, ["--version"]).status !== 0) {
  // Its install script was not allowed to run (npm 12 asks first): it only puts the right binary in place.
  spawnSync(process.execPath, [join(root, "node_modules", "bun", "install.js")], { cwd: root, stdio: "inherit" });
}

const child = spawn(bun, [script, ...args], { cwd: root, stdio: "inherit" });
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill(signal));
child.on("exit", (code, signal) => process.exit(signal ? 1 : code ?? 1));

/** Every pinned package is there in the pinned version. */
function isInstalled() {
  const { dependencies, devDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const require = createRequire(join(root, "package.json"));
  return Object.entries({ ...dependencies, ...devDependencies }).every(([name, wanted]) => {
    const file = join(root, "node_modules", name, "package.json");
    return existsSync(file) && require(file).version === wanted.replace(/^npm:.*@/, "");
  });
}
