import type { Sql } from "postgres";
import { parseAddress } from "../../src/address.ts";
import { FINAL_STATES } from "../../src/state.ts";
import { countOld, purge, type Purged, type PurgeFilter, type RetentionRules } from "../database/retention.ts";
import { formatDuration, parseDuration } from "../time/duration.ts";
import { type Command, DATABASE_OPTION, EXIT, type Options, table, UsageError, withDatabase } from "./command.ts";
import { withProgress } from "./progress.ts";

/** Idempotency keys live so long: without them a retried request would be a new mail. */
const SHORTEST_MS = 7 * 86_400_000;
/** Longer than anything has been kept. */
const NEVER_MS = 100 * 365 * 86_400_000;

/** What a command line asks for. */
interface Wanted extends PurgeFilter {
  readonly olderThanMs: number;
  /** The message stays, with its recipients and attempts. */
  readonly contentOnly: boolean;
}

/** `purge`: deletes what has ended, before retention would. */
export const purgeCommand: Command = {
  name: "purge",
  usage: "[--older-than 30d] [--state STATE…] [--to ADDRESS] [--content] [--dry-run | --yes] [--all] [--database NAME]",
  summary:
    "delete messages that ended so long ago (7d at least), or with --content only what they say; --to takes those to one address, whoever else has them; counts them first, and deletes with --yes",
  options: {
    "older-than": { type: "string" },
    state: { type: "string", multiple: true },
    to: { type: "string" },
    content: { type: "boolean" },
    "dry-run": { type: "boolean" },
    yes: { type: "boolean" },
    all: { type: "boolean" },
    ...DATABASE_OPTION,
  },
  async run(context, _words, options) {
    const wanted = wantedOf(options);
    const isForReal = options.yes === true;
    if (isForReal && options["dry-run"] === true) throw new UsageError("purge takes one of --dry-run and --yes");
    return await withDatabase(context, { name: options.database }, async (sql, { display }) => {
      const counts = await countOld(sql, rulesOf(wanted), { ...wanted, contentOnly: wanted.contentOnly });
      const total = counts.reduce((sum, { messages }) => sum + messages, 0);
      const what = wanted.contentOnly ? "messages with content" : "messages";
      context.print(table([["state", what], ...counts.map(({ state, messages }) => [state, String(messages)])]));
      if (total === 0) {
        context.tell(`Nothing of ${display} ended ${formatDuration(wanted.olderThanMs)} ago or earlier.`);
        return EXIT.ok;
      }
      if (!isForReal) {
        context.tell(`Nothing was deleted: ${total} ${what} of ${display} would be, with --yes.`);
        return options["dry-run"] === true ? EXIT.ok : EXIT.failed;
      }
      let purged: Purged = { messages: 0, contents: 0 };
      await withProgress(
        context,
        () => `deleted so far: ${purged.messages} messages and ${purged.contents} contents, of ${total} ${what}`,
        () => purge(transactions(sql), rulesOf(wanted), wanted, (some) => purged = some),
      );
      const { messages, contents } = purged;
      context.tell(`Deleted ${messages} messages and ${contents} contents of ${display}.`);
      return EXIT.ok;
    });
  },
};

function wantedOf(options: Options): Wanted {
  const contentOnly = options.content === true;
  const states = options.state as readonly string[] | undefined;
  const open = states?.find((state) => !(FINAL_STATES as readonly string[]).includes(state));
  if (open !== undefined) {
    throw new UsageError(`--state ${open} is no state in which a message has ended: ${FINAL_STATES.join(" ")}`);
  }
  const text = options["older-than"] as string | undefined;
  const to = options.to as string | undefined;
  if (to !== undefined && !isAddress(to)) throw new UsageError(`--to ${to} is no address: write ann@example.com`);
  if (text === undefined && states === undefined && to === undefined && options.all !== true) {
    throw new UsageError("purge needs --older-than, --state or --to, or --all for everything that has ended");
  }
  const olderThanMs = text === undefined ? (contentOnly ? 0 : SHORTEST_MS) : parseDuration(text);
  if (olderThanMs === undefined || olderThanMs > NEVER_MS) {
    throw new UsageError(`--older-than ${text} is no duration: a whole number and ms, s, m, h or d, such as 30d`);
  }
  if (!contentOnly && olderThanMs < SHORTEST_MS) {
    throw new UsageError(
      `--older-than ${text} is too short: idempotency keys live for 7d; --content deletes at once what messages say`,
    );
  }
  return {
    ...{ olderThanMs, contentOnly },
    ...(states === undefined ? {} : { states }),
    ...(to === undefined ? {} : { to }),
  };
}

function isAddress(text: string): boolean {
  const parsed = parseAddress(text);
  return parsed.ok && parsed.mailbox.name === undefined;
}

function rulesOf({ olderThanMs, contentOnly }: Wanted): RetentionRules {
  return { messagesMs: contentOnly ? NEVER_MS : olderThanMs, contentMs: olderThanMs };
}

/** The driver's own types know more results than a window. */
function transactions(sql: Sql): Parameters<typeof purge>[0] {
  return { begin: async (options, work) => await sql.begin(options, async (tx) => await work(tx)) as never };
}
