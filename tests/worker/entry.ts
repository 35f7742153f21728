import { drain, drainWorker, type WorkerSettings } from "../../worker/worker.ts";

// The Worker of the tests: drains with the settings that it is sent, and answers with the report; its cron trigger
// takes them from a binding.

interface Env {
  readonly SETTINGS: WorkerSettings;
}

/** Timers of a second and more that run: shorter ones end by themselves before anybody could mind. */
const timers = new Set<unknown>();
const { setTimeout: set, clearTimeout: clear } = globalThis;

function countedTimeout(callback: () => void, delayMs = 0): unknown {
  const timer: unknown = set(() => {
    timers.delete(timer);
    callback();
  }, delayMs);
  if (delayMs >= 1_000) timers.add(timer);
  return timer;
}

function countedClear(timer: Parameters<typeof clearTimeout>[0]): void {
  timers.delete(timer);
  clear(timer);
}

Object.assign(globalThis, { setTimeout: countedTimeout, clearTimeout: countedClear });

async function answer(request: Request): Promise<Response> {
  const settings = await request.json() as WorkerSettings;
  try {
    const report = await drain(settings);
    return Response.json(report, { headers: { "timers-left": String(timers.size) } });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return Response.json({ error: message }, { status: 500 });
  } finally {
    timers.clear();
  }
}

const worker = { ...drainWorker((env: Env) => Promise.resolve(env.SETTINGS)), fetch: answer };

export { worker as default };
