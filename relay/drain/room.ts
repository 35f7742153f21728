/** What one route says when it is asked how many mails it could take. */
export interface RouteRoom {
  /** How many its circuit breaker lets through. */
  readonly limit: number;
  /** While it is out: when it may be probed, if time alone decides. */
  readonly retryAtMs: number | undefined;
  /** How many more may wait for it; 0 while so few could that waiting for more room is cheaper. */
  readonly free: number;
  /** Since when there has been no room. */
  readonly fullSinceMs: number | undefined;
}

/** How many messages to claim. */
export interface Room {
  readonly messages: number;
  /** Only the one that has been due longest: the route is being probed. */
  readonly isProbe: boolean;
  /** Without room: when time alone may change that. */
  readonly againMs: number | undefined;
}

/**
 * How long a full route is waited for before mail is claimed around it. A route that flows has room again sooner: it
 * holds what it sends in a quarter of a second (pace.ts), and says so when a quarter of that is free.
 */
export const PATIENCE_MS = 100;

/**
 * Decides how many messages to claim. The queue does not know by which route a message goes, so a claim brings mail for
 * routes that are out or full too, and that mail has to be given back. With one route that never happens; with several,
 * only so that mail for the others gets through.
 *
 * @param patienceMs how long a full route is waited for; Infinity: as long as it takes
 */
export function roomFor(routes: readonly RouteRoom[], nowMs: number, patienceMs: number): Room {
  const [only] = routes;
  if (routes.length === 1 && only !== undefined) {
    const { limit, retryAtMs, free } = only;
    return { messages: Math.min(limit, free), isProbe: limit === 1, againMs: limit === 0 ? retryAtMs : undefined };
  }
  const up = routes.filter(({ limit }) => limit > 0);
  const waits = routes.flatMap(({ limit, retryAtMs }) => limit === 0 && retryAtMs !== undefined ? [retryAtMs] : []);
  for (const { fullSinceMs } of up) {
    if (fullSinceMs === undefined || nowMs - fullSinceMs >= patienceMs) continue;
    // It may have room again in a moment; until then its mail would only be claimed and given back.
    return { messages: 0, isProbe: false, againMs: earliest([...waits, fullSinceMs + patienceMs]) };
  }
  const messages = Math.max(0, ...up.map(({ free }) => free));
  return { messages, isProbe: false, againMs: messages === 0 ? earliest(waits) : undefined };
}

function earliest(times: readonly number[]): number | undefined {
  const first = Math.min(...times);
  return first === Infinity ? undefined : first;
}
