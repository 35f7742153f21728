import { isStream } from "../../src/stream.ts";
import {
  isApp,
  listStreams,
  NO_SETTINGS,
  PRIORITIES,
  type Priority,
  removeStream,
  saveStream,
  type StoredStream,
  type StreamSettings,
} from "../queue/stream_table.ts";
import { formatDuration, parseDuration } from "../time/duration.ts";
import {
  type Command,
  type CommandContext,
  DATABASE_OPTION,
  EXIT,
  JSON_OPTION,
  type Options,
  table,
  UsageError,
  withDatabase,
} from "./command.ts";

const SETTINGS = {
  priority: { type: "string" },
  expires: { type: "string" },
  backoff: { type: "string" },
  "on-uncertain": { type: "string" },
  digest: { type: "string" },
} as const;

const DAY_MS = 86_400_000;
const LONGEST_LIFE_MS = 31 * DAY_MS;
const MOST_WAITS = 20;
/** The last wait repeats until the mail expires, and each attempt is a row. */
const SHORTEST_LAST_WAIT_MS = 60_000;
/** Takes a setting away. */
const NONE = "none";

/** `stream`: what mails of a stream have that do not say otherwise. */
export const streamCommand: Command = {
  name: "stream",
  usage:
    "[NAME] [--priority high|normal|low] [--expires 10m] [--backoff '5s 30s 1m'] [--on-uncertain retry|hold] [--digest yes|no] [--remove] [--app NAME] [--json] [--database NAME]",
  summary:
    "list the streams that have settings, or one of them; set what a stream's mails have that do not say otherwise (the rest stays, none takes a setting away), for all or for one app. Waits hold at once, the rest for what is enqueued from then on. --remove leaves a mere name",
  takesWords: true,
  options: {
    ...SETTINGS,
    remove: { type: "boolean" },
    app: { type: "string" },
    ...JSON_OPTION,
    ...DATABASE_OPTION,
  },
  async run(context, words, options) {
    const [name, ...others] = words;
    if (others.length > 0) throw new UsageError(`Unexpected argument '${others[0]}'`);
    if (name !== undefined && !isStream(name)) {
      throw new UsageError(`${name} is no stream: 1 to 63 of a-z 0-9 . _ -, a letter or digit first`);
    }
    const given = Object.keys(SETTINGS).filter((setting) => options[setting] !== undefined);
    const isChange = given.length > 0 || options.remove === true;
    if (given.length > 0 && options.remove === true) throw new UsageError(`--remove takes no --${given[0]}`);
    if (name === undefined && isChange) throw new UsageError(`--${given[0] ?? "remove"} needs the name of a stream`);
    if (isChange && options.json === true) throw new UsageError("--json is for the list: leave out the rest");
    const change = changeOf(options);
    const scope = scopeOf(options.app);
    return await withDatabase(context, { name: options.database }, async (sql, { display }) => {
      const known = await listStreams(sql, name);
      if (name === undefined || !isChange) {
        const shown = options.app === undefined ? known : known.filter((stream) => stream.scope === scope);
        return list(context, shown, { name, asJson: options.json === true });
      }
      const whose = `the stream ${name} ${scope === "all" ? "of all apps" : `of the app ${options.app}`} on ${display}`;
      if (options.remove === true) {
        const wasThere = await removeStream(sql, { name, scope });
        context.tell(wasThere ? `Removed the settings of ${whose}.` : `There are no settings of ${whose}.`);
        return wasThere ? EXIT.ok : EXIT.failed;
      }
      if (typeof options.app === "string" && !(await isApp(sql, options.app))) {
        context.tell(
          `There is no app ${options.app} on ${display}: mailchute grants ROLE --app ${options.app} makes it.`,
        );
        return EXIT.failed;
      }
      // An app's own begins as that of all, which it stands in for.
      const before = known.find((each) => each.scope === scope) ?? known.find((each) => each.scope === "all");
      const settings = { ...NO_SETTINGS, ...before, ...change };
      const isNew = await saveStream(sql, { ...settings, name, scope });
      context.tell(`${isNew ? "Made" : "Changed"} ${whose}: ${describe(settings)}.`);
      return EXIT.ok;
    });
  },
};

function list(
  context: CommandContext,
  streams: readonly StoredStream[],
  { name, asJson }: { readonly name: string | undefined; readonly asJson: boolean },
): number {
  if (asJson) {
    context.print(JSON.stringify(streams.map(toJson), null, 2));
    return EXIT.ok;
  }
  if (streams.length === 0) {
    context.tell(name === undefined ? "No stream has settings." : `The stream ${name} has no settings: it is a name.`);
    return EXIT.ok;
  }
  const rows = streams.map((stream) => [stream.name, stream.scope, ...cellsOf(stream)]);
  context.print(table([["stream", "for", "priority", "expires", "backoff", "on uncertain", "digest"], ...rows]));
  return EXIT.ok;
}

/** As it is given to this command. */
function toJson({ name, scope, changedAt, changedBy, ...settings }: StoredStream): object {
  const { priority, expiresAfterMs, backoffMs, onUncertain, digest } = settings;
  return {
    ...{ name, scope, priority, onUncertain, digest, changedAt, changedBy },
    ...(expiresAfterMs === undefined ? {} : { expires: formatDuration(expiresAfterMs) }),
    ...(backoffMs === undefined ? {} : { backoff: backoffMs.map(formatDuration) }),
  };
}

/** Empty where it is as without a stream. */
function cellsOf({ priority, expiresAfterMs, backoffMs, onUncertain, digest }: StreamSettings): readonly string[] {
  return [
    priority ?? "",
    expiresAfterMs === undefined ? "" : formatDuration(expiresAfterMs),
    backoffMs?.map(formatDuration).join(" ") ?? "",
    onUncertain ?? "",
    digest ? "yes" : "no",
  ];
}

function describe(settings: StreamSettings): string {
  const names = ["priority", "expires after", "waits", "on uncertain", "digest"];
  return cellsOf(settings).map((cell, index) => `${names[index]} ${cell === "" ? NONE : cell}`).join(", ");
}

/** What is given, and nothing else. */
function changeOf(options: Options): Partial<StreamSettings> {
  const { priority, expires, backoff, "on-uncertain": onUncertain, digest } = options;
  return {
    ...(priority === undefined ? {} : { priority: oneOf<Priority>("--priority", priority, PRIORITIES) }),
    ...(expires === undefined ? {} : { expiresAfterMs: expiresOf(String(expires)) }),
    ...(backoff === undefined ? {} : { backoffMs: backoffOf(String(backoff)) }),
    ...(onUncertain === undefined ? {} : { onUncertain: oneOf("--on-uncertain", onUncertain, ["retry", "hold"]) }),
    ...(digest === undefined ? {} : { digest: oneOf("--digest", digest, ["yes", "no"]) !== "no" }),
  };
}

function oneOf<T extends string>(option: string, given: Options[string], known: readonly T[]): T | undefined {
  if (given === NONE) return undefined;
  const found = known.find((value) => value === given);
  if (found === undefined) throw new UsageError(`${option} ${given} is none of ${[...known, NONE].join(", ")}`);
  return found;
}

function expiresOf(text: string): number | undefined {
  if (text === NONE) return undefined;
  const ms = spanOf(text);
  if (ms !== undefined && ms <= LONGEST_LIFE_MS) return ms;
  throw new UsageError(`--expires ${text} is no time of 1s to 31d: write 10m, 1h or 3d, or none`);
}

function backoffOf(text: string): readonly number[] | undefined {
  if (text === NONE) return undefined;
  const words = text.split(/[\s,]+/).filter((word) => word !== "");
  const waits = words.flatMap((word) => spanOf(word) ?? []);
  const isFine = waits.length === words.length && waits.length > 0 && waits.length <= MOST_WAITS &&
    waits.every((ms) => ms <= DAY_MS) && (waits.at(-1) as number) >= SHORTEST_LAST_WAIT_MS;
  if (isFine) return waits;
  throw new UsageError(
    `--backoff ${text} is not 1 to ${MOST_WAITS} times such as '5s 30s 5m', each at most 1d, the last at least 1m since it repeats`,
  );
}

/** Whole seconds. */
function spanOf(text: string): number | undefined {
  const ms = parseDuration(text);
  return ms !== undefined && ms > 0 && ms % 1_000 === 0 ? ms : undefined;
}

function scopeOf(app: Options[string]): string {
  return typeof app === "string" ? `app:${app}` : "all";
}
