import { expect, test } from "bun:test";
import { createDatabase } from "../database.ts";
import { fill, openQueue } from "./setup.ts";

const MAILS = 200;
const ROUNDS = 20;

test("renew and release of the same mails at the same time, each in an order of its own, never deadlock", async () => {
  await using database = await createDatabase();
  await fill(database, MAILS);
  const { queue } = await openQueue(database);
  for (let round = 0; round < ROUNDS; round++) {
    const { messages } = await queue.claim(MAILS);
    expect(messages).toHaveLength(MAILS);
    const backward = messages.toReversed();
    const answers = await Promise.allSettled([
      queue.renew(messages),
      queue.renew(backward),
      queue.release(messages, 0),
      queue.renew(messages),
      queue.release(backward, 0),
    ]);
    const failed = answers.flatMap((answer) => answer.status === "rejected" ? [String(answer.reason)] : []);
    expect(failed).toEqual([]);
    // All of them were given back, by whichever came first.
    await database.sql`update mailchute.queue set attempts = ${round + 1}, due = now()`;
  }
});
