import { type Command, DATABASE_OPTION, EXIT, withDatabase } from "./command.ts";
import { findMessages, readIds } from "./show.ts";

const WORDS: Readonly<Record<string, string>> = {
  retried: "due now",
  too_late: "too_late: it is being sent; nothing was changed",
  expired: "not retried: its expiresAt has passed",
  sent: "not retried: everybody has it, or is on the suppression list",
  may_duplicate: "not retried: the server may have it already; --accept-duplicate sends it all the same",
};

/** `retry`: makes messages due now, those that ended without being sent too. */
export const retryCommand: Command = {
  name: "retry",
  usage: "ID… [--accept-duplicate] [--database NAME]",
  summary: "try messages again now, those that are held or ended without being sent too",
  options: { "accept-duplicate": { type: "boolean" }, ...DATABASE_OPTION },
  async run(context, words, options) {
    const ids = readIds(words);
    return await withDatabase(context, { name: options.database }, async (sql) => {
      let code: number = EXIT.ok;
      for (const id of ids) {
        const found = await findMessages(sql, id);
        if (found.length === 0) context.tell(`${id}: unknown`);
        for (const { seq } of found) {
          const [row] = await sql`select mailchute.retry_message(${seq}::bigint, ${
            options["accept-duplicate"] === true
          }) as answer`;
          const answer = row?.answer as string;
          context.print(`${id}: ${WORDS[answer] ?? answer}`);
          if (answer !== "retried") code = EXIT.failed;
        }
        if (found.length === 0) code = EXIT.failed;
      }
      return code;
    });
  },
};
