import { type Command, DATABASE_OPTION } from "./command.ts";
import { onMessages } from "./messages.ts";

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
    const accept = options["accept-duplicate"] === true;
    return await onMessages(context, { words, database: options.database }, async (sql, { id, seq }) => {
      const [row] = await sql`select mailchute.retry_message(${seq}::bigint, ${accept}) as answer`;
      const answer = row?.answer as string;
      context.print(`${id}: ${WORDS[answer] ?? answer}`);
      return answer === "retried";
    });
  },
};
