import type { Kind } from "../client/kinds/kind.ts";
import { postgresBegin } from "../client/kinds/postgres.ts";
import { run, runLater } from "./guest.ts";
import { HYPERDRIVE } from "./matrix.ts";

interface Env {
  readonly HYPERDRIVE: { readonly connectionString: string };
}

/** What a Cloudflare Worker exports. */
export interface Worker {
  fetch(request: Request, env: Env, context: { waitUntil(work: Promise<unknown>): void }): Promise<Response>;
}

/** Makes a Cloudflare Worker that runs a case for each request, with these kinds and Hyperdrive. */
export function workerOf(kinds: readonly Kind[]): Worker {
  return {
    fetch: async (request, env, context) => {
      const hyperdrive: Kind = {
        ...postgresBegin,
        name: HYPERDRIVE,
        open: (_url, neon) => postgresBegin.open(env.HYPERDRIVE.connectionString, neon),
      };
      const task = await request.json();
      if (!request.url.endsWith("/later")) return Response.json(await run(task, [...kinds, hyperdrive]));
      context.waitUntil(runLater(task, [...kinds, hyperdrive]));
      return new Response(null, { status: 202 });
    },
  };
}
