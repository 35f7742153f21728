import type { Miniflare as Runtime } from "miniflare";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { DrainReport, WorkerSettings } from "../../worker/worker.ts";
import { createDatabase, type TestDatabase } from "../database.ts";
import {
  type ScriptedServer,
  type ScriptedServerOptions,
  startScriptedServer,
  TEST_AUTHORITY,
} from "../scripted_server.ts";

// The Worker runs in workerd, Cloudflare's runtime, over real sockets.

const bundles = new Map<string, Promise<string>>();

/** As wrangler bundles it. */
function bundleOf(entry: string): Promise<string> {
  const known = bundles.get(entry) ?? bundled(entry);
  bundles.set(entry, known);
  return known;
}

async function bundled(entry: string): Promise<string> {
  const built = await Bun.build({
    entrypoints: [resolve(import.meta.dir, entry)],
    target: "browser",
    format: "esm",
    conditions: ["workerd", "worker"],
    external: ["cloudflare:sockets", "node:*"],
  });
  if (!built.success) throw new AggregateError(built.logs, "Cannot bundle the Worker of the tests");
  return await (built.outputs[0] as Blob).text();
}

/** A Worker in workerd. */
export interface TestWorker extends AsyncDisposable {
  readonly runtime: Runtime;
  /** What it has logged. */
  readonly lines: readonly string[];
  /** Fires the cron trigger. @returns `ok` or `exception` */
  fire(): Promise<string>;
}

/** What a Worker is started with. */
export interface StartOptions {
  /** @default {"entry.ts"} */
  readonly entry?: string;
  readonly bindings?: Readonly<Record<string, string>>;
  /** The settings of the cron trigger of `entry.ts`. */
  readonly settings?: WorkerSettings;
  /** URLs of databases. */
  readonly hyperdrives?: Readonly<Record<string, string>>;
}

/** Starts workerd. */
export async function startWorker(options: StartOptions = {}): Promise<TestWorker> {
  const { entry = "entry.ts", settings, bindings = {}, hyperdrives = {} } = options;
  // Workers trust the well-known authorities, and in workerd those of this variable.
  const folder = mkdtempSync(join(tmpdir(), "mailchute-worker-"));
  const ca = join(folder, "ca.pem");
  writeFileSync(ca, TEST_AUTHORITY.ca);
  const before = process.env.NODE_EXTRA_CA_CERTS;
  process.env.NODE_EXTRA_CA_CERTS = ca;
  // It reads that when it is loaded: a copy of our own, since another test of this process may have loaded it before.
  const copy = `${Bun.resolveSync("miniflare", import.meta.dir)}?with-our-authority`;
  const { Miniflare } = await import(copy) as typeof import("miniflare");
  const lines: string[] = [];
  const runtime = new Miniflare({
    modules: true,
    script: await bundleOf(entry),
    compatibilityDate: "2026-04-01",
    compatibilityFlags: ["nodejs_compat"],
    bindings: { ...bindings, ...(settings === undefined ? {} : { SETTINGS: { ...settings } }) },
    hyperdrives: { ...hyperdrives },
    handleRuntimeStdio: (stdout: NodeJS.ReadableStream, stderr: NodeJS.ReadableStream) => {
      for (const stream of [stdout, stderr]) {
        stream.on("data", (chunk: Uint8Array) => void lines.push(new TextDecoder().decode(chunk)));
      }
    },
  });
  await runtime.ready;
  let ended: Promise<void> | undefined;
  if (before === undefined) delete process.env.NODE_EXTRA_CA_CERTS;
  else process.env.NODE_EXTRA_CA_CERTS = before;
  return {
    ...{ runtime, lines },
    fire: async () => {
      // Not in the types that miniflare has of it here.
      const { scheduled } = await runtime.getWorker() as unknown as Record<
        "scheduled",
        () => Promise<{ outcome: string }>
      >;
      return (await scheduled()).outcome;
    },
    [Symbol.asyncDispose]: () => ended ??= runtime.dispose(),
  };
}

/** A Worker, a database and a server, for one test. */
export interface Setup extends AsyncDisposable {
  readonly worker: TestWorker;
  readonly database: TestDatabase;
  readonly server: ScriptedServer;
  /** Timers of a second and more that the last drain has left. */
  readonly timersLeft: number;
  /** Drains once. */
  drain(settings?: Partial<WorkerSettings>): Promise<DrainReport>;
  /** Drains once, and gives the error that it must end with. */
  drainError(settings?: Partial<WorkerSettings>): Promise<string>;
}

let shared: Promise<TestWorker> | undefined;

/** Ends the Worker that the tests of a file share. */
export async function stopWorker(): Promise<void> {
  await (await shared)?.[Symbol.asyncDispose]();
  shared = undefined;
}

/** A server with this script, an empty queue, and the Worker that all tests share. */
export async function setup(script: ScriptedServerOptions = {}): Promise<Setup> {
  shared ??= startWorker();
  const worker = await shared;
  const database = await createDatabase();
  const server = await startScriptedServer(script);
  const post = async (settings: Partial<WorkerSettings>): Promise<DrainReport | { readonly error: string }> => {
    const body = { database: database.url, smtp: `smtp://127.0.0.1:${server.port}?name=worker.example`, ...settings };
    const response = await worker.runtime.dispatchFetch("http://worker/", {
      method: "POST",
      body: JSON.stringify(body),
    });
    timersLeft = Number(response.headers.get("timers-left"));
    return await response.json() as DrainReport;
  };
  let timersLeft = 0;
  return {
    ...{ worker, database, server },
    get timersLeft() {
      return timersLeft;
    },
    async drain(settings = {}) {
      const report = await post(settings);
      if ("error" in report) throw new Error(report.error);
      return report;
    },
    async drainError(settings = {}) {
      const report = await post(settings);
      if ("error" in report) return report.error;
      throw new Error(`It drained: ${JSON.stringify(report)}`);
    },
    async [Symbol.asyncDispose]() {
      await server.close();
      await database[Symbol.asyncDispose]();
    },
  };
}
