import type { Settings } from "./config.ts";
import { type ConnectOptions, openDatabase, type RelayDatabase } from "./database/database.ts";
import type { EmbeddedPostgres } from "./database/embedded.ts";
import { createApp } from "./http/app.tsx";
import { type HttpServer, startHttp } from "./http/server.ts";
import { Journal } from "./journal/journal.ts";
import { openStateDirectory } from "./journal/state_directory.ts";
import type { Log } from "./log.ts";
import { createPing } from "./ping.ts";
import { type Playground, startEmbeddedDatabase, startPlayground } from "./playground.ts";
import { Relay, type Remainder } from "./relay.ts";
import { openRoute } from "./routes/open_route.ts";
import type { Clock } from "./time/clock.ts";
import { periodic } from "./time/periodic.ts";
import { PROGRAM_VERSION } from "./version.ts";
import { watch } from "./watch.ts";

/** What a relay is given of the machine it runs on. */
export interface Machine {
  readonly hostname: string;
  readonly pid: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
}

/** A relay with its doors: databases, SMTP server, HTTP, health check. */
export interface Service {
  /** Where the status page is; undefined with `once`. */
  readonly url: string | undefined;
  readonly playground: Playground | undefined;
  /** Serves until nothing is due; only with `once`. */
  runOnce(): Promise<Remainder>;
  /** Drains and closes everything, in the reverse order of the start. */
  stop(): Promise<void>;
}

const LOOK_MS = 5_000;

/**
 * Starts a relay as the settings say.
 *
 * @param options `once`: neither claims by itself nor listens on HTTP; `runOnce` does the work
 * @throws {Error} whose message is one sentence with the fix; what was started is stopped again
 */
export async function startService(
  settings: Settings,
  options: Machine & { readonly once?: boolean },
): Promise<Service> {
  const { log, clock } = options;
  // Closed in reverse: what was opened last is needed by nobody.
  const opened = new AsyncDisposableStack();
  try {
    const state = openStateDirectory(settings.stateDirectory);
    opened.defer(() => state.release());
    const journal = new Journal(`${state.path}/journal`, clock.after);
    opened.defer(() => journal.close());
    if (journal.damagedLines > 0) {
      log.warn("the journal has lines that were not written to their end", { lines: journal.damagedLines });
    }
    const playground = settings.playground ? await startPlayground(state.path) : undefined;
    if (playground !== undefined) opened.defer(() => playground.stop());

    const databases: RelayDatabase[] = [];
    for (const target of playground ? [playground.database] : await connectionsOf(settings, opened)) {
      const database = await openDatabase(target, { leaseMs: settings.leaseMs, clock });
      databases.push(database);
      opened.defer(() => database.sql.end({ timeout: 1 }));
      if (database.migrated.length > 0) {
        log.info("schema migrated", { database: database.name, applied: database.migrated });
      }
    }

    const { connections } = settings;
    const routes = playground === undefined
      ? settings.routes.map((route) => openRoute(route, { ...options, connections }))
      : [openRoute({ name: "default", variable: "SMTP_URL", smtp: playground.smtp }, { ...options, connections })];
    const relay = await Relay.open({
      ...options,
      databases,
      routes,
      routing: settings.routing,
      journal,
      rules: settings,
      safety: settings.safety,
      onBounce: settings.onBounce,
      retention: {
        messagesMs: settings.retentionMs,
        contentMs: Math.min(settings.retentionContentMs, settings.retentionMs),
      },
      maxQueue: settings.maxQueue,
      batchFailures: settings.batchFailures,
      limits: settings.limits,
      returnPath: settings.returnPath,
      leaseMs: settings.leaseMs,
      pollMs: settings.pollMs,
      idleMs: settings.idleMs,
      graceMs: settings.graceMs,
      instance: state.instance,
      host: options.hostname,
    });
    opened.defer(() => relay.stop());

    const watched = watch({
      relay,
      routes,
      clock,
      version: PROGRAM_VERSION,
      playground: settings.playground,
      pollMs: Math.max(settings.pollMs, settings.idleMs ?? 0),
    });
    if (settings.healthcheck !== undefined) {
      const ping = createPing({ ...settings.healthcheck, fetch, clock, log });
      opened.defer(() => ping.stop());
      const report = async () => ping.report(await watched.look());
      if (options.once) opened.defer(() => report().then(() => ping.settled()));
      else {opened.defer(periodic(report, {
          everyMs: LOOK_MS,
          clock,
          onError: (error) => log.warn("cannot look at the relay", { error }),
        }));}
    }

    let http: HttpServer | undefined;
    if (!options.once) {
      const app = createApp({
        source: watched,
        keys: settings.http,
        now: () => clock.now(),
        log,
        inbox: playground?.inbox,
      });
      http = await startHttp({ host: settings.http.host, port: settings.http.port, app });
      const server = http;
      opened.defer(() => server.stop());
      relay.start();
    }
    return {
      url: http?.url,
      playground,
      runOnce: () => relay.runOnce(),
      stop: async () => {
        // First, so that /readyz says "draining" while it does.
        await relay.stop();
        await opened.disposeAsync();
      },
    };
  } catch (error) {
    await opened.disposeAsync();
    throw error;
  }
}

async function connectionsOf(settings: Settings, opened: AsyncDisposableStack): Promise<readonly ConnectOptions[]> {
  const targets: ConnectOptions[] = [];
  for (const database of settings.databases) {
    const { name, display } = database;
    if (database.kind === "postgres") {
      const { url, tls, pooled } = database;
      targets.push({ name, display, url: url.reveal(), tls, pooled });
    } else {
      const { embedded, database: target } = await startEmbeddedDatabase(database.directory);
      opened.defer(() => (embedded as EmbeddedPostgres).stop());
      targets.push({ ...target, name, display });
    }
  }
  return targets;
}
