import { basename } from "node:path";

/** How large a module is for who imports it: minified, gzip 9. */
export interface BundleSize {
  /** What a bundler that can split loads at the start. */
  readonly startBytes: number;
  /** All of it in one file. */
  readonly allBytes: number;
  /** The one file. */
  readonly text: string;
}

/** Bundles a module as Cloudflare's bundler does, with all that it imports. */
export async function bundleSize(path: string): Promise<BundleSize> {
  const [whole] = [...(await build(path, false)).values()];
  const parts = await build(path, true);
  // A Set goes on to what is added while it is walked.
  const start = new Set([basename(path).replace(/ts$/, "js")]);
  for (const name of start) {
    const imports = parts.get(name)?.matchAll(/(?:from|import)"\.\/([^"]+)"/g) ?? [];
    for (const [, imported] of imports) start.add(imported as string);
  }
  const text = whole ?? "";
  return {
    startBytes: gzipBytes([...start].map((name) => parts.get(name) ?? "").join("")),
    allBytes: gzipBytes(text),
    text,
  };
}

async function build(path: string, splitting: boolean): Promise<ReadonlyMap<string, string>> {
  const built = await Bun.build({
    entrypoints: [path],
    target: "browser",
    format: "esm",
    minify: true,
    splitting,
    conditions: ["workerd"],
    // What the runtime has, and what Resend asks for only when it is used.
    external: ["cloudflare:*", "node:*", "@react-email/render"],
  });
  const texts = built.outputs.map(async (output) => [output.path.replace("./", ""), await output.text()] as const);
  return new Map(await Promise.all(texts));
}

function gzipBytes(text: string): number {
  return Bun.gzipSync(new TextEncoder().encode(text), { level: 9 }).length;
}
