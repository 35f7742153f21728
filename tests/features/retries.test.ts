import { afterAll, beforeAll, expect, test } from "bun:test";
import { on, run } from "../command.ts";
import { makeDue, until } from "../relay.ts";
import { openStage, type Stage } from "./stage.ts";

// What happens to a mail that does not go out at once.

/** What the server says to RCPT of an address, until a test takes it away. */
const refusals = new Map<string, string>();

let stage: Stage;

beforeAll(async () => {
  stage = await openStage({ maxAttempts: 3, on: { rcpt: (address) => refusals.get(address) } });
});

afterAll(() => stage[Symbol.asyncDispose]());

/** Sends one that the server does not take. @returns its id, once it was tried */
async function sendRefused(to: string, refusal: string, more: { readonly expiresAt?: Date } = {}): Promise<string> {
  refusals.set(to, refusal);
  const { id } = await stage.mail.send({ to, subject: "Hello", text: "!", ...more });
  await untilTried(id, 1);
  return id;
}

async function untilTried(id: string, times: number): Promise<void> {
  const tried = async () => {
    const status = await stage.mail.get(id);
    return status?.state !== "sending" && status?.attempts.length === times;
  };
  await until(tried, `${id} was tried ${times} times`);
}

test("stop retrying after a number of attempts", async () => {
  const { mail, database } = stage;
  const id = await sendRefused("busy@example.com", "450 4.3.2 busy");
  for (let times = 2; times <= 3; times++) {
    await makeDue(database);
    await untilTried(id, times);
  }
  const { state, recipients, attempts } = await mail.wait(id);
  expect({ state, reason: recipients[0]?.reason }).toEqual({
    state: "expired",
    reason: expect.stringContaining("3 attempts"),
  });
  expect(attempts.map(({ number, code }) => [number, code])).toEqual([[1, 450], [2, 450], [3, 450]]);
});

test("a permanent error is not retried", async () => {
  const { mail, database } = stage;
  const { state, attempts } = await mail.wait(await sendRefused("gone@example.com", "550 5.1.1 no such user"));
  expect({ state, code: attempts[0]?.code }).toEqual({ state: "bounced", code: 550 });
  expect(await database.sql`select from mailchute.queue`).toHaveLength(0);
});

test("retry by itself, after a delay", async () => {
  const { mail, database } = stage;
  const id = await sendRefused("limited@example.com", "450 4.7.1 Too many requests");
  const { state, nextAttemptAt } = await mail.get(id) ?? {};
  expect(state).toBe("deferred");
  // A minute, ±20 %.
  expect(((nextAttemptAt?.getTime() ?? 0) - Date.now()) / 1_000).toBeWithin(40, 75);
  refusals.delete("limited@example.com");
  await makeDue(database);
  expect((await mail.wait(id)).attempts.map(({ outcome }) => outcome)).toEqual(["deferred", "sent"]);
});

test("retry failed mails, one or all that match", async () => {
  const { mail, database } = stage;
  const names = ["a@wrong.example", "b@wrong.example", "c@wrong.example"];
  const ids: string[] = [];
  for (const name of names) ids.push(await sendRefused(name, "550 5.1.1 no such user"));
  const other = await sendRefused("d@other.example", "550 5.1.1 no such user");
  // The server is mended.
  for (const name of [...names, "d@other.example"]) refusals.delete(name);
  const words = ["retry", "--state", "bounced", "--to", "@wrong.example"];
  const asked = await run(words, on(database));
  expect(asked).toMatchObject({ code: 1, stdout: expect.stringMatching(/^bounced +3$/m) });
  expect((await run([...words, "--yes"], on(database))).code).toBe(0);
  for (const id of ids) expect((await mail.wait(id)).state).toBe("sent");
  expect((await mail.get(other))?.state).toBe("bounced");
  expect((await run(["retry", other], on(database))).code).toBe(0);
  expect((await mail.wait(other)).state).toBe("sent");
});

test("stale mail expires, and says so", async () => {
  const { mail, database } = stage;
  const expiresAt = new Date(Date.now() + 3_600_000);
  const id = await sendRefused("late@example.com", "450 4.3.2 busy", { expiresAt });
  refusals.delete("late@example.com");
  // An hour goes by.
  await database.sql`update mailchute.message set expires_at = now() where id = ${id}`;
  await makeDue(database);
  const { state, recipients } = await mail.wait(id);
  expect({ state, reason: recipients[0]?.reason }).toEqual({
    state: "expired",
    reason: expect.stringContaining("expiresAt"),
  });
  expect(await stage.received("late@example.com")).toHaveLength(0);
});

test("a soft limit on the time that a mail can wait in the queue", async () => {
  const { mail, database } = stage;
  const id = await sendRefused("old@example.com", "450 4.3.2 busy");
  refusals.delete("old@example.com");
  await database.sql`update mailchute.message set created_at = now() - interval '5 days 1 minute' where id = ${id}`;
  await makeDue(database);
  const { state, recipients } = await mail.wait(id);
  expect({ state, reason: recipients[0]?.reason }).toEqual({
    state: "expired",
    reason: expect.stringContaining("RELAY_MAX_AGE"),
  });
  expect(await stage.received("old@example.com")).toHaveLength(0);
});

test("failures at the time of sending are logged, and the admin can see them", async () => {
  const { database, running } = stage;
  const id = await sendRefused("nobody@example.com", "550 5.1.1 nobody of that name");
  const shown = await run(["show", id], on(database));
  expect(shown.stdout).toContain("nobody@example.com");
  expect(shown.stdout).toContain("nobody of that name");
  const listed = await run(["list", "--state", "bounced", "--error", "of that name", "--json"], on(database));
  expect(JSON.parse(listed.stdout)).toMatchObject([{ id, reason: expect.stringContaining("nobody of that name") }]);
  const lines = running.lines.filter((line) => line.includes(id) && line.includes("not reached"));
  expect(lines).toHaveLength(1);
});
