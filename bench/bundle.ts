import { join } from "node:path";
import { ISOLATES, startIsolates } from "../tests/runtimes/isolates.ts";
import type { Benchmark, ByEffort } from "./benchmark.ts";
import { type BundleSize, bundleSize } from "./bundle_size.ts";
import { measure, type Measured } from "./measure.ts";

const ROUNDS: ByEffort<number> = { full: 15, quick: 5, tiny: 1 };

/** Loads the module whose path it is given, and prints how long that took. */
const LOADER =
  "const start = performance.now(); await import(process.argv.at(-1)); console.log(performance.now() - start);";

const OURS = "mod.ts";
const RESEND = "Resend's SDK";
const POSTGRES = "postgres.js";

/** What the client costs whoever imports it. */
export const bundle: Benchmark = {
  name: "bundle",
  async run(lab, effort) {
    const rounds = ROUNDS[effort];
    const [ours, resend, postgres] = await Promise.all(
      ["../mod.ts", "peers/resend_client.ts", "peers/postgres_client.ts"].map((path) =>
        bundleSize(join(import.meta.dir, path))
      ),
    ) as [BundleSize, BundleSize, BundleSize];
    const path = join(lab.directory, "client.mjs");
    await Bun.write(path, ours.text);
    const empty = join(lab.directory, "empty.mjs");
    await Bun.write(empty, "export {};");
    const isolate = (name: string, { text }: Pick<BundleSize, "text">) => ({ name, sample: () => isolateMs(text) });
    return {
      title: "The client as it is loaded",
      method:
        `mod.ts with valibot, bundled for a Worker and minified by Bun, gzip 9. At the start: what a bundler that splits loads at once; bulk sends, questions about mails, files and errors come when they are first needed. Its import, all of it, in a new process of Bun from the disk cache, and what it adds to the start of an isolate in workerd (nodejs_compat, the mean of ${ISOLATES} that start together, less as many empty ones), ${rounds} rounds in turn. Resend's SDK and postgres.js (without an app of ours) beside it, in one file.`,
      tables: [
        {
          unit: "KB, gzipped",
          rows: [
            row(`${OURS}, at the start`, ours.startBytes),
            row(`${OURS}, all of it`, ours.allBytes),
            row(RESEND, resend.allBytes),
            row(POSTGRES, postgres.allBytes),
          ],
        },
        {
          unit: "ms, import",
          rows: await measure([
            { name: OURS, sample: () => importMs(path) },
            { name: "an empty module", sample: () => importMs(empty) },
          ], { rounds, better: "less" }),
        },
        {
          unit: "ms more for an isolate",
          rows: await measure([isolate(OURS, ours), isolate(RESEND, resend), isolate(POSTGRES, postgres)], {
            rounds: Math.min(rounds, 5),
            warmUps: 0,
            better: "less",
          }),
        },
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

/** What a module adds to the start of an isolate. */
async function isolateMs(text: string): Promise<number> {
  const flags = ["nodejs_compat"];
  // A Worker may export handlers only.
  const code = text.replace(/export\s*\{[^}]*\};?\s*$/, "");
  const empty = await startIsolates("", flags);
  const started = await startIsolates(code, flags);
  return Math.max(0, (started.ms - empty.ms) / ISOLATES);
}
