import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Builder } from "./container/builder.ts";
import { buildStandIn } from "./container/stand_in.ts";

// Builds the image of the Containerfile and runs it: one line for each check, and exit 1 when one fails.
//
//     node_modules/.bin/bun scripts/container_check.ts
//
// DESIGN: the base image cannot be fetched everywhere, so a stand-in with its name is built from this machine's own
// Bun, shell and C library; the Containerfile is used unchanged. The checks run in namespaces of their own (network,
// processes): a loopback that nobody else hears, so that the image's own HOST and PORT can be used, and whatever is
// started there ends with the checks' process.

const TOOLS = { buildah: "buildah", unshare: "util-linux", nsenter: "util-linux", ip: "iproute2", ldd: "libc-bin" };
const CHECKS_TIMEOUT_MS = 120_000;
const root = join(import.meta.dir, "..");

process.exit(await main());

async function main(): Promise<number> {
  const missing = whatIsMissing();
  if (missing !== undefined) {
    const mayNotSkip = process.env.CI === "true";
    console.log(mayNotSkip ? `failed: needs ${missing}` : `skipped: needs ${missing}`);
    return mayNotSkip ? 1 : 0;
  }
  const interrupted = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => interrupted.abort());
  const folder = mkdtempSync(join(tmpdir(), "mailchute-container-"));
  try {
    return await buildAndCheck(folder, interrupted.signal);
  } catch (error) {
    console.log(`failed: ${error instanceof Error ? error.message : error}`);
    return 1;
  } finally {
    // One file system only: should a mount of a builder that died still be there, what lies behind it is not ours.
    Bun.spawnSync(["rm", "-rf", "--one-file-system", folder]);
  }
}

function whatIsMissing(): string | undefined {
  for (const [tool, debianPackage] of Object.entries(TOOLS)) {
    if (Bun.which(tool) === null) return tool === debianPackage ? tool : `${tool} (Debian: ${debianPackage})`;
  }
  return process.getuid?.() === 0 ? undefined : "root, to mount an image";
}

async function buildAndCheck(folder: string, signal: AbortSignal): Promise<number> {
  const builder = new Builder(folder, signal);
  const bases = new Set(readFileSync(join(root, "Containerfile"), "utf8").match(/(?<=^FROM )\S+/gm));
  const [base] = bases;
  if (base === undefined || bases.size !== 1) throw new Error("The stages of the Containerfile do not share one base");
  if (!base.includes(`:${Bun.version}-`)) {
    throw new Error(`The Containerfile is FROM ${base}, but this is Bun ${Bun.version}: let both name one version`);
  }
  await buildStandIn(builder, { folder, name: base });
  const startedMs = performance.now();
  const image = await builder.build(root, "mailchute-check");
  console.log(`ok      built with buildah from ${base} (stand-in), ${seconds(performance.now() - startedMs)}`);

  const checks = [process.execPath, join(import.meta.dir, "container/checks.ts"), folder, JSON.stringify(image)];
  const run = Bun.spawn(
    [
      ...["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"],
      ...["sh", "-c", 'ip link set lo up && exec "$@"', "sh", ...checks],
    ],
    // unshare itself ignores softer signals; what runs in its namespaces dies with it.
    { stdio: ["ignore", "inherit", "inherit"], killSignal: "SIGKILL", signal, timeout: CHECKS_TIMEOUT_MS },
  );
  const code = await run.exited;
  if (run.signalCode !== null) throw new Error(`The checks were ended (${run.signalCode})`);
  return code;
}

function seconds(durationMs: number): string {
  return `${(durationMs / 1_000).toFixed(1)} s`;
}
