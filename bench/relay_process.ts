import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import packageJson from "../package.json" with { type: "json" };
import type { RelayTarget } from "./relay_here.ts";

/** What a relay cost from its start to its end. */
export interface ProcessCost {
  readonly elapsedMs: number;
  /** The largest resident set. */
  readonly peakBytes: number;
}

/**
 * Runs `relay/main.ts run --once` in a process of its own, as a user would.
 * @throws {Error} when it does not end with 0
 */
export function runRelayOnce(
  target: RelayTarget,
  options: { readonly stateDirectory: string },
): Promise<ProcessCost> {
  return runProgram([MAIN, "run", "--once"], settingsOf(target, options));
}

/** Starts a relay in a process of its own, which serves until it is disposed of. */
export function startRelay(target: RelayTarget, options: { readonly stateDirectory: string }): AsyncDisposable {
  const child = Bun.spawn([process.execPath, MAIN, "run"], {
    // Any free port: another relay of this machine may have the usual one.
    env: { ...surroundings(), ...settingsOf(target, options), PORT: "0", LOG_LEVEL: "warn" },
    stdin: "ignore",
    stdout: "ignore",
    stderr: "inherit",
  });
  return {
    async [Symbol.asyncDispose]() {
      child.kill();
      await child.exited;
    },
  };
}

const MAIN = join(import.meta.dir, "../relay/main.ts");
/** As `bun run relay` has it. */
const MEMORY = /BUN_JSC_forceRAMSize=(\d+)/.exec(packageJson.scripts.relay)?.[1] ?? "";

function settingsOf(target: RelayTarget, { stateDirectory }: { readonly stateDirectory: string }) {
  return {
    DATABASE_URL: target.url,
    SMTP_URL: `smtp://127.0.0.1:${target.smtpPort}?tls=none`,
    RELAY_CONNECTIONS: String(target.connections),
    RELAY_STATE_DIR: stateDirectory,
    LOG_FORMAT: "json",
    LOG_LEVEL: "info",
  };
}

/** All that a program is given of this process's environment. */
function surroundings() {
  return { PATH: process.env.PATH ?? "", HOME: process.env.HOME ?? "", BUN_JSC_forceRAMSize: MEMORY };
}

const LOOK_MS = 20;

/** Runs a program on Bun to its end, with nothing of this process's environment but the path. */
export async function runProgram(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<ProcessCost> {
  const start = performance.now();
  const child = Bun.spawn([process.execPath, ...args], {
    env: { ...surroundings(), ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const said = Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  const telling = existsSync("/proc/self/status");
  let highWater = 0;
  const look = setInterval(() => highWater = highWaterBytes(child.pid) ?? highWater, LOOK_MS);
  const code = await child.exited;
  const elapsedMs = performance.now() - start;
  clearInterval(look);
  if (code !== 0) {
    throw new Error(`Cannot take the figure: ${args.join(" ")} ended with ${code}: ${(await said).join("")}`);
  }
  const peakBytes = telling ? highWater : child.resourceUsage()?.maxRSS;
  if (peakBytes === undefined) throw new Error("Cannot take the figure: this system does not tell what a process used");
  return { elapsedMs, peakBytes };
}

/**
 * The largest resident set so far, on Linux. What the system tells at a process's end (getrusage) is not less than what
 * its parent, this program, had when it started it: proc_pid_status(5) has the process's own. It only grows, so the
 * last look is enough.
 */
function highWaterBytes(pid: number): number | undefined {
  try {
    const [, kibibytes] = readFileSync(`/proc/${pid}/status`, "utf8").match(/^VmHWM:\s+(\d+) kB$/m) ?? [];
    return kibibytes === undefined ? undefined : Number(kibibytes) * 1_024;
  } catch {
    // No such file: another system, or the process has just gone.
    return undefined;
  }
}
