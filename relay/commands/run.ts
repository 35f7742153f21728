import { steadyClock } from "../clock.ts";
import { describeSettings, readSettings } from "../config.ts";
import { createLog } from "../log.ts";
import type { Remainder } from "../relay.ts";
import { PROGRAM_VERSION } from "../version.ts";
import { type Machine, startService } from "../service.ts";
import { checkRouteCertificates } from "../settings/route_certificates.ts";
import { type Command, type CommandContext, EXIT } from "./command.ts";

/** What `run` is given beside what every command is. */
export interface RunContext extends CommandContext, Omit<Machine, "log"> {
  /** Resolves when the process is asked to end (SIGTERM, SIGINT). */
  readonly stopAsked: Promise<string>;
}

/** `run`: the service itself. */
export function runCommand(machine: Omit<RunContext, keyof CommandContext>): Command {
  return {
    name: "run",
    usage: "[--once]",
    summary: "serve (the default); --once sends what is due and exits: 0 when all is settled, 75 when some remains",
    options: { once: { type: "boolean" } },
    async run(context, _words, options) {
      const settings = readSettings(context.env, context.readFile, { terminal: context.terminal });
      checkRouteCertificates(settings.routes);
      const log = createLog({ write: context.print, now: () => machine.clock.now(), ...settings.log });
      log.info(`mailchute ${PROGRAM_VERSION} · ${describeSettings(settings)}`);
      for (const notice of settings.notices) log.warn(notice);
      const once = options.once === true;
      // The log has the machine's own time: people compare it with that of others.
      const service = await startService(settings, { ...machine, clock: steadyClock(machine.clock), log, once });
      if (service.playground !== undefined) {
        const { database, inbox } = service.playground;
        log.info("playground ready", {
          database: database.url.replace(/\/\/.*@/, "//postgres:…@"),
          smtp: `127.0.0.1:${inbox.port}`,
          inbox: `${service.url}/inbox`,
        });
      }
      if (once) {
        const stopped = machine.stopAsked.then(() => service.stop());
        const interrupted: Remainder = { waiting: 1, leased: 0 };
        const { waiting, leased, paused, pauses } = await Promise.race([
          service.runOnce(),
          stopped.then(() => interrupted),
        ]);
        await service.stop();
        if (waiting + leased !== 0) {
          log.warn("not all that is due is settled", {
            ...{ waiting, heldByOtherRelays: leased },
            ...(pauses === undefined ? {} : { paused, pauses, fix: "mailchute resume, when it may go out" }),
          });
          return EXIT.tryAgain;
        }
        log.info("all that was due is settled");
        return EXIT.ok;
      }
      log.info("serving", { status: service.url });
      const signal = await machine.stopAsked;
      log.info("draining", { signal });
      await service.stop();
      log.info("stopped");
      return EXIT.ok;
    },
  };
}
