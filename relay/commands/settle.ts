import { type Command, DATABASE_OPTION, UsageError } from "./command.ts";
import { hasFilters, MATCHING_OPTIONS, MATCHING_USAGE, onMatching } from "./matching.ts";
import { FILTER_USAGE } from "./message_filter.ts";
import { onMessages } from "./messages.ts";
import { reasonOf } from "./pause.ts";

const WORDS: Readonly<Record<string, string>> = {
  settled: "sent",
  too_late: "too_late: it is being sent, or was retried just now; nothing was changed",
  not_uncertain: "not settled: nobody is held, and no last attempt was uncertain; what the server said is on record",
  unknown: "not settled: retention has deleted it",
};

/** Index: message_pkey, in order, so that two commands do not wait for each other. */
const SETTLE = `
select mailchute.settle_as_sent(x.seq::bigint, $2) as answer
from jsonb_array_elements_text($1::text::jsonb) with ordinality as x(seq, place) order by x.place`;

/** `settle`: says of messages that nobody knew the end of how they have ended. */
export const settleCommand: Command = {
  name: "settle",
  usage: `--sent ID… | --sent ${FILTER_USAGE} ${MATCHING_USAGE} [--reason TEXT] [--database NAME]`,
  summary:
    "say of messages that are held, or whose last attempt was uncertain, that the server has them (--sent): by their ids, or all held ones that match; counts those first, and needs --yes. Nothing is sent, and show tells who has said so",
  options: { ...MATCHING_OPTIONS, sent: { type: "boolean" }, reason: { type: "string" }, ...DATABASE_OPTION },
  async run(context, words, options) {
    if (options.sent !== true) {
      throw new UsageError(
        "settle needs --sent: the server has the mail. If it has not: mailchute retry --accept-duplicate, or mailchute cancel",
      );
    }
    const reason = reasonOf(options.reason) ?? null;
    if (hasFilters(words, options)) {
      return await onMatching(context, options, {
        ...{ verb: "settle", done: "settled as sent", success: "settled", words: WORDS },
        states: ["held"],
        hopeless: {
          sending: "it is being sent",
          scheduled: "it was not tried yet",
          sent: "that is what they are",
          bounced: "the server has refused them",
          digested: "it is part of a digest: name that",
        },
        work: async (sql, seqs) =>
          (await sql.unsafe(SETTLE, [JSON.stringify(seqs), reason])).map((row) => row.answer as string),
      });
    }
    return await onMessages(context, { words, database: options.database }, async (sql, { id, seq }) => {
      const [row] = await sql.unsafe(SETTLE, [JSON.stringify([seq]), reason]);
      const answer = row?.answer as string;
      context.print(`${id}: ${WORDS[answer] ?? answer}`);
      return answer === "settled";
    });
  },
};
