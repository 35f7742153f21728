import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SERVER_VARIABLE, startTestServer } from "../tests/server.ts";

// Runs every test and ends with one plain line: N passed, N failed. A test whose Debian package is missing skips and
// says "skipped: needs …"; with CI=true nothing may skip. `npm test -- tests/smtp` runs what is named.

/**
 * How many runs there are side by side, with one Postgres for all: for two processors, while some tests wait for a
 * clock.
 */
const RUNS = 5;
/**
 * Into how many shares the files are dealt: a run that is done with one takes the next, so that all end at about the
 * same time.
 */
const SHARES = 28;
/**
 * They take longest: each is a share of its own, begun before the others, so that no run has one of them left in the
 * end.
 */
const LONG = [
  "history/history",
  "client/connections",
  "queue/idle",
  "queue/silent_connection",
  "acceptance/rates",
  "package/package",
  "acceptance/routes",
  "worker/drain",
  "schema/deploy",
  "history/outage",
  "adopt/adopt",
  "interop/matrix",
  "queue/outage",
  "acceptance/crash",
].map((name) => `tests/${name}.test.ts`);
const ROOT = join(import.meta.dir, "..");

interface Totals {
  readonly tests: number;
  readonly failed: number;
  readonly skipped: number;
}

const folder = mkdtempSync(join(tmpdir(), "mailchute-tests-"));
// What a test leaves behind goes with it. Mail servers that a test starts become other users, and have files there.
const temporary = join(folder, "tmp");
mkdirSync(temporary);
for (const path of [folder, temporary]) chmodSync(path, 0o755);
const named = process.argv.slice(2);
const files = [...new Bun.Glob("tests/**/*.test.ts").scanSync(ROOT)].filter((file) => !file.includes("node_modules"))
  .sort();
const others = files.filter((file) => !LONG.includes(file));
// In turn, so that neighbours, which take about as long, are spread.
const shares = named.length > 0 ? [named] : [
  ...LONG.filter((file) => files.includes(file)).map((file) => [file]),
  ...Array.from({ length: SHARES }, (_, share) => others.filter((_, index) => index % SHARES === share)),
];
const waiting = shares.entries();
const results: Totals[] = [];
await Promise.all(Array.from({ length: RUNS }, async () => {
  // One for all shares of a run: to start it costs as much as many a file.
  await using server = shares.length > 1 ? await startTestServer() : undefined;
  // The runs share one iterator.
  for (const [number, share] of waiting) {
    results.push(await runTests(share, join(folder, `${number}.xml`), server?.url));
  }
}));
rmSync(folder, { recursive: true, force: true });

const sum = (key: keyof Totals): number => results.reduce((total, result) => total + result[key], 0);
const [tests, failed, skipped] = [sum("tests"), sum("failed"), sum("skipped")];
const mayNotSkip = process.env.CI === "true" && skipped > 0;
if (skipped > 0) console.log(`${skipped} skipped: see the names of the tests for the Debian package that each needs`);
if (mayNotSkip) console.log("With CI=true nothing may skip: install the packages (.ci/run does)");
console.log(`${tests - failed - skipped} passed, ${failed + (mayNotSkip ? skipped : 0)} failed`);
process.exit(failed > 0 || mayNotSkip ? 1 : 0);

/** Runs some of the tests. A single run is shown while it runs, several are shown one after the other. */
async function runTests(share: readonly string[], report: string, serverUrl: string | undefined): Promise<Totals> {
  const isAlone = shares.length === 1;
  const run = Bun.spawn(
    [
      process.execPath,
      "test",
      "--reporter=junit",
      `--reporter-outfile=${report}`,
      "--timeout",
      "60000",
      // With the dots these are paths, and not parts of names.
      ...share.map((path) => isAlone ? path : `./${path}`),
    ],
    {
      cwd: ROOT,
      env: { ...process.env, TMPDIR: temporary, ...(serverUrl === undefined ? {} : { [SERVER_VARIABLE]: serverUrl }) },
      stdout: isAlone ? "inherit" : "pipe",
      stderr: isAlone ? "inherit" : "pipe",
    },
  );
  const [out, err] = await Promise.all([read(run.stdout), read(run.stderr)]);
  const code = await run.exited;
  process.stdout.write(out);
  process.stdout.write(err);
  const totals = totalsOf(report);
  if (totals === undefined) {
    console.log("Cannot read a report: a test file failed before its first test");
    return { tests: 1, failed: 1, skipped: 0 };
  }
  // What fails outside a test (an unhandled error between two) has no case of its own in the report.
  return totals.failed === 0 && code !== 0 ? { ...totals, tests: totals.tests + 1, failed: 1 } : totals;
}

async function read(stream: ReadableStream<Uint8Array> | undefined): Promise<string> {
  return stream === undefined ? "" : await new Response(stream).text();
}

function totalsOf(file: string): Totals | undefined {
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
