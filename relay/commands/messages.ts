import type { Sql } from "postgres";
import { type CommandContext, EXIT, findDatabases, UsageError, withDatabase } from "./command.ts";

/** Index: message_id. Two apps may have used the same id. */
const FIND = "select seq::text as seq from mailchute.message where id = $1::uuid order by seq";

/** What a command does with one message; `false` when it could not. */
export type MessageWork = (sql: Sql, message: { readonly id: string; readonly seq: string }) => Promise<boolean>;

/** An id, alone or as it stands in a Message-ID, with the angle brackets or without. */
const ID = /^<?([0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})(?:@[^\s<>]+>?)?$/i;

/**
 * Reads ids, also as Message-IDs, which is what those have who got a mail.
 * @throws {UsageError} naming what is none, or when there are none
 */
export function idsOf(words: readonly string[]): readonly string[] {
  if (words.length === 0) throw new UsageError("Name one message or more by their ids (see mailchute list)");
  return words.map((word) => {
    const id = ID.exec(word)?.[1];
    if (id === undefined) throw new UsageError(`${word} is no id of a message`);
    return id;
  });
}

/**
 * Does the same with every message that a command line names by its id.
 *
 * @returns the exit code: 1 if one of them is unknown, or the work answered `false`
 * @throws {UsageError} naming what is no id
 */
export async function onMessages(
  context: CommandContext,
  named: { readonly words: readonly string[]; readonly database: unknown },
  work: MessageWork,
): Promise<number> {
  const ids = idsOf(named.words);
  return await withDatabase(context, { name: named.database }, async (sql, { name }) => {
    const others = findDatabases(context).length > 1;
    let code: number = EXIT.ok;
    for (const id of ids) {
      const found = await sql.unsafe(FIND, [id]);
      if (found.length === 0) {
        context.tell(
          others
            ? `No message of the database ${name} has the id ${id}: mailchute explain ${id} looks into all of them.`
            : `No message has the id ${id}.`,
        );
        code = EXIT.failed;
      }
      for (const row of found) {
        if (!await work(sql, { id, seq: row.seq as string })) code = EXIT.failed;
      }
    }
    return code;
  });
}
