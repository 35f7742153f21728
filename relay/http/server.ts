import { errorCode } from "../error_code.ts";
import type { Connection } from "./access.ts";

/** Anything that answers requests, such as a Hono app; the bindings tell it where they come from. */
export interface HttpApp {
  fetch(request: Request, bindings: Connection): Response | Promise<Response>;
}

/** A server that is running. */
export interface HttpServer {
  /** Where to reach it, with the port that was really taken. */
  readonly url: string;
  /** Stops listening and ends what is open. */
  stop(): Promise<void>;
}

// The pages take no uploads: whatever is longer than a query is not for us.
const MAX_BODY_BYTES = 65_536;
const IDLE_SECONDS = 10;

/**
 * Serves an app with Bun.serve.
 *
 * @param options `port` 0 takes any free port
 * @throws {Error} naming HOST and PORT, when the address cannot be taken
 */
export function startHttp(
  options: { readonly host: string; readonly port: number; readonly app: HttpApp },
): Promise<HttpServer> {
  const { host, port, app } = options;
  // Not async: what fails here fails at once, and the caller sees one kind of failure.
  return new Promise((resolve) => resolve(listen(host, { port, app })));
}

function listen(host: string, options: { readonly port: number; readonly app: HttpApp }): HttpServer {
  const { port, app } = options;
  const server = openPort(
    host,
    port,
    (request, peer) => app.fetch(request, { listening: host, ...(peer === undefined ? {} : { peer }) }),
  );
  const shown = host.includes(":") ? `[${host}]` : host;
  return {
    url: `http://${shown}:${server.port}`,
    stop: () => server.stop(true),
  };
}

function openPort(
  hostname: string,
  port: number,
  answer: (request: Request, peer: string | undefined) => Response | Promise<Response>,
): Bun.Server<undefined> {
  try {
    return Bun.serve({
      hostname,
      port,
      idleTimeout: IDLE_SECONDS,
      maxRequestBodySize: MAX_BODY_BYTES,
      development: false, // its error page would show source text
      // With development off Bun 1.4.5 shares the port with whoever asks for it, so that two relays would each get
      // some of the requests, and passwords would go to either.
      reusePort: false,
      fetch: (request, server) => answer(request, server.requestIP(request)?.address),
    });
  } catch (cause) {
    const code = errorCode(cause);
    const because = code === "EADDRINUSE" ? "another program has the port" : `the address cannot be used (${code})`;
    throw new Error(`Cannot listen on ${hostname}:${port}: ${because}; set HOST and PORT to a free address`, { cause });
  }
}
