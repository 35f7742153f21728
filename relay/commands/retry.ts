import { type Command, DATABASE_OPTION } from "./command.ts";
import { hasFilters, MATCHING_OPTIONS, MATCHING_USAGE, onMatching } from "./matching.ts";
import { FILTER_USAGE } from "./message_filter.ts";
import { onMessages } from "./messages.ts";

const WORDS: Readonly<Record<string, string>> = {
  retried: "due now",
  too_late: "too_late: it is being sent; nothing was changed",
  expired: "not retried: its expiresAt has passed",
  sent: "not retried: everybody has it, or is on the suppression list",
  may_duplicate: "not retried: the server may have it already; --accept-duplicate sends it all the same",
};

/** Index: message_pkey, in order, so that two commands do not wait for each other. */
const RETRY = `
select mailchute.retry_message(x.seq::bigint, $2::boolean) as answer
from jsonb_array_elements_text($1::text::jsonb) with ordinality as x(seq, place) order by x.place`;

/** `retry`: makes messages due now, those that ended without being sent too. */
export const retryCommand: Command = {
  name: "retry",
  usage: `ID… | ${FILTER_USAGE} ${MATCHING_USAGE} [--accept-duplicate] [--database NAME]`,
  summary:
    "try messages again now, those that are held or ended without being sent too: by their ids, or all that match; counts them first, and needs --yes. Canceled, scheduled and queued ones only where --state names them",
  options: { ...MATCHING_OPTIONS, "accept-duplicate": { type: "boolean" }, ...DATABASE_OPTION },
  async run(context, words, options) {
    const accept = options["accept-duplicate"] === true;
    if (hasFilters(words, options)) {
      return await onMatching(context, options, {
        ...{ verb: "retry", done: "retried", success: "retried", words: WORDS },
        states: ["deferred", "held", "bounced", "failed", "expired"],
        hopeless: {
          sending: "it is being sent",
          sent: "everybody has it",
          suppressed: "nobody is left but who is on the suppression list",
        },
        work: async (sql, seqs) =>
          (await sql.unsafe(RETRY, [JSON.stringify(seqs), accept])).map((row) => row.answer as string),
      });
    }
    return await onMessages(context, { words, database: options.database }, async (sql, { id, seq }) => {
      const [row] = await sql`select mailchute.retry_message(${seq}::bigint, ${accept}) as answer`;
      const answer = row?.answer as string;
      context.print(`${id}: ${WORDS[answer] ?? answer}`);
      return answer === "retried";
    });
  },
};
