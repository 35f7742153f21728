import { isStream } from "../../src/stream.ts";
import { type Command, DATABASE_OPTION, EXIT, JSON_OPTION, table, UsageError, withDatabase } from "./command.ts";

const STATES = [
  "scheduled",
  "queued",
  "sending",
  "deferred",
  "held",
  "sent",
  "bounced",
  "failed",
  "expired",
  "suppressed",
  "canceled",
];

/** Index: message_pkey backwards; with an address, recipient_email. */
const LIST = `
select m.id, m.app, m.stream, m.created_at, s.state, s.recipients, s.first, s.reason
from mailchute.message m
left join mailchute.queue q on q.seq = m.seq
cross join lateral (
  select mailchute.message_state(array_agg(mailchute.shown_state(r.state, q.leased_by is not null, m.scheduled_at, coalesce(q.attempts, 0)))) as state,
    count(*)::int as recipients, min(r.email) filter (where r.position = 0) as first,
    max(coalesce(r.reason, a.reply)) filter (where r.state <> 'sent') as reason
  from mailchute.recipient r
  left join lateral (select reply from mailchute.attempt a where a.seq = r.seq and a.position = r.position order by a.number desc limit 1) a on true
  where r.seq = m.seq
) s
where ($1::text is null or s.state = $1)
  and ($2::text is null or m.seq in (select r.seq from mailchute.recipient r where lower(r.email) = lower($2)))
  and ($4::text is null or m.stream = $4)
order by m.seq desc limit $3::int`;

/** `list`: messages, the newest first. */
export const listCommand: Command = {
  name: "list",
  usage: "[--state STATE] [--to ADDRESS] [--stream NAME] [--limit 50] [--json] [--database NAME]",
  summary: "messages, the newest first",
  options: {
    state: { type: "string" },
    to: { type: "string" },
    stream: { type: "string" },
    limit: { type: "string" },
    ...JSON_OPTION,
    ...DATABASE_OPTION,
  },
  async run(context, _words, options) {
    const limit = Number(options.limit ?? 50);
    if (!Number.isInteger(limit) || limit < 1 || limit > 10_000) {
      throw new UsageError("--limit takes a number from 1 to 10000");
    }
    const state = options.state as string | undefined;
    if (state !== undefined && !STATES.includes(state)) {
      throw new UsageError(`--state ${state} is no state: ${STATES.join(" ")}`);
    }
    const stream = options.stream as string | undefined;
    if (stream !== undefined && !isStream(stream)) {
      throw new UsageError(`--stream ${stream} is no stream: 1 to 63 of a-z 0-9 . _ -, first a letter or digit`);
    }
    return await withDatabase(context, { name: options.database }, async (sql) => {
      const to = options.to as string | undefined;
      const rows = await sql.unsafe(LIST, [state ?? null, to ?? null, limit, stream ?? null]);
      if (options.json) {
        context.print(JSON.stringify(rows, null, 2));
        return EXIT.ok;
      }
      if (rows.length === 0) context.tell("No message matches.");
      const lines = rows.map((row) => [
        row.id as string,
        (row.created_at as Date).toISOString().replace(/\.\d+Z/, "Z"),
        row.state as string,
        row.app as string,
        (row.stream ?? "") as string,
        (row.first ?? "") + (row.recipients > 1 ? ` +${row.recipients - 1}` : ""),
        row.reason === null ? "" : (row.reason as string).slice(0, 80),
      ]);
      if (lines.length > 0) {
        context.print(table([["id", "created", "state", "app", "stream", "to", "reason"], ...lines]));
      }
      return EXIT.ok;
    });
  },
};
