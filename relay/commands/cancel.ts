import { type Command, DATABASE_OPTION } from "./command.ts";
import { onMessages } from "./messages.ts";

/** `cancel`: takes messages out of the queue. */
export const cancelCommand: Command = {
  name: "cancel",
  usage: "ID… [--database NAME]",
  summary: "take messages out of the queue; one that is being sent stays",
  options: DATABASE_OPTION,
  async run(context, words, options) {
    return await onMessages(context, { words, database: options.database }, async (sql, { id, seq }) => {
      const [row] = await sql`select mailchute.cancel_message(${seq}::bigint, 'Canceled by an operator') as answer`;
      const canceled = row?.answer === "canceled";
      context.print(`${id}: ${canceled ? "canceled" : "too_late: it is being sent or final; nothing was changed"}`);
      return canceled;
    });
  },
};
