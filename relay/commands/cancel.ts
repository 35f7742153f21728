import { FINAL_STATES } from "../../src/state.ts";
import { type Command, DATABASE_OPTION } from "./command.ts";
import { hasFilters, MATCHING_OPTIONS, MATCHING_USAGE, type MatchingWork, onMatching } from "./matching.ts";
import { FILTER_USAGE } from "./message_filter.ts";
import { onMessages } from "./messages.ts";

const REASON = "Canceled by an operator";
const TOO_LATE = "too_late: it is being sent or final; nothing was changed";

/** Index: queue_pkey, in order, so that two commands do not wait for each other. */
const CANCEL = `
select mailchute.cancel_message(x.seq::bigint, '${REASON}') as answer
from jsonb_array_elements_text($1::text::jsonb) with ordinality as x(seq, place) order by x.place`;

/** What canceling all that match means. */
export const CANCELING: MatchingWork = {
  ...{ verb: "cancel", done: "canceled", success: "canceled", words: { too_late: TOO_LATE } },
  states: ["scheduled", "queued", "deferred", "held"],
  hopeless: {
    sending: "it is being sent",
    digested: "it is part of a digest",
    ...Object.fromEntries(FINAL_STATES.map((state) => [state, "that is final"])),
  },
  work: async (sql, seqs) => (await sql.unsafe(CANCEL, [JSON.stringify(seqs)])).map((row) => row.answer as string),
};

/** `cancel`: takes messages out of the queue. */
export const cancelCommand: Command = {
  name: "cancel",
  usage: `ID… | ${FILTER_USAGE} ${MATCHING_USAGE} [--database NAME]`,
  summary:
    "take messages out of the queue, by their ids, or all that match; counts them first, and needs --yes. One that is being sent stays",
  options: { ...MATCHING_OPTIONS, ...DATABASE_OPTION },
  async run(context, words, options) {
    if (hasFilters(words, options)) return await onMatching(context, options, CANCELING);
    return await onMessages(context, { words, database: options.database }, async (sql, { id, seq }) => {
      const [row] = await sql`select mailchute.cancel_message(${seq}::bigint, ${REASON}) as answer`;
      const canceled = row?.answer === "canceled";
      context.print(`${id}: ${canceled ? "canceled" : TOO_LATE}`);
      return canceled;
    });
  },
};
