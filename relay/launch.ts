import { describeSettings, readSettings } from "./config.ts";
import { createLog, type Log } from "./log.ts";
import { type Machine, type Service, startService } from "./service.ts";
import { checkDatabaseCertificates, checkRouteCertificates } from "./settings/certificates.ts";
import { steadyClock } from "./time/clock.ts";
import { PROGRAM_VERSION } from "./version.ts";

/** Where a relay is started: what it is told, and whom it tells. */
export interface LaunchContext extends Omit<Machine, "log"> {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly readFile: (path: string) => string;
  /** Takes each line of the log. */
  readonly print: (line: string) => void;
  /** The lines are read in a terminal. */
  readonly terminal: boolean;
}

/** A relay that has started, and its log. */
export interface Launched {
  readonly service: Service;
  readonly log: Log;
}

/**
 * Starts a relay as its environment says; the first line of the log tells what was understood.
 *
 * @throws {SettingsError} with a line for each wrong setting, which names the variable and the fix
 * @throws {Error} when something is not as the settings say, such as a database that does not answer
 */
export async function launch(context: LaunchContext, options: { readonly once: boolean }): Promise<Launched> {
  const { env, readFile, print, terminal, hostname, pid, random, clock } = context;
  const settings = readSettings(env, readFile, { terminal });
  checkDatabaseCertificates(settings.databases);
  checkRouteCertificates(settings.routes);
  const log = createLog({ write: print, now: () => clock.now(), ...settings.log });
  log.info(`mailchute ${PROGRAM_VERSION} · ${describeSettings(settings)}`);
  for (const notice of settings.notices) log.warn(notice);
  // The log has the machine's own time: people compare it with that of others.
  const service = await startService(settings, { hostname, pid, random, clock: steadyClock(clock), log, ...options });
  if (service.playground !== undefined) {
    const { database, inbox } = service.playground;
    log.info("playground ready", {
      database: database.url.replace(/\/\/.*@/, "//postgres:…@"),
      smtp: `127.0.0.1:${inbox.port}`,
      inbox: `${service.url}/inbox`,
    });
  }
  return { service, log };
}
