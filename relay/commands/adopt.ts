import { createLog } from "../log.ts";
import { isServing } from "../queue/relay_row.ts";
import type { Clock } from "../time/clock.ts";
import { parseDuration } from "../time/duration.ts";
import { type Command, DATABASE_OPTION, EXIT, type Options, UsageError, withDatabase } from "./command.ts";

/** What `adopt` is given of the machine it runs on. */
export interface AdoptMachine {
  readonly clock: Clock;
  /** Resolves when the process is asked to end. */
  readonly stopAsked: () => Promise<string>;
}

/** Two sleeps of a relay with the default of EMPTY_QUEUE_SLEEP. */
const WATCH = "60s";

/** Raises MC002 when the role has no app; changes nothing. */
const HAS_APP = "select mailchute.status_v1('00000000-0000-0000-0000-000000000000'::uuid)";

const SERVING = `select from mailchute.relay r where ${isServing("r")} limit 1`;

/**
 * `adopt`: sends what apps write into the table of another queue, so that the relay can be changed before the apps are.
 */
export function adoptCommand({ clock, stopAsked }: AdoptMachine): Command {
  return {
    name: "adopt",
    usage: "django-email-relay [--watch 60s] [--once] [--database NAME]",
    summary:
      "beside a relay (mailchute run): send what Django apps write into the table email_relay_message and keep its statuses true, until it is stopped; --watch: how long the table must stand still before, two EMPTY_QUEUE_SLEEP of the old relay; --once ends when all was tried, 75 when some waits for another try",
    options: { watch: { type: "string" }, once: { type: "boolean" }, ...DATABASE_OPTION },
    async run(context, words, options) {
      if (words.length !== 1 || words[0] !== "django-email-relay") {
        throw new UsageError("adopt takes one word, whose table it is: mailchute adopt django-email-relay");
      }
      const watchMs = watchOf(options);
      const { Adoption, TableInUse } = await import("../adopt/adoption.ts");
      const { EmailRelayTable } = await import("../adopt/email_relay_table.ts");
      const log = createLog({
        write: context.print,
        now: () => clock.now(),
        format: context.terminal ? "pretty" : "json",
      });
      return await withDatabase(context, { name: options.database, ownPath: true }, async (sql, { display }) => {
        const source = await EmailRelayTable.find(sql);
        if (source === undefined) {
          context.tell(
            `Cannot adopt: ${display} has no table email_relay_message that this role finds; name its database with --database, or its schema in the role's search_path`,
          );
          return EXIT.failed;
        }
        await sql.unsafe(HAS_APP);
        const stop = new AbortController();
        void stopAsked().then(() => stop.abort());
        const adoption = new Adoption({
          sql,
          begin: (work) => sql.begin((tx) => work(tx)),
          ...{ source, watchMs, clock, log, signal: stop.signal, defaultFrom: context.env.DEFAULT_FROM_EMAIL },
        });
        const [serving] = await sql.unsafe(SERVING);
        if (serving === undefined) log.warn("no relay serves this database: start one", { fix: "mailchute run" });
        try {
          await adoption.watch();
          if (!stop.signal.aborted) log.info("adopting", { table: source });
          const { here, there } = await adoption.run({ once: options.once === true });
          log.info("letting go", { taken: adoption.taken, here, there });
          await adoption.letGo();
          return options.once === true && here + there > 0 ? EXIT.tryAgain : EXIT.ok;
        } catch (error) {
          if (!(error instanceof TableInUse)) throw error;
          await adoption.letGo();
          context.tell(
            `Cannot adopt: ${error.message}; stop it (runrelay, python -m email_relay.service), then start again`,
          );
          return EXIT.failed;
        }
      });
    },
  };
}

function watchOf({ watch = WATCH }: Options): number {
  const ms = typeof watch === "string" ? parseDuration(watch) : undefined;
  if (ms !== undefined && ms >= 100) return ms;
  throw new UsageError(
    `--watch ${String(watch)} is no duration of at least 100ms: write 60s, two EMPTY_QUEUE_SLEEP of the old relay`,
  );
}
