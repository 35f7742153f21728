import { Miniflare } from "miniflare";

/** So many at once, since one is too quick for a start to tell. */
export const ISOLATES = 30;

/** What one start of workerd has shown. */
export interface Started {
  /** How long all isolates together took. */
  readonly ms: number;
  /** What the first one answers. */
  readonly answer: unknown;
}

/**
 * Starts workerd with many isolates of the same code.
 *
 * @param code a module's text without a default export, which puts what is to be answered into `globalThis.names`
 * @param flags compatibility flags
 */
export async function startIsolates(code: string, flags: readonly string[] = []): Promise<Started> {
  const handler = "export default { fetch: () => Response.json(globalThis.names ?? []) };";
  const workers = Array.from({ length: ISOLATES }, (_, index) => ({
    name: `worker${index}`,
    // Named, so that Miniflare does not look for what it imports.
    modules: [{ type: "ESModule" as const, path: "worker.mjs", contents: `${code}\n${handler}` }],
    compatibilityDate: "2026-01-01",
    compatibilityFlags: [...flags],
  }));
  const start = performance.now();
  const miniflare = new Miniflare({ workers });
  try {
    await miniflare.ready;
    const ms = performance.now() - start;
    return { ms, answer: await (await miniflare.dispatchFetch("http://worker.example/")).json() };
  } finally {
    await miniflare.dispose();
  }
}
