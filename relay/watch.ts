import type { RelayStatus, RouteStatus, StatusSource } from "./http/status_source.ts";
import type { Look } from "./ping.ts";
import type { Relay } from "./relay.ts";
import type { Route } from "./routes/route.ts";
import type { Clock } from "./time/clock.ts";

/** A claim loop that has not turned for so long hangs: it polls far more often. */
const STUCK_MS = 60_000;

/** The longest wait for one database. */
const STATUS_MS = 3_000;

/** So many limits are listed one by one. */
const LISTED_LIMITS = 20;

/** Mail that is due and younger than this is simply being worked on. */
const FLOWING_MS = 60_000;

export interface WatchOptions {
  readonly relay: Relay;
  readonly routes: readonly Route[];
  readonly clock: Clock;
  readonly version: string;
  readonly playground: boolean;
  /** The longest pause of a claim loop by design. */
  readonly pollMs: number;
}

/** Looks at a relay from outside: for the probes, the status page, the metrics and the health check. */
export function watch(options: WatchOptions): StatusSource & { look(): Promise<Look> } {
  const { relay, clock } = options;
  const startedAt = new Date(clock.now());
  let answeredBefore = 0;

  function alive(): boolean {
    // While the breaker is open the loop sleeps until the probe, at most about a minute.
    const longest = STUCK_MS + 2 * options.pollMs + 60_000;
    return relay.draining || relay.stations.every(({ drain }) => clock.now() - drain.lastTurnMs < longest);
  }

  async function ready(): Promise<{ readonly ok: boolean; readonly reasons: readonly string[] }> {
    const reasons: string[] = [];
    if (relay.draining) reasons.push("draining");
    if (relay.stations.some(({ drain }) => drain.journalTrouble !== undefined)) {
      reasons.push("journal cannot be written");
    }
    for (const { name, reachable, copy, schemaProblem } of (await status(options, { startedAt })).databases) {
      if (!reachable) reasons.push(`database ${name} does not answer`);
      else if (copy !== undefined) reasons.push(`database ${name} is a copy`);
      else if (schemaProblem !== undefined) reasons.push(`the schema of database ${name} does not fit this program`);
    }
    for (const { name, breaker } of options.routes) {
      if (breaker.stateAt(clock.now()) !== "closed") reasons.push(`route ${name} is out`);
    }
    return { ok: reasons.length === 0, reasons };
  }

  async function look(): Promise<Look> {
    const { databases, routes, limits } = await status(options, { startedAt });
    const answered = relay.counters.answered;
    const oldestMs = Math.max(0, ...databases.map(({ oldestDueSeconds }) => (oldestDueSeconds ?? 0) * 1_000));
    // A breaker opens by mail that fails and closes by mail that is taken: while it is not closed, mail waits, due now
    // or at the next probe.
    const flowing = routes.every(({ state }) => state === "closed") &&
      (oldestMs === 0 || answered > answeredBefore || oldestMs < FLOWING_MS || (limits?.reached ?? 0) > 0 ||
        relay.pauses.stopAll);
    answeredBefore = answered;
    return {
      databaseAnswered: databases.every(({ reachable }) => reachable),
      flowing,
      summary: `${
        routes.map(({ name, state }) => `route ${name} ${state}`).join(", ")
      }, ${answered} mails answered, oldest due ${Math.round(oldestMs / 1_000)} s`,
    };
  }

  return { alive, ready, look, status: () => status(options, { startedAt, counts: true }) };
}

/** Rejects when the database is silent: a status page is for when things are wrong. */
async function within<T>(
  limitMs: number,
  { clock, work }: { readonly clock: Clock; readonly work: Promise<T> },
): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const cancel = clock.after(limitMs, () => reject(new Error(`The database does not answer within ${limitMs} ms`)));
  return await Promise.race([work, promise]).finally(cancel);
}

/** @param asked `counts`: with what stands in the queues, by state; probes need it not. */
async function status(
  options: WatchOptions,
  { startedAt, counts = false }: { readonly startedAt: Date; readonly counts?: boolean },
): Promise<RelayStatus> {
  const { relay, routes, version, playground } = options;
  const count = (kind: string) => relay.counters.byKind.get(kind) ?? 0;
  const databases = await Promise.all(relay.stations.map(async (station) => {
    const { database, drain, listening, depth } = station;
    const base = {
      ...{ name: database.name, schemaVersion: database.schemaVersion, inFlight: drain.inFlight, listening },
      ...(depth?.messages === undefined ? {} : {
        queue: { messages: depth.messages, limit: depth.limit, isFull: depth.isFull },
      }),
    };
    const { copy, schemaProblem } = station;
    const found = {
      ...base,
      ...(copy === undefined ? {} : { copy }),
      ...(schemaProblem === undefined ? {} : { schemaProblem }),
    };
    try {
      const oldestMs = await within(STATUS_MS, { clock: options.clock, work: station.oldestDueMs() });
      const messages = counts ? await station.openByState() : undefined;
      const open = messages === undefined ? {} : { messages: { ...messages } };
      return {
        ...found,
        ...open,
        reachable: true,
        ...(oldestMs === undefined ? {} : { oldestDueSeconds: oldestMs / 1_000 }),
      };
    } catch (error) {
      return { ...base, reachable: false, lastError: error instanceof Error ? error.message : String(error) };
    }
  }));
  return {
    version,
    playground,
    startedAt,
    databases,
    routes: routes.map((route) => routeStatus(route, options)),
    limits: limitStatus(relay),
    pauses: relay.pauses.all,
    counters: {
      sent: count("sent"),
      deferred: count("deferred"),
      bounced: count("bounced"),
      uncertain: count("uncertain"),
      failed: count("failed"),
      expired: count("expired"),
      suppressed: count("suppressed"),
      settledStale: relay.counters.settledStale,
    },
  };
}

function limitStatus(relay: Relay): Exclude<RelayStatus["limits"], undefined> {
  const reached = [...relay.reachedLimits()].sort((a, b) => b.untilMs - a.untilMs);
  const listed = reached.slice(0, LISTED_LIMITS).map(({ limit, untilMs }) => ({ limit, until: new Date(untilMs) }));
  return { reached: reached.length, listed };
}

function routeStatus({ name, breaker, transport }: Route, { relay, clock }: WatchOptions): RouteStatus {
  const { byKind, lastSentAtMs, trouble } = relay.counters.route(name);
  const count = (kind: string) => byKind.get(kind) ?? 0;
  const state = breaker.stateAt(clock.now());
  return {
    name,
    state,
    ...(trouble === undefined || state === "closed" ? {} : { reason: trouble }),
    ...(breaker.outSinceMs === undefined ? {} : { outSince: new Date(breaker.outSinceMs) }),
    connections: transport.openConnections(),
    attempts: {
      sent: count("sent"),
      deferred: count("deferred"),
      bounced: count("bounced"),
      uncertain: count("uncertain"),
    },
    ...(lastSentAtMs === undefined ? {} : { lastSentAt: new Date(lastSentAtMs) }),
  };
}
