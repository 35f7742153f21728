import type { Sql } from "postgres";
import { type Command, DATABASE_OPTION, EXIT, JSON_OPTION, UsageError, withDatabase } from "./command.ts";

/** Index: message_id. Two apps may have used the same id. */
const FIND = "select seq::text as seq, id, app from mailchute.message where id = $1::uuid order by seq";

/** Reads the ids of a command line. @throws {UsageError} naming the one that is none */
export function readIds(words: readonly string[]): readonly string[] {
  if (words.length === 0) throw new UsageError("Name one message or more by their ids (see mailchute list)");
  for (const word of words) {
    if (!/^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/i.test(word)) {
      throw new UsageError(`${word} is no id of a message`);
    }
  }
  return words;
}

/** The messages with this id; more than one only if two apps used it. */
export async function findMessages(
  sql: Sql,
  id: string,
): Promise<readonly { readonly seq: string; readonly app: string }[]> {
  const rows = await sql.unsafe(FIND, [id]);
  return rows.map((row) => ({ seq: row.seq as string, app: row.app as string }));
}

interface Described {
  readonly id: string;
  readonly app: string;
  readonly state: string;
  readonly createdAt: string;
  readonly scheduledAt?: string;
  readonly expiresAt?: string;
  readonly nextAttemptAt?: string;
  readonly tags: readonly string[];
  readonly recipients: readonly {
    readonly kind: string;
    readonly address: string;
    readonly state: string;
    readonly code?: number;
    readonly reason?: string;
  }[];
  readonly attempts: readonly {
    readonly number: number;
    readonly at: string;
    readonly address: string;
    readonly outcome: string;
    readonly phase: string;
    readonly reply: string;
    readonly code?: number;
  }[];
}

/** `show`: everything about one message but its content. */
export const showCommand: Command = {
  name: "show",
  usage: "ID… [--json] [--database NAME]",
  summary: "one message: its recipients, and every attempt with what the server said",
  options: { ...JSON_OPTION, ...DATABASE_OPTION },
  async run(context, words, options) {
    const ids = readIds(words);
    return await withDatabase(context, { name: options.database }, async (sql) => {
      let code: number = EXIT.ok;
      for (const id of ids) {
        const found = await findMessages(sql, id);
        if (found.length === 0) {
          context.tell(`No message has the id ${id}.`);
          code = EXIT.failed;
        }
        for (const { seq } of found) {
          const [row] = await sql`select mailchute.describe(${seq}::bigint) as message`;
          context.print(options.json ? JSON.stringify(row?.message, null, 2) : describe(row?.message as Described));
        }
      }
      return code;
    });
  },
};

function describe(message: Described): string {
  const times = [
    `created ${message.createdAt}`,
    ...(message.scheduledAt ? [`scheduled ${message.scheduledAt}`] : []),
    ...(message.expiresAt ? [`expires ${message.expiresAt}`] : []),
    ...(message.nextAttemptAt ? [`next attempt ${message.nextAttemptAt}`] : []),
  ];
  return [
    `${message.id}  ${message.state}`,
    `  app ${message.app}${message.tags.length > 0 ? `, tags ${message.tags.join(", ")}` : ""}`,
    `  ${times.join(", ")}`,
    ...message.recipients.map(({ kind, address, state, reason }) =>
      `  ${kind.padEnd(3)} ${address}: ${state}${reason ? ` (${reason})` : ""}`
    ),
    ...message.attempts.map(({ number, at, address, outcome, phase, code, reply }) =>
      `  attempt ${number} at ${at} for ${address}: ${outcome} in ${phase}${code ? ` ${code}` : ""}: ${reply}`
    ),
  ].join("\n");
}
