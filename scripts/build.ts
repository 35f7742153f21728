import { $ } from "bun";
import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";

// Builds what npm publishes: the same tree as JavaScript and declarations, no bundle.
const root = join(import.meta.dir, "..");
rmSync(join(root, "dist"), { recursive: true, force: true });
await $`node_modules/.bin/tsc -p tsconfig.build.json`.cwd(root);
cpSync(join(root, "src/schema"), join(root, "dist/src/schema"), { recursive: true });
console.log("built dist/");
