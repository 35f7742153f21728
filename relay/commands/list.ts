import { formatTime } from "../time/moment.ts";
import {
  type Command,
  DATABASE_OPTION,
  EXIT,
  JSON_OPTION,
  type Options,
  table,
  UsageError,
  withDatabase,
} from "./command.ts";
import { conditionOf, FILTER_OPTIONS, FILTER_USAGE, filterOf, MATCHED, type MessageFilter } from "./message_filter.ts";
import { idsOf } from "./messages.ts";

const DEFAULT_LIMIT = 50;
const MOST = 10_000;

/** Index: message_pkey backwards, from a message on; with an address, recipient_email. */
function listStatement(filter: MessageFilter): { readonly text: string; readonly values: readonly (string | null)[] } {
  const condition = conditionOf(filter, 3);
  return {
    text: `
select m.id, m.app, m.stream, m.created_at, s.state, s.recipients, s.first, s.reason
from ${MATCHED}
where m.seq < coalesce((select min(p.seq) from mailchute.message p where p.id = $2::uuid), 9223372036854775807) and ${condition.text}
order by m.seq desc limit $1::int`,
    values: condition.values,
  };
}

/** `list`: messages, the newest first. */
export const listCommand: Command = {
  name: "list",
  usage: `${FILTER_USAGE} [--limit 50] [--after ID] [--json] [--database NAME]`,
  summary:
    "messages, the newest first; --error looks into reasons and replies, --since and --until at when they were enqueued, --after goes on behind the last one",
  options: {
    ...FILTER_OPTIONS,
    limit: { type: "string" },
    after: { type: "string" },
    ...JSON_OPTION,
    ...DATABASE_OPTION,
  },
  async run(context, _words, options) {
    const limit = limitOf(options, DEFAULT_LIMIT);
    const filter = filterOf(options, new Date());
    const [after] = typeof options.after === "string" ? idsOf([options.after]) : [];
    return await withDatabase(context, { name: options.database }, async (sql) => {
      const { text, values } = listStatement(filter);
      const rows = await sql.unsafe(text, [limit, after ?? null, ...values]);
      if (options.json) {
        const named = rows.map(({ created_at: createdAt, ...row }) => ({ ...row, createdAt }));
        context.print(JSON.stringify(named, null, 2));
      }
      if (!options.json && rows.length > 0) {
        const lines = rows.map((row) => [
          row.id as string,
          formatTime(row.created_at as Date),
          row.state as string,
          row.app as string,
          (row.stream ?? "") as string,
          (row.first ?? "") + (row.recipients > 1 ? ` +${row.recipients - 1}` : ""),
          row.reason === null ? "" : (row.reason as string).slice(0, 80),
        ]);
        context.print(table([["id", "created", "state", "app", "stream", "to", "reason"], ...lines]));
      }
      if (rows.length === 0 && !options.json) context.tell("No message matches.");
      if (rows.length === limit) context.tell(`There may be more: the same with --after ${rows.at(-1)?.id}`);
      return EXIT.ok;
    });
  },
};

/** Reads `--limit`. */
export function limitOf(options: Options, fallback: number): number {
  const limit = Number(options.limit ?? fallback);
  if (!Number.isInteger(limit) || limit < 1 || limit > MOST) {
    throw new UsageError(`--limit takes a number from 1 to ${MOST}`);
  }
  return limit;
}
