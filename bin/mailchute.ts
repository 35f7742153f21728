#!/usr/bin/env node
import { spawn, spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

// The command `mailchute` of the npm package. npm starts it with Node, but the relay is a program for Bun: this looks
// for a Bun, hands it everything and ends as it ends. Nothing here needs a package, so that it can speak where nothing
// else works.

/** Collects garbage as if the machine had 256 MiB: docs/running.md, "Memory". */
const MEMORY = { BUN_JSC_forceRAMSize: "268435456" };

/** The oldest Bun that the relay runs on; `engines` of package.json says the same. */
const OLDEST_BUN = "1.4";

if (process.versions.bun !== undefined) await import("../relay/main.ts");
else startWithBun();

function startWithBun(): void {
  const found = ["bun", ...bunPackage()].map((path) => ({ path, version: versionOf(path) }));
  const bun = found.find(({ version }) => version !== undefined && isEnough(version));
  if (bun === undefined) {
    const old = found.find(({ version }) => version !== undefined)?.version;
    const reason = old === undefined ? "there is none here" : `the one here is ${old}`;
    process.stderr.write(
      `mailchute: Cannot start: the relay runs on Bun ${OLDEST_BUN} or newer, and ${reason}; get it with: npm install bun (or see https://bun.sh)\n`,
    );
    process.exitCode = 1;
    return;
  }
  const main = fileURLToPath(new URL("../relay/main.js", import.meta.url));
  const child = spawn(bun.path, [main, ...process.argv.slice(2)], {
    stdio: "inherit",
    env: { ...MEMORY, ...process.env },
  });
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  // Ctrl-C in a terminal reaches both of us, and a second one would end the relay in the middle of its mails.
  const hasTerminal = [process.stdin, process.stdout, process.stderr].some(({ isTTY }) => isTTY);
  process.on("SIGINT", () => {
    if (!hasTerminal) child.kill("SIGINT");
  });
  child.on("exit", (code, signal) => {
    if (signal === null) return process.exit(code ?? 1);
    // Whoever waits for us sees how the relay ended.
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

/** The Bun of the npm package `bun`, for projects that have it and started us without npm. */
function bunPackage(): readonly string[] {
  try {
    const file = createRequire(import.meta.url).resolve("bun/package.json");
    return [join(dirname(file), "bin", "bun.exe")];
  } catch {
    return [];
  }
}

function versionOf(path: string): string | undefined {
  const { status, stdout } = spawnSync(path, ["--version"], { encoding: "utf8" });
  return status === 0 ? stdout.trim() : undefined;
}

function isEnough(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [oldestMajor = 0, oldestMinor = 0] = OLDEST_BUN.split(".").map(Number);
  return major > oldestMajor || (major === oldestMajor && minor >= oldestMinor);
}
