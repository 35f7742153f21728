import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

// Runs every test and ends with one plain line: N passed, N failed. A test whose Debian package is missing skips and says
// "skipped: needs …"; with CI=true nothing may skip.

const folder = mkdtempSync(join(tmpdir(), "mailchute-junit-"));
const report = join(folder, "report.xml");
const run = Bun.spawn(
  [
    process.execPath,
    "test",
    "--reporter=junit",
    `--reporter-outfile=${report}`,
    "--timeout",
    "60000",
    ...process.argv.slice(2),
  ],
  { stdout: "inherit", stderr: "inherit", cwd: join(import.meta.dir, "..") },
);
const code = await run.exited;

const totals = read(report);
rmSync(folder, { recursive: true, force: true });
if (totals === undefined) {
  console.log("Cannot read the report: a test file failed before its first test");
  console.log("0 passed, 1 failed");
  process.exit(1);
}
const { tests, skipped } = totals;
// What fails outside a test (an unhandled error between two) has no case of its own in the report.
const failed = totals.failed === 0 && code !== 0 ? 1 : totals.failed;
const mayNotSkip = process.env.CI === "true" && skipped > 0;
if (skipped > 0) console.log(`${skipped} skipped: see the names of the tests for the Debian package that each needs`);
if (mayNotSkip) console.log("With CI=true nothing may skip: install the packages (.ci/run does)");
console.log(`${tests - failed - skipped} passed, ${failed + (mayNotSkip ? skipped : 0)} failed`);
process.exit(failed > 0 || mayNotSkip ? 1 : 0);

function read(file: string): { readonly tests: number; readonly failed: number; readonly skipped: number } | undefined {
  try {
    const head = /<testsuites [^>]*>/.exec(readFileSync(file, "utf8"))?.[0] ?? "";
    const number = (name: string) => Number(new RegExp(` ${name}="(\\d+)"`).exec(head)?.[1] ?? Number.NaN);
    const totals = { tests: number("tests"), failed: number("failures"), skipped: number("skipped") };
    return Number.isNaN(totals.tests) || Number.isNaN(totals.failed)
      ? undefined
      : { ...totals, skipped: totals.skipped || 0 };
  } catch {
    return undefined;
  }
}
