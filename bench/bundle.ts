import { join } from "node:path";
import type { Benchmark, ByEffort } from "./benchmark.ts";
import { bundleSize } from "./bundle_size.ts";
import { measure, type Measured } from "./measure.ts";

const ROUNDS: ByEffort<number> = { full: 15, quick: 5, tiny: 1 };

/** Loads the module whose path it is given, and prints how long that took. */
const LOADER =
  "const start = performance.now(); await import(process.argv.at(-1)); console.log(performance.now() - start);";

/** What the client costs whoever imports it. */
export const bundle: Benchmark = {
  name: "bundle",
  async run(lab, effort) {
    const path = join(lab.directory, "client.mjs");
    const { startBytes, allBytes, text } = await bundleSize(join(import.meta.dir, "../mod.ts"));
    await Bun.write(path, text);
    const empty = join(lab.directory, "empty.mjs");
    await Bun.write(empty, "export {};");
    const rows = await measure([
      { name: "mod.ts", sample: () => importMs(path) },
      { name: "an empty module", sample: () => importMs(empty) },
    ], { rounds: ROUNDS[effort], better: "less" });
    return {
      title: "The client as it is loaded",
      method:
        `mod.ts with valibot, bundled and minified by Bun, gzip 9; its import in a new process of Bun, from the disk cache, ${
          ROUNDS[effort]
        } rounds in turn. An edge runtime is not measured here.`,
      tables: [
        {
          unit: "KB, gzipped",
          rows: [row("mod.ts, at the start", startBytes), row("mod.ts, all of it", allBytes)],
        },
        { unit: "ms, import", rows },
      ],
    };
  },
};

function row(name: string, bytes: number): Measured {
  return { name, median: bytes / 1_000, low: bytes / 1_000, high: bytes / 1_000, ratios: [] };
}

async function importMs(path: string): Promise<number> {
  const child = Bun.spawn([process.execPath, "--eval", LOADER, path], { stdout: "pipe", stderr: "inherit" });
  const ms = Number(await new Response(child.stdout).text());
  if (await child.exited !== 0 || !(ms > 0)) throw new Error(`Cannot take the figure: ${path} was not loaded`);
  return ms;
}
