import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import postgres from "postgres";
import denoJson from "../deno.json" with { type: "json" };
import { startEmbedded } from "../relay/database/embedded.ts";
import { migrate } from "../relay/database/migrate.ts";

// Every check that is no test. Each is one command; all run, so that one failure does not hide the next.

const root = join(import.meta.dir, "..");
const folder = mkdtempSync(join(tmpdir(), "mailchute-check-"));
// The examples of the docs talk to a real, migrated database.
await using database = await startEmbedded({ directory: join(folder, "postgres"), durable: false });
const sql = postgres(database.url, { max: 1, onnotice: () => {} });
await migrate(sql);
await sql.end();

const entryPoints = Object.values(denoJson.exports);
/**
 * What only Cloudflare's runtime has the modules for: its examples are compiled here, and run in the tests of the
 * Worker.
 */
const WORKER = denoJson.exports["./worker"];
const runnable = entryPoints.filter((path) => path !== WORKER);

const CHECKS: readonly (readonly [name: string, command: string])[] = [
  ["format", "deno fmt --check"],
  ["lint", "deno lint"],
  ["types", "tsc -p tsconfig.json"],
  ["edge types", "tsc -p tsconfig.edge.json"],
  ["types of the Deno example", "deno check --quiet examples/deno_app.ts"],
  ["publish dry run (JSR)", "deno publish --dry-run --allow-dirty"],
  ["build (npm)", "bun scripts/build.ts"],
  ["package lint", "publint --strict"],
  ["package types", "attw --pack . --profile esm-only"],
  ["lock files in step", "bun install --frozen-lockfile --lockfile-only"],
  // All at once: a type that one entry point has in its signatures may be exported by another.
  ["docs of every public symbol", `deno doc --quiet --lint ${entryPoints.join(" ")}`],
  ["docs examples", `deno test --doc --no-check=remote -A ${runnable.join(" ")} src README.md`],
  ["docs examples of the Worker", `deno test --doc --no-run --no-check=remote ${WORKER}`],
];

let passed = 0;
let failed = 0;
for (const [name, command] of CHECKS) {
  const started = performance.now();
  const run = Bun.spawn(["/bin/sh", "-c", command], {
    cwd: root,
    stdout: "pipe",
    stderr: "pipe",
    env: {
      ...process.env,
      PATH: `${join(root, "node_modules/.bin")}:${process.env.PATH}`,
      DATABASE_URL: database.url,
      NO_COLOR: "1",
    },
  });
  const [out, err, code] = await Promise.all([
    new Response(run.stdout).text(),
    new Response(run.stderr).text(),
    run.exited,
  ]);
  const took = `${((performance.now() - started) / 1000).toFixed(1)} s`;
  console.log(`${code === 0 ? "ok    " : "FAILED"} ${name} (${took})`);
  if (code === 0) passed++;
  else {
    failed++;
    console.log(`${out}\n${err}`.trim().split("\n").slice(-60).map((line) => `       ${line}`).join("\n"));
  }
}
await database.stop();
rmSync(folder, { recursive: true, force: true });
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
