import type { Sql } from "postgres";
import { domainOf, parseAddress } from "../../src/address.ts";
import { isStream } from "../../src/stream.ts";
import { beginPause, endPause, readPauses } from "../limits/pause_table.ts";
import { describePause, PAUSE_OF_ALL } from "../limits/pause.ts";
import { isStreamKnown } from "../queue/stream_table.ts";
import { appsBeside } from "../suppression/table.ts";
import { describePauses } from "./batch_names.ts";
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

const WHAT = {
  all: { type: "boolean" },
  app: { type: "string" },
  stream: { type: "string" },
  "to-domain": { type: "string" },
} as const;

const LONGEST_REASON_CHARS = 500;

/** `pause`: begins no more of some mail until `resume`; without saying which, lists what is paused. */
export const pauseCommand: Command = {
  name: "pause",
  usage: "[--all | --app NAME | --stream NAME | --to-domain DOMAIN] [--reason TEXT] [--json] [--database NAME]",
  summary:
    "begin no more mail of an app, of a stream, to a domain, or at all, until resume; apps go on enqueuing. Without one of these: list what is paused",
  options: { ...WHAT, reason: { type: "string" }, ...JSON_OPTION, ...DATABASE_OPTION },
  async run(context, _words, options) {
    const key = keyOf(options);
    const reason = reasonOf(options.reason);
    if (key === undefined && reason !== undefined) {
      throw new UsageError(
        "--reason says why something is paused: add --all, --app NAME, --stream NAME or --to-domain DOMAIN",
      );
    }
    if (key !== undefined && options.json === true) throw new UsageError("--json is for the list: leave out the rest");
    return await withDatabase(context, { name: options.database }, async (sql, { name, display }) => {
      if (key !== undefined) {
        const isNew = await beginPause(sql, { key, reason });
        const { stream } = options;
        const unseen = typeof stream === "string" && !await isStreamKnown(sql, stream)
          ? `; no mail of that stream has been seen in ${display}, where it may come later: is the name right?`
          : "";
        context.tell(`${describePause(key)}: ${isNew ? "paused" : "was paused already"}${elsewhere(name)}${unseen}`);
        if (typeof options.app === "string") await warnOfNoApp(context, sql, { app: options.app, database: name });
        return EXIT.ok;
      }
      const pauses = await readPauses(sql);
      if (options.json) {
        context.print(JSON.stringify(pauses, null, 2));
        return EXIT.ok;
      }
      if (pauses.length === 0) context.tell("Nothing is paused.");
      else {
        const describe = await describePauses(context, pauses);
        const rows = pauses.map((pause) => [
          describe(pause),
          pause.since.toISOString().replace(/\.\d+Z/, "Z"),
          pause.by,
          pause.reason ?? "",
        ]);
        context.print(table([["paused", "since", "by", "reason"], ...rows]));
      }
      return EXIT.ok;
    });
  },
};

/** `resume`: lets go out again what was paused. */
export const resumeCommand: Command = {
  name: "resume",
  usage: "--all | --app NAME | --stream NAME | --to-domain DOMAIN [--database NAME]",
  summary: "end a pause: what waits for it is due at once",
  options: { ...WHAT, ...DATABASE_OPTION },
  async run(context, words, options) {
    if (words.length > 0) throw new UsageError(`Unexpected argument '${words[0]}'`);
    const key = keyOf(options);
    if (key === undefined) {
      throw new UsageError(
        "resume takes one of --all, --app NAME, --stream NAME and --to-domain DOMAIN (see mailchute pause)",
      );
    }
    return await withDatabase(context, { name: options.database }, async (sql, { name }) => {
      const wasPaused = await endPause(sql, key);
      const others = await readPauses(sql);
      const describe = await describePauses(context, others);
      const still = others.length === 0 ? "" : `; still paused: ${others.map(describe).join(", ")}`;
      context.tell(`${describePause(key)}: ${wasPaused ? "resumed" : "was not paused"}${elsewhere(name)}${still}`);
      return wasPaused ? EXIT.ok : EXIT.failed;
    });
  },
};

function keyOf(options: Options): string | undefined {
  const { all, app, stream, "to-domain": domain } = options;
  const keys = [
    ...(all === true ? [PAUSE_OF_ALL] : []),
    ...(typeof app === "string" ? [`app=${appName(app)}`] : []),
    ...(typeof stream === "string" ? [`stream=${streamName(stream)}`] : []),
    ...(typeof domain === "string" ? [`domain=${domainName(domain)}`] : []),
  ];
  if (keys.length > 1) {
    throw new UsageError("Name one of --all, --app NAME, --stream NAME and --to-domain DOMAIN at a time");
  }
  return keys[0];
}

function appName(text: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/.test(text)) return text;
  throw new UsageError(`--app ${text} is no app: 1 to 63 of A-Z a-z 0-9 _ . -, a letter or digit first`);
}

function streamName(text: string): string {
  if (isStream(text)) return text;
  throw new UsageError(`--stream ${text} is no stream: 1 to 63 of a-z 0-9 . _ -, a letter or digit first`);
}

function domainName(text: string): string {
  if (!text.includes("@") && parseAddress(`a@${text}`).ok) return domainOf(`a@${text}`);
  throw new UsageError(`--to-domain ${text} is no domain that mail could have: write example.com`);
}

/** Reads `--reason`. @throws {UsageError} */
export function reasonOf(text: Options[string]): string | undefined {
  if (typeof text !== "string") return undefined;
  if (text.trim() !== "" && text.length <= LONGEST_REASON_CHARS && !/\p{Cc}/u.test(text)) return text;
  throw new UsageError(`--reason takes one line of 1 to ${LONGEST_REASON_CHARS} characters`);
}

/** No error: it may be one of another database of the relays, or come later. */
async function warnOfNoApp(
  context: CommandContext,
  sql: Sql,
  { app, database }: { readonly app: string; readonly database: string },
): Promise<void> {
  const apps = await appsBeside(sql, `app:${app}`);
  if (apps === undefined) return;
  const known = apps.length === 0 ? "it has none yet" : `it has ${apps.join(", ")}`;
  context.tell(`No app of the database ${database} is called ${app} (${known}): it is paused where there is one`);
}

/** Somebody who names another database may expect its mail to be meant. */
function elsewhere(database: string): string {
  return database === "home"
    ? ""
    : ` for relays whose home is the database ${database}, and for no others: a relay keeps the pauses of its home, in all its databases`;
}
