import type { BunPlugin } from "bun";
import { join } from "node:path";

/** Where the repository is. */
export const ROOT = join(import.meta.dir, "../..");

/** What a runtime's own packager would look for in a package. */
export interface BundleOptions {
  readonly target: "browser" | "node";
  readonly format?: "esm" | "iife";
  readonly conditions?: readonly string[];
  readonly external?: readonly string[];
  /** Whether packages are left to the runtime. @default all are taken in */
  readonly packages?: "external";
  readonly minify?: boolean;
  readonly plugins?: BunPlugin[];
}

/** Makes one file of a file of this repository and all that it imports. */
export async function bundle(entry: string, options: BundleOptions): Promise<string> {
  const { target, format = "esm", conditions = [], external = [], plugins = [], packages = "bundle", minify = false } =
    options;
  const { outputs } = await Bun.build({
    entrypoints: [join(ROOT, entry)],
    target,
    format,
    conditions: [...conditions],
    external: [...external],
    plugins,
    packages,
    minify,
  });
  return await outputs.reduce(async (text, output) => await text + await output.text(), Promise.resolve(""));
}
