import { afterAll, beforeAll, expect, test } from "bun:test";
import { openTestRelay, type TestRelay, until } from "../relay.ts";
import { openStage, type Stage } from "./stage.ts";

// Limits that the admin sets. Two relays serve the queue, with the same settings.

const OPTIONS = { rate: "60/m, domain:counted.example=5/d", maxQueue: 10 };

let stage: Stage;
let other: TestRelay;
/** When each mail began at the server. */
const atMs: number[] = [];

beforeAll(async () => {
  stage = await openStage({ ...OPTIONS, on: { mail: () => (atMs.push(performance.now()), undefined) } });
  other = await openTestRelay(stage.database, { ...OPTIONS, smtpPort: stage.server.port });
  other.relay.start();
});

afterAll(async () => {
  await other[Symbol.asyncDispose]();
  await stage[Symbol.asyncDispose]();
});

/** The limits that keep mail back now, by any of the relays. */
function reached(): readonly string[] {
  return [stage.running, other].flatMap(({ relay }) => relay.reachedLimits().map(({ limit }) => limit));
}

test("a rate limit per second, minute or day, which all relays keep together and which counts recipients", async () => {
  const { mail } = stage;
  const ids: string[] = [];
  for (let number = 0; number < 3; number++) {
    const to = ["a", "b", "c"].map((name) => `${name}${number}@counted.example`);
    ids.push((await mail.send({ to, subject: "Counted", text: "!" })).id);
  }
  const states = async () => (await Promise.all(ids.map((id) => mail.get(id)))).map((status) => status?.state);
  // Three mails are fewer than five, and nine recipients are more.
  await until(async () => (await states()).filter((state) => state === "sent").length === 2, "two are sent");
  const waiting = ids[(await states()).findIndex((state) => state !== "sent")] as string;
  const said = async () => (await mail.get(waiting))?.recipients[0]?.reason;
  await until(async () => (await said())?.includes("domain:counted.example=5/d") === true, "it waits for the limit");
  expect((await mail.get(waiting))?.attempts).toEqual([]);
  expect(await mail.cancel(waiting)).toBe("canceled");
});

test("a soft limit on the number of mails per minute", async () => {
  const { database, sql, mail } = stage;
  const startMs = performance.now();
  await sql.begin((tx) =>
    Promise.all(Array.from({ length: 80 }, (_, number) => {
      const to = `u${number}@example.com`;
      return mail.send({ to, subject: "Many", text: "!", tags: ["many"] }, { tx });
    }))
  );
  await until(
    async () => (await database.sql`select`, atMs.length > 50 && reached().includes("60/m")),
    "it is reached",
  );
  // At first as many as a minute may have, and then one a second.
  const early = atMs.filter((time, index) => index + 1 > 61 + (time - startMs) / 1_000);
  expect(early).toEqual([]);
  // Nothing is lost, and nothing has failed by it.
  const states = await database.sql`select distinct state from mailchute.recipient r
    join mailchute.message m using (seq) where m.tags = '{many}' order by 1`;
  expect(states.map(({ state }) => state)).toEqual(["queued", "sent"]);
});

test("a soft limit on the size of the queue", async () => {
  const { mail } = stage;
  const message = { to: "one@more.example", subject: "One more", text: "!", tags: ["many"] };
  const codeOf = async () => await mail.send(message).then(() => "", ({ code }) => code);
  // Those of the last test still wait, and are too many.
  await until(async () => await codeOf() === "queue_full", "the queue is full");
  expect(await mail.cancel({ tag: "many" })).toBeGreaterThan(5);
  await until(async () => await codeOf() === "", "the queue takes mail again");
});
