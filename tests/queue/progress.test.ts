import { expect, test } from "bun:test";
import { createDatabase, type TestDatabase } from "../database.ts";
import { startRelayProcess } from "../relay_process.ts";
import { fill, openConnection, waitForLocks } from "./setup.ts";

/**
 * Runs a command that comes to a row which somebody else has locked, until it has said this, and then to its end.
 * @returns all that it said
 */
async function slowly(
  database: TestDatabase,
  words: readonly string[],
  { lock, says }: { readonly lock: string; readonly says: string },
): Promise<string> {
  await using holder = openConnection(database);
  await using command = startRelayProcess(words, { DATABASE_URL: database.url });
  await holder.begin(async (tx) => {
    await tx.unsafe(lock);
    await waitForLocks(database, 1);
    await command.printed(says);
  });
  expect(await command.exited).toBe(0);
  return command.output();
}

test("cancel of many says every few seconds how far it is, and nothing of the kind when it is quick", async () => {
  await using database = await createDatabase();
  await fill(database, 600);
  const said = await slowly(database, ["cancel", "--state", "queued", "--yes"], {
    // Of the second page.
    lock: "select from mailchute.queue where seq = 600 for update",
    says: "canceled so far: 500, after 500 of 600 messages\n",
  });
  expect(said).toContain("600 messages of ");
  await fill(database, 1);
  await using quick = startRelayProcess(["cancel", "--state", "queued", "--yes"], { DATABASE_URL: database.url });
  await quick.exited;
  expect(quick.output()).toContain("1 messages of ");
  expect(quick.output()).not.toContain("so far");
}, 30_000);

test("purge says every few seconds how far it is", async () => {
  await using database = await createDatabase();
  await fill(database, 2_100);
  await database.sql.begin(async (tx) => {
    await tx`delete from mailchute.queue`;
    await tx`update mailchute.recipient set state = 'sent', changed_at = now() - interval '40 days'`;
    await tx`update mailchute.message set created_at = now() - interval '40 days'`;
  });
  const said = await slowly(database, ["purge", "--older-than", "30d", "--yes"], {
    lock: "select from mailchute.recipient order by seq desc limit 1 for update",
    says: "deleted so far: 2000 messages and 2000 contents, of 2100 messages\n",
  });
  expect(said).toContain("Deleted 2100 messages and 2100 contents of ");
}, 30_000);
