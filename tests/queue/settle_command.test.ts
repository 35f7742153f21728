import { expect, test } from "bun:test";
import type { RoutedOutcome } from "../../relay/delivery/transport.ts";
import { createDatabase, type TestDatabase } from "../database.ts";
import { describeMessage, enqueue } from "../relay.ts";
import { connectAs, newRole } from "../schema/role.ts";
import { on, run, UNKNOWN_ID } from "../command.ts";
import { openConnection, openQueue, settlement, waitForLocks } from "./setup.ts";

type Kind = RoutedOutcome["kind"];

const AN_HOUR_MS = 3_600_000;

/** Enqueues a mail to one address, and ends its first attempt like this. @returns its id */
async function tried(database: TestDatabase, kind: Kind, state: string = kind): Promise<string> {
  const id = await enqueue(database);
  const { queue } = await openQueue(database);
  const [message] = (await queue.claim(1)).messages;
  if (message?.id !== id) throw new Error("Another message was claimed");
  const next = state === "held" ? "held" : state === "deferred" ? AN_HOUR_MS : undefined;
  const ended = settlement(message, kind, next);
  await queue.settle([{ ...ended, recipients: ended.recipients.map((recipient) => ({ ...recipient, state })) }]);
  return id;
}

test("settle --sent makes a held mail sent, and show tells who has said so and why, beside the attempt", async () => {
  await using database = await createDatabase();
  const id = await tried(database, "uncertain", "held");
  const role = newRole();
  await using _operator = await connectAs(database, role);
  await database.sql.unsafe(`grant mailchute_admin to ${role}`);
  const env = { DATABASE_URL: await database.as(role) };
  expect(await run(["settle", "--sent", id, "--reason", "in the log of mx1"], env))
    .toEqual({ code: 0, stdout: `${id}: sent\n`, stderr: "" });
  const shown = (await run(["show", id], env)).stdout;
  expect(shown).toContain(`${id}  sent\n`);
  expect(shown).toContain(`to  ann@example.com: sent (Settled as sent by ${role}: in the log of mx1)`);
  expect(shown).toMatch(/attempt 1 .* uncertain by default/);
  expect(await database.sql`select from mailchute.queue`).toHaveLength(0);
  // Nobody is left to try, and nothing to settle.
  expect((await run(["retry", id], env)).stdout).toContain("everybody has it");
  expect(await run(["settle", "--sent", id], env))
    .toMatchObject({ code: 1, stdout: expect.stringContaining("not settled: nobody is held") });
});

test.each(["deferred", "expired", "canceled"])(
  "settle --sent takes a mail that is %s after an attempt that was uncertain",
  async (state) => {
    await using database = await createDatabase();
    const id = await tried(database, "uncertain", state === "canceled" ? "held" : state);
    if (state === "canceled") await run(["cancel", id], on(database));
    expect((await describeMessage(database, id)).state).toBe(state);
    expect((await run(["settle", "--sent", id], on(database))).code).toBe(0);
    expect(await describeMessage(database, id)).toMatchObject({
      state: "sent",
      recipients: [{ state: "sent", reason: "Settled as sent by postgres" }],
    });
    expect(await database.sql`select from mailchute.queue`).toHaveLength(0);
  },
);

test(
  "settle --sent refuses what the server has answered, what was not tried, and what is being sent, and changes nothing",
  async () => {
    await using database = await createDatabase();
    const answered = [
      await tried(database, "sent"),
      await tried(database, "bounced"),
      await tried(database, "deferred"),
    ];
    const queued = await enqueue(database);
    for (const id of [...answered, queued]) {
      const before = await describeMessage(database, id);
      expect(await run(["settle", "--sent", id], on(database)))
        .toMatchObject({ code: 1, stdout: expect.stringContaining(`${id}: not settled`) });
      expect(await describeMessage(database, id)).toEqual(before);
    }
    await (await openQueue(database)).queue.claim(10);
    expect(await run(["settle", "--sent", queued], on(database)))
      .toMatchObject({ code: 1, stdout: expect.stringContaining(`${queued}: too_late`) });
    expect(await run(["settle", "--sent", UNKNOWN_ID], on(database)))
      .toEqual({ code: 1, stdout: "", stderr: `No message has the id ${UNKNOWN_ID}.\n` });
  },
  30_000,
);

test("of a mail to several people those are settled whose end nobody knew, and the others are tried as before", async () => {
  await using database = await createDatabase();
  const id = await enqueue(database, { to: ["ann@example.com", "bob@example.com"] });
  const { queue } = await openQueue(database);
  const [message] = (await queue.claim(1)).messages;
  if (message === undefined) throw new Error("Nothing was claimed");
  const [ann, bob] = [settlement(message, "uncertain", "held"), settlement(message, "deferred", AN_HOUR_MS)];
  const ofBob = <T extends { readonly position: number }>(list: readonly T[]): readonly T[] =>
    list.filter(({ position }) => position === 1);
  await queue.settle([{
    ...bob,
    outcomes: [...ann.outcomes.filter(({ position }) => position === 0), ...ofBob(bob.outcomes)],
    recipients: [...ann.recipients.filter(({ position }) => position === 0), ...ofBob(bob.recipients)],
  }]);
  expect((await run(["settle", "--sent", id], on(database))).code).toBe(0);
  expect((await describeMessage(database, id)).recipients.map(({ state }) => state)).toEqual(["sent", "deferred"]);
  expect(await database.sql`select from mailchute.queue where due < 'infinity'`).toHaveLength(1);
});

test("with filters, settle --sent means the held ones, counts them first, and needs --yes", async () => {
  await using database = await createDatabase();
  const held = [await tried(database, "uncertain", "held"), await tried(database, "uncertain", "held")];
  const deferred = await tried(database, "uncertain", "deferred");
  const all = ["settle", "--sent", "--to", "ann@example.com"];
  expect(await run(all, on(database)))
    .toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/held +2/),
      stderr: expect.stringContaining("with --yes"),
    });
  expect(await run([...all, "--yes"], on(database)))
    .toMatchObject({ code: 0, stderr: expect.stringContaining("2 messages") });
  for (const id of held) expect((await describeMessage(database, id)).state).toBe("sent");
  expect((await describeMessage(database, deferred)).state).toBe("deferred");
}, 30_000);

test.each([
  [["settle", UNKNOWN_ID], "settle needs --sent: the server has the mail"],
  [["settle", "--sent"], "settle needs ids or a filter"],
  [["settle", "--sent", "--state", "bounced"], "--state bounced: none of these can be settled as sent"],
  [["settle", "--sent", UNKNOWN_ID, "--reason", " "], "--reason is empty: say which"],
])("%p is a wrong command line", async (words, says) => {
  const { code, stderr } = await run(words, { DATABASE_URL: "postgres://u:p@127.0.0.1:1/a" });
  expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(says) });
});

test("a mail is retried and settled at the same time: one of both, and no deadlock", async () => {
  await using database = await createDatabase();
  const id = await tried(database, "uncertain", "expired");
  await using holder = openConnection(database);
  await using person = openConnection(database);
  await using other = openConnection(database);
  const call = "(select seq from mailchute.message)";
  const both = await holder.begin(async (tx) => {
    await tx`select from mailchute.message for update`;
    const retried = person.unsafe(`select mailchute.retry_message(${call}, true) as answer`).execute();
    await waitForLocks(database, 1);
    const settled = other.unsafe(`select mailchute.settle_as_sent(${call}, null) as answer`).execute();
    await waitForLocks(database, 2);
    return { retried, settled };
  });
  expect([(await both.retried)[0]?.answer, (await both.settled)[0]?.answer]).toEqual(["retried", "too_late"]);
  expect((await describeMessage(database, id)).state).toBe("queued");
});
