import { neonConfig } from "@neondatabase/serverless";
import app from "../../examples/worker_neon.ts";

// The example as it is, with its driver led to the stand-in of Neon.

interface Env {
  readonly DATABASE_URL: string;
  readonly NEON_ENDPOINT: string;
}

const worker = {
  fetch(request: Request, env: Env): Response | Promise<Response> {
    neonConfig.fetchEndpoint = () => env.NEON_ENDPOINT;
    return app.fetch(request, env);
  },
};

export { worker as default };
