import type { Remainder } from "../relay.ts";
import type { Machine } from "../service.ts";
import { type Command, type CommandContext, EXIT } from "./command.ts";

/** What `run` is given beside what every command is. */
export interface RunContext extends CommandContext, Omit<Machine, "log"> {
  /**
   * Resolves when the process is asked to end (SIGTERM, SIGINT, SIGHUP), which from the first call on does not end it
   * by itself.
   */
  readonly stopAsked: () => Promise<string>;
}

/** `run`: the service itself. */
export function runCommand(machine: Omit<RunContext, keyof CommandContext>): Command {
  return {
    name: "run",
    usage: "[--once]",
    summary: "serve (the default); --once sends what is due and exits: 0 when all is settled, 75 when some remains",
    options: { once: { type: "boolean" } },
    async run(context, _words, options) {
      const once = options.once === true;
      const stopAsked = machine.stopAsked();
      // Half of the program, which the other commands need not wait for.
      const { launch } = await import("../launch.ts");
      // A database that is silent keeps a start for a while; nothing is claimed before its end, and so nothing is lost
      // by leaving.
      const launched = await Promise.race([
        launch({ ...machine, ...context }, { once }),
        stopAsked,
      ]);
      if (typeof launched === "string") {
        context.tell(`mailchute: ended by ${launched} before it had started`);
        return once ? EXIT.tryAgain : EXIT.ok;
      }
      const { service, log } = launched;
      if (once) {
        const stopped = stopAsked.then(() => service.stop());
        const interrupted: Remainder = { waiting: 1, leased: 0 };
        // Whatever it ends with: what is on the wire then is brought to its end.
        const { waiting, leased, paused, pauses } = await Promise.race([
          service.runOnce(),
          stopped.then(() => interrupted),
        ]).finally(() => service.stop());
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
      const signal = await stopAsked;
      log.info("draining", { signal });
      await service.stop();
      log.info("stopped");
      return EXIT.ok;
    },
  };
}
