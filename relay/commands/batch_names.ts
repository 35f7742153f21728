import { DatabaseProblem } from "../database/database.ts";
import { describePause, type Pause } from "../limits/pause.ts";
import { readBatchNames } from "../queue/batch_table.ts";
import { type CommandContext, findDatabases, withDatabase } from "./command.ts";

const OF_BATCH = "batch=";

/**
 * Says for people what pauses keep back, those of batches by their names: a pause lies at home, and its batch in
 * whichever database. Of one that is away, or whose batch retention has deleted, the id says what there is to say.
 */
export async function describePauses(
  context: CommandContext,
  pauses: readonly Pause[],
): Promise<(pause: Pause) => string> {
  const ids = pauses.flatMap(({ key }) => key.startsWith(OF_BATCH) ? [key.slice(OF_BATCH.length)] : []);
  const names = new Map<string, string>();
  for (const { name } of ids.length === 0 ? [] : findDatabases(context)) {
    try {
      const found = await withDatabase(context, { name }, (sql) => readBatchNames(sql, ids));
      for (const [id, called] of found) names.set(id, called);
    } catch (error) {
      if (!(error instanceof DatabaseProblem)) throw error;
    }
  }
  return ({ key }) => {
    const name = names.get(key.slice(OF_BATCH.length));
    return key.startsWith(OF_BATCH) && name !== undefined
      ? `batch ${name} (${key.slice(OF_BATCH.length)})`
      : describePause(key);
  };
}
