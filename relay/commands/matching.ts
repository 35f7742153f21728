import type { Sql } from "postgres";
import { type CommandContext, EXIT, type Options, table, UsageError, withDatabase } from "./command.ts";
import { limitOf } from "./list.ts";
import { conditionOf, FILTER_OPTIONS, filterOf, isEverything, MATCHED, type MessageFilter } from "./message_filter.ts";
import { withProgress } from "./progress.ts";

// A command on all messages that fit a filter: it counts them first, by state, and does its work with --yes, some
// hundred at a time, so that no lock is held for long. Those that come to fit while it works are left out: it goes by
// the numbers that there were at the count.

/** The options of a command that takes ids or filters. */
export const MATCHING_OPTIONS = {
  ...FILTER_OPTIONS,
  "dry-run": { type: "boolean" },
  yes: { type: "boolean" },
  all: { type: "boolean" },
  limit: { type: "string" },
} as const;

/** How they read behind the filters. */
export const MATCHING_USAGE = "[--limit N] [--all] [--dry-run | --yes]";

/** What is done with those that match. */
export interface MatchingWork {
  /** As people say it: `cancel`, `canceled`. */
  readonly verb: string;
  readonly done: string;
  /** The states that are meant when the filter names none. */
  readonly states: readonly string[];
  /** The states in which nothing can be done, and why: a filter that names one of them is refused. */
  readonly hopeless: Readonly<Record<string, string>>;
  /** Does it with these, and answers for each. */
  readonly work: (sql: Sql, seqs: readonly string[]) => Promise<readonly string[]>;
  /** The answer that means that it was done, and what the others mean. */
  readonly success: string;
  readonly words: Readonly<Record<string, string>>;
}

const PAGE = 500;

/** What a command line says beside filters: how to go about those that match. */
const ABOUT_MATCHES = ["dry-run", "yes", "all", "limit"] as const;

/**
 * Tells whether a command line means those that match, and names no ids.
 * @throws {UsageError} when it says what only goes with the other
 */
export function hasFilters(words: readonly string[], options: Options): boolean {
  if (words.length === 0) return true;
  if (Object.keys(FILTER_OPTIONS).some((name) => options[name] !== undefined)) {
    throw new UsageError("Name messages by their ids or by filters, not by both");
  }
  const idle = ABOUT_MATCHES.find((name) => options[name] !== undefined);
  if (idle === undefined) return false;
  throw new UsageError(`--${idle} is for filters such as --state: what is named by its id is done at once, without it`);
}

/**
 * Does the work with all that match.
 * @returns the exit code: 1 when something matches and `--yes` is missing, or something was not done
 */
export async function onMatching(
  context: CommandContext,
  options: Options,
  work: MatchingWork,
): Promise<number> {
  const filter = filterOf(options, new Date());
  if (isEverything(filter) && options.all !== true) {
    throw new UsageError(
      `${work.verb} needs ids or a filter such as --state, --to or --batch, or --all for everything`,
    );
  }
  return await onFilter(context, { filter, options, database: options.database }, work);
}

/** Does the work with all that match a filter that is read already. */
export async function onFilter(
  context: CommandContext,
  { filter, options, database }: {
    readonly filter: MessageFilter;
    readonly options: Options;
    readonly database: unknown;
  },
  work: MatchingWork,
): Promise<number> {
  const isForReal = options.yes === true;
  if (isForReal && options["dry-run"] === true) throw new UsageError(`${work.verb} takes one of --dry-run and --yes`);
  const hopeless = filter.states?.find((state) => state in work.hopeless);
  if (hopeless !== undefined) {
    throw new UsageError(`--state ${hopeless}: none of these can be ${work.done}: ${work.hopeless[hopeless]}`);
  }
  const limit = options.limit === undefined ? undefined : limitOf(options, 0);
  const wanted = { ...filter, states: filter.states ?? work.states };
  return await withDatabase(context, { name: database }, async (sql, { display }) => {
    const last = await lastSeq(sql);
    const counts = await count(sql, wanted, { last, limit });
    const total = counts.reduce((sum, { messages }) => sum + messages, 0);
    if (total === 0) {
      context.tell(`No message of ${display} matches.`);
      return EXIT.ok;
    }
    context.print(
      table([["state", "messages"], ...counts.map(({ state, messages }) => [state, String(messages)])]),
    );
    if (!isForReal) {
      context.tell(`Nothing was ${work.done}: ${total} messages of ${display} would be, with --yes.`);
      return options["dry-run"] === true ? EXIT.ok : EXIT.failed;
    }
    const answers = new Map<string, number>();
    const sum = () => answers.values().reduce((all, messages) => all + messages, 0);
    await withProgress(
      context,
      () => `${work.done} so far: ${answers.get(work.success) ?? 0}, after ${sum()} of ${total} messages`,
      () => inPages(sql, { filter: wanted, last, most: limit ?? Infinity, answers }, work),
    );
    return report(context, { answers, display }, work);
  });
}

function report(
  context: CommandContext,
  { answers, display }: { readonly answers: ReadonlyMap<string, number>; readonly display: string },
  { done, success, words }: MatchingWork,
): number {
  const others = [...answers].filter(([answer]) => answer !== success);
  const rest = others.map(([answer, messages]) => `; ${messages} ${words[answer] ?? answer}`).join("");
  context.tell(`${answers.get(success) ?? 0} messages of ${display} ${done}${rest}`);
  return others.length === 0 ? EXIT.ok : EXIT.failed;
}

async function lastSeq(sql: Sql): Promise<string> {
  const [row] = await sql`select coalesce(max(seq), 0)::text as last from mailchute.message`;
  return row?.last as string;
}

async function count(
  sql: Sql,
  filter: MessageFilter,
  { last, limit }: { readonly last: string; readonly limit: number | undefined },
): Promise<readonly { readonly state: string; readonly messages: number }[]> {
  const { text, values } = conditionOf(filter, 3);
  const rows = await sql.unsafe(
    `select x.state, count(*)::int as messages from (
       select s.state from ${MATCHED} where m.seq <= $1::bigint and ${text} order by m.seq limit $2::bigint
     ) x group by 1 order by 1`,
    [last, limit ?? null, ...values],
  );
  return rows.map((row) => ({ state: row.state as string, messages: row.messages as number }));
}

/** Oldest first; counts in `answers` how many got each. */
async function inPages(
  sql: Sql,
  { filter, last, most, answers }: {
    readonly filter: MessageFilter;
    readonly last: string;
    readonly most: number;
    readonly answers: Map<string, number>;
  },
  { work }: MatchingWork,
): Promise<void> {
  const { text, values } = conditionOf(filter, 4);
  for (let [after, left] = ["0", most]; left > 0;) {
    const page = await sql.unsafe(
      `select m.seq::text as seq from ${MATCHED} where m.seq > $1::bigint and m.seq <= $2::bigint and ${text} order by m.seq limit $3::int`,
      [after, last, Math.min(PAGE, left), ...values],
    );
    const seqs = page.map((row) => row.seq as string);
    if (seqs.length === 0) break;
    for (const answer of await work(sql, seqs)) answers.set(answer, (answers.get(answer) ?? 0) + 1);
    after = seqs.at(-1) ?? after;
    left -= seqs.length;
  }
}
