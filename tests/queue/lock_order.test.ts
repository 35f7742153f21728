import { expect, test } from "bun:test";
import { createDatabase } from "../database.ts";
import { fill, openQueue, settlement } from "./setup.ts";

const MAILS = 200;
const ROUNDS = 15;

test("renew, settle and release of the same mails at the same time, each in an order of its own, never deadlock", async () => {
  await using database = await createDatabase();
  await fill(database, MAILS);
  const { queue } = await openQueue(database);
  for (let round = 0; round < ROUNDS; round++) {
    const { messages } = await queue.claim(MAILS);
    expect(messages).toHaveLength(MAILS);
    const backward = messages.toReversed();
    const [half, otherHalf] = [backward.slice(0, MAILS / 2), messages.slice(0, MAILS / 2)];
    const answers = await Promise.allSettled([
      queue.renew(messages),
      queue.renew(backward),
      queue.settle(half.map((message) => settlement(message, "deferred", 0))),
      queue.release(otherHalf.map((message) => ({ ...message, delayMs: 0 }))),
      queue.renew(backward),
      queue.renew(messages),
    ]);
    const failed = answers.flatMap((answer) => answer.status === "rejected" ? [String(answer.reason)] : []);
    expect(failed).toEqual([]);
    // All of them were given back, and are due again with numbers that no attempt has.
    await database.sql`update mailchute.queue set attempts = ${round + 1}, due = now()`;
  }
});
