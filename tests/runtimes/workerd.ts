import type { BunPlugin } from "bun";
import { Miniflare } from "miniflare";
import { isBuiltin } from "node:module";
import type { Readable } from "node:stream";
import { bundle } from "./bundle.ts";
import type { Report, Runtime, Task } from "./task.ts";

/** What a Worker is deployed with. */
export interface WorkerdOptions {
  /** Whether it is to have Node's own modules, as `compatibility_flags = ["nodejs_compat"]`. */
  readonly nodejsCompat: boolean;
  /** The database that the binding HYPERDRIVE leads to. */
  readonly hyperdriveUrl: string;
}

/** Not the newest that this workerd knows: an app may be older. */
const COMPATIBILITY_DATE = "2026-01-01";

/** Leaves Node's modules to workerd, as Cloudflare's own packager does, where Bun would put its own into the bundle. */
const NODE_MODULES: BunPlugin = {
  name: "Node's modules are workerd's",
  setup: (build) => {
    build.onResolve({ filter: /./ }, ({ path }) => isBuiltin(path) ? { path, namespace: "workerd" } : undefined);
    build.onLoad({ filter: /./, namespace: "workerd" }, ({ path }) => ({
      contents: `module.exports = process.getBuiltinModule("${path}")`,
      loader: "js",
    }));
  },
};

/** Starts workerd, the runtime of Cloudflare Workers, with the cases in it. */
export async function startWorkerd({ nodejsCompat, hyperdriveUrl }: WorkerdOptions): Promise<Runtime> {
  // Shown only when it does not start: there is a stack for each connection that fails, which tests bring about by the
  // hundred.
  let errors = "";
  const miniflare = new Miniflare({
    modules: true,
    script: await bundle(nodejsCompat ? "tests/runtimes/worker_node_guest.ts" : "tests/runtimes/worker_guest.ts", {
      target: "browser",
      conditions: ["workerd", "worker"],
      external: ["cloudflare:*"],
      plugins: nodejsCompat ? [NODE_MODULES] : [],
    }),
    compatibilityDate: COMPATIBILITY_DATE,
    compatibilityFlags: nodejsCompat ? ["nodejs_compat"] : [],
    handleRuntimeStdio: (stdout: Readable, stderr: Readable) => {
      stdout.resume();
      stderr.setEncoding("utf8").on("data", (text: string) => errors += text);
    },
    hyperdrives: { HYPERDRIVE: hyperdriveUrl },
  });
  await miniflare.ready.catch((cause) => {
    throw new Error(`workerd does not start: ${errors}`, { cause });
  });
  const post = async (path: string, task: Task) => {
    const answer = await miniflare.dispatchFetch(`http://worker.example${path}`, {
      method: "POST",
      body: JSON.stringify(task),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`workerd answered ${answer.status}: ${text}`);
    return text;
  };
  return {
    run: async (task): Promise<Report> => JSON.parse(await post("/", task)),
    runLater: async (task) => void await post("/later", task),
    [Symbol.asyncDispose]: () => miniflare.dispose(),
  };
}
