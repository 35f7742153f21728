import { $ } from "bun";
import { cpSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";

// Builds what npm publishes: the same tree as JavaScript and declarations, no bundle. `bun scripts/build.ts [FOLDER]`,
// by default dist.
const root = join(import.meta.dir, "..");
const folder = resolve(root, process.argv[2] ?? "dist");
rmSync(folder, { recursive: true, force: true });
await $`node_modules/.bin/tsc -p tsconfig.build.json --outDir ${folder}`.cwd(root);
cpSync(join(root, "src/schema"), join(folder, "src/schema"), { recursive: true });
console.log(`built ${folder}`);
