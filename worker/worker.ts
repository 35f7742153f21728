/**
 * A Cloudflare Worker that drains the queue on a cron trigger, for a public SMTP server and no machine of one's own.
 *
 * @module
 */
import { createLog, type Log } from "../relay/log.ts";
import { statementLimitMs } from "../relay/queue/lease.ts";
import { RUNTIME_TIMERS } from "../relay/smtp/timers.ts";
import { steadyClock, systemClock } from "../relay/time/clock.ts";
import { type DrainEnd, drainQueue, type DrainReport } from "./drain_queue.ts";
import { MailerTransport } from "./mailer_transport.ts";
import { openDatabase } from "./open_database.ts";
import { checkSettings, type WorkerSettings } from "./settings.ts";
import { statementsOf } from "./statements_of.ts";

export type { DrainEnd, DrainReport, WorkerSettings };

/** What a cron trigger calls. */
export interface CronWorker<Env> {
  /** Drains once; a failure fails the run, so that Cloudflare shows it. */
  scheduled(event: unknown, env: Env, context: unknown): Promise<void>;
}

/**
 * Makes a Worker that sends what is due each time its cron trigger fires.
 *
 * @example
 * ```ts
 * interface Env {
 *   readonly HYPERDRIVE: { readonly connectionString: string };
 *   readonly SMTP_URL: string;
 * }
 *
 * const worker = drainWorker((env: Env) => ({
 *   database: env.HYPERDRIVE.connectionString,
 *   address: "db.example.com:5432/shop",
 *   smtp: env.SMTP_URL, // smtps://user:password@smtp.example.com?name=mail.example.com
 * }));
 * // export default worker;
 * if (typeof worker.scheduled !== "function") throw new Error("unexpected");
 * ```
 * @param settings the settings, or how to get them from the bindings of the Worker, some of which have to be waited for
 * (Secrets Store)
 */
export function drainWorker<Env = unknown>(
  settings: WorkerSettings | ((env: Env) => WorkerSettings | Promise<WorkerSettings>),
): CronWorker<Env> {
  return {
    async scheduled(_event, env) {
      await drain(typeof settings === "function" ? await settings(env) : settings);
    },
  };
}

/**
 * Sends what is due, for a limited time, from any handler of a Worker. What was under way when the Worker is ended is
 * `uncertain`.
 *
 * @example
 * ```ts
 * import { drain } from "mailchute/worker";
 *
 * const handler = {
 *   async fetch(): Promise<Response> {
 *     const report = await drain({ database: "postgres://localhost/shop", smtp: "smtps://smtp.example.com" });
 *     return Response.json(report);
 *   },
 * };
 * if (typeof handler.fetch !== "function") throw new Error("unexpected");
 * ```
 * @returns what was done, and why it ended
 * @throws {SettingsError} when a setting is wrong
 * @throws {Error} when the schema does not fit, or the database does not answer
 */
export async function drain(settings: WorkerSettings): Promise<DrainReport> {
  const { run, mailer } = checkSettings(settings);
  const { database } = settings;
  const clock = steadyClock(systemClock);
  const log = workerLog().with({ worker: run.name });
  const opened = typeof database === "string" ? openDatabase(database) : undefined;
  try {
    const report = await drainQueue({
      ...run,
      statements: statementsOf(opened?.connection ?? database, { limitMs: statementLimitMs(run.leaseMs), clock }),
      transport: new MailerTransport(mailer, RUNTIME_TIMERS),
      instance: await instanceOf(run.name),
      random: Math.random,
      ...{ clock, log },
    });
    log.info("drained", { ...report });
    return report;
  } finally {
    await opened?.close();
  }
}

function workerLog(): Log {
  return createLog({ write: (line) => console.log(line), now: () => Date.now() });
}

/** The same UUID for every run of a Worker: it has no state directory that could keep one (RFC 9562 section 5.8). */
async function instanceOf(name: string): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(`mailchute worker ${name}`));
  const bytes = new Uint8Array(hash, 0, 16);
  bytes[6] = 0x80 | ((bytes[6] as number) & 0x0f);
  bytes[8] = 0x80 | ((bytes[8] as number) & 0x3f);
  return bytes.toHex().replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
