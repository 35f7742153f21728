import { drain, drainWorker, type WorkerSettings } from "../../worker/worker.ts";

// The Worker of the tests: drains with the settings that it is sent, and answers with the report; its cron trigger takes them from a binding.

interface Env {
  readonly SETTINGS: WorkerSettings;
}

const cron = drainWorker((env: Env) => env.SETTINGS);

const worker = {
  ...cron,
  async fetch(request: Request): Promise<Response> {
    try {
      return Response.json(await drain(await request.json()));
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      return Response.json({ error: message }, { status: 500 });
    }
  },
};

export { worker as default };
