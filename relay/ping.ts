import type { Log } from "./log.ts";
import type { Secret } from "./settings/secret.ts";

/** What the relay saw when it last looked at its databases and its route. */
export interface Look {
  /** Every database answered. */
  readonly databaseAnswered: boolean;
  /**
   * Mail flows, or nothing is due: since the look before, the next hop answered about at least one mail (with whatever
   * reply), or no mail is due that waits for more than the routes' own pace. False while the circuit of a route is
   * open, and while claimed mail gets no answer at all.
   */
  readonly flowing: boolean;
  /** One line without addresses; the body of a POST. */
  readonly summary: string;
}

/** A dead man's switch: it speaks only while all is well, and the silence raises the alarm. */
export interface Ping {
  /** Takes in one look; returns at once and never throws. */
  report(look: Look): void;
  /** Resolves when no ping is under way, so that `run --once` does not end in the middle of its only one. */
  settled(): Promise<void>;
  /** Gives up the ping under way and makes no other. */
  stop(): Promise<void>;
}

/** Options of `createPing`. */
export interface PingOptions {
  readonly url: Secret;
  readonly method: "GET" | "POST" | "HEAD";
  /** The status that means "received". */
  readonly status: number;
  readonly timeoutMs: number;
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  readonly clock: { readonly now: () => number };
  readonly log: Pick<Log, "info" | "warn">;
}

/** Services refuse more than a few pings a minute (healthchecks.io: five). */
export const MIN_PING_INTERVAL_MS = 30_000;

/**
 * Creates the health-check ping.
 *
 * DESIGN: `report` is called after each look, however often. A ping starts when the look is good, none is under way and
 * the last one began 30 s ago or more; so at most one is ever under way. A failing ping is a line in the log, once when
 * it begins to fail and once when it works again; neither holds the URL, which is a secret.
 *
 * @example One good look
 * ```ts
 * import { createLog } from "./log.ts";
 * import { createPing } from "./ping.ts";
 * import { Secret } from "./settings/secret.ts";
 * const ping = createPing({
 *   url: new Secret("https://health.example.com/uuid"), method: "GET", status: 200, timeoutMs: 5_000,
 *   fetch: () => Promise.resolve(new Response("OK")), clock: { now: Date.now },
 *   log: createLog({ write: () => {}, now: Date.now }),
 * });
 * ping.report({ databaseAnswered: true, flowing: true, summary: "0 waiting" });
 * await ping.stop();
 * ```
 */
export function createPing(options: PingOptions): Ping {
  const { clock, log } = options;
  const stopping = new AbortController();
  let lastStart = Number.NEGATIVE_INFINITY;
  let underWay: Promise<void> | undefined;
  let failing: string | undefined;

  async function ping(summary: string): Promise<void> {
    const trouble = await tryPing(summary, { ...options, signal: stopping.signal });
    if (stopping.signal.aborted) return;
    if (trouble !== undefined && trouble !== failing) log.warn("health check not reached", { reason: trouble });
    if (trouble === undefined && failing !== undefined) log.info("health check reached again");
    failing = trouble;
  }

  return {
    report(look) {
      if (!look.databaseAnswered || !look.flowing) return;
      if (stopping.signal.aborted || underWay !== undefined) return;
      const now = clock.now();
      if (now - lastStart < MIN_PING_INTERVAL_MS) return;
      lastStart = now;
      underWay = ping(look.summary).finally(() => {
        underWay = undefined;
      });
    },
    async settled() {
      await underWay;
    },
    async stop() {
      stopping.abort();
      await underWay;
    },
  };
}

/** Returns what went wrong, in words without the URL, or undefined. */
async function tryPing(
  summary: string,
  options: PingOptions & { readonly signal: AbortSignal },
): Promise<string | undefined> {
  const { url, method, status, timeoutMs } = options;
  const timeout = AbortSignal.timeout(timeoutMs);
  try {
    const response = await options.fetch(url.reveal(), {
      method,
      signal: AbortSignal.any([timeout, options.signal]),
      ...(method === "POST" ? { body: summary, headers: { "content-type": "text/plain; charset=utf-8" } } : {}),
    });
    await response.body?.cancel(); // or the connection stays open until it is collected
    return response.status === status ? undefined : `it answered ${response.status} instead of ${status}`;
  } catch (error) {
    if (timeout.aborted) return `no answer within ${timeoutMs} ms`;
    // The message and the fields of a fetch error quote the URL; its code does not.
    const code = error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
    return /^[A-Za-z_]{1,64}$/.test(code) ? `it cannot be reached (${code})` : "it cannot be reached";
  }
}
