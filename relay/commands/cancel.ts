import { type Command, DATABASE_OPTION, EXIT, withDatabase } from "./command.ts";
import { findMessages, readIds } from "./show.ts";

/** `cancel`: takes messages out of the queue. */
export const cancelCommand: Command = {
  name: "cancel",
  usage: "ID… [--database NAME]",
  summary: "take messages out of the queue; one that is being sent stays",
  options: DATABASE_OPTION,
  async run(context, words, options) {
    const ids = readIds(words);
    return await withDatabase(context, { name: options.database }, async (sql) => {
      let code: number = EXIT.ok;
      for (const id of ids) {
        const found = await findMessages(sql, id);
        if (found.length === 0) context.tell(`${id}: unknown`);
        for (const { seq } of found) {
          const [row] = await sql`select mailchute.cancel_message(${seq}::bigint, 'Canceled by an operator') as answer`;
          const canceled = row?.answer === "canceled";
          context.print(`${id}: ${canceled ? "canceled" : "too_late: it is being sent or final; nothing was changed"}`);
          if (!canceled) code = EXIT.failed;
        }
        if (found.length === 0) code = EXIT.failed;
      }
      return code;
    });
  },
};
