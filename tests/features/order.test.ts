import { afterAll, beforeAll, expect, test } from "bun:test";
import type { MessageStatus } from "../../mod.ts";
import { makeDue, until } from "../relay.ts";
import { openStage, type Stage } from "./stage.ts";

// What goes first, and when it goes at all. One connection, so that the order at the server is that of the queue.

let stage: Stage;
/** The subjects, as they came. */
const subjects: string[] = [];
/** What the server waits for before it takes the mail with this subject. */
const gates = new Map<string, { readonly reached: () => void; readonly opened: Promise<void> }>();
/** The subjects of which it does not take the first mail, and how many others it had when that came. */
const deferred = new Map<string, number | undefined>();

beforeAll(async () => {
  stage = await openStage({
    connections: 1,
    on: {
      content: async (content) => {
        const subject = /^Subject: (.*)\r$/m.exec(content)?.[1] as string;
        const gate = gates.get(subject);
        gate?.reached();
        await gate?.opened;
        if (deferred.has(subject) && deferred.get(subject) === undefined) {
          deferred.set(subject, subjects.length);
          return "451 4.3.0 Try again later";
        }
        subjects.push(subject);
        return undefined;
      },
    },
  });
});

afterAll(() => stage[Symbol.asyncDispose]());

/** Lets the server wait when it gets this mail. */
function gateAt(subject: string): { readonly reached: Promise<void>; readonly open: () => void } {
  const reached = Promise.withResolvers<void>();
  const opened = Promise.withResolvers<void>();
  gates.set(subject, { reached: reached.resolve, opened: opened.promise });
  return { reached: reached.promise, open: opened.resolve };
}

test("mails can have different priorities", async () => {
  const { sql, mail, server } = stage;
  const before = server.mails.length;
  // Queued at once, the least important first.
  await sql.begin(async (tx) => {
    for (const priority of ["low", "normal", "high"] as const) {
      for (let number = 0; number < 20; number++) {
        await mail.send({ to: `p${number}@example.com`, subject: priority, text: "!", priority }, { tx });
      }
    }
  });
  await server.whenMails(before + 60);
  // But for the few that are begun at the same time, and the small shares of the lower ones, which keep those from
  // waiting for ever.
  const of = (priority: string, from: number) =>
    subjects.slice(before + from, before + from + 20).filter((subject) => subject === priority).length;
  expect(of("high", 0)).toBeGreaterThan(12);
  expect(of("normal", 20)).toBeGreaterThan(8);
  expect(of("low", 40)).toBeGreaterThan(12);
});

test("mails have priorities, and newsletters do not hold up transactional mail", async () => {
  const { mail, server } = stage;
  const before = server.mails.length;
  const gate = gateAt("News");
  const readers = Array.from({ length: 500 }, (_, number) => ({ to: `reader${number}@example.com` }));
  await mail.sendMany({ subject: "News", text: "!" }, readers, { batch: "news/order" });
  await gate.reached;
  const { id } = await mail.send({ to: "ann@example.com", subject: "Your password", text: "!", priority: "high" });
  gate.open();
  expect((await mail.wait(id)).state).toBe("sent");
  await server.whenMails(before + 501);
  // The relay holds some of the newsletter by then, and needs a moment to hear of the other.
  expect(subjects.slice(before).indexOf("Your password")).toBeLessThan(250);
});

test("a code to log in with is sent before all else and tried again within seconds, and does not come when it is no longer valid", async () => {
  const { mail, server, database } = stage;
  const before = server.mails.length;
  const gate = gateAt("Offers");
  const readers = Array.from({ length: 500 }, (_, number) => ({ to: `reader${number}@example.com` }));
  await mail.sendMany({ subject: "Offers", text: "!", stream: "bulk" }, readers, { batch: "offers/order" });
  await gate.reached;
  deferred.set("Your code", undefined);
  const { id } = await mail.send({ to: "ann@example.com", subject: "Your code", text: "402 118", stream: "otp" });
  gate.open();
  let status: MessageStatus | undefined;
  const isDeferred = async () => (status = await mail.get(id))?.state === "deferred";
  await until(isDeferred, "the server has asked to try again");
  const { createdAt, expiresAt, nextAttemptAt, attempts } = status as unknown as MessageStatus;
  // Five seconds, ±20 %.
  const waitMs = (nextAttemptAt?.getTime() ?? 0) - (attempts[0]?.at.getTime() ?? 0);
  expect(waitMs).toBeWithin(3_000, 7_000);
  expect((expiresAt?.getTime() ?? 0) - createdAt.getTime()).toBe(600_000);
  await makeDue(database);
  expect((await mail.wait(id)).state).toBe("sent");
  expect((deferred.get("Your code") ?? Infinity) - before).toBeLessThan(250);
  await server.whenMails(before + 501);

  const message = { to: "eve@example.com", subject: "Too late", text: "402 119", stream: "otp" };
  const late = await mail.send({ ...message, scheduledAt: new Date(Date.now() + 3_600_000) });
  // Two hours have gone.
  await database.sql`
    update mailchute.message set scheduled_at = scheduled_at - interval '2 hours', expires_at = expires_at - interval '2 hours' where id = ${late.id}`;
  await makeDue(database);
  expect((await mail.wait(late.id)).state).toBe("expired");
  expect(subjects).not.toContain("Too late");
});

test("first in, first out", async () => {
  const { mail, server } = stage;
  const before = server.mails.length;
  const gate = gateAt("Nr. 0");
  const sent: string[] = [];
  for (let number = 0; number < 40; number++) {
    sent.push(`Nr. ${number}`);
    await mail.send({ to: `r${number}@example.com`, subject: `Nr. ${number}`, text: "!" });
  }
  gate.open();
  await server.whenMails(before + 40);
  // A connection has the next mail begun while one is on the wire: neighbours may change places.
  const places = sent.map((subject, place) => Math.abs(subjects.indexOf(subject) - before - place));
  expect(Math.max(...places)).toBeLessThan(4);
});

test("a relay that is notified does not look before the commit", async () => {
  const { sql, mail, server } = stage;
  const before = server.mails.length;
  await sql.begin(async (tx) => {
    await mail.send({ to: "ann@example.com", subject: "In a transaction", text: "!" }, { tx });
    // The relay is rung for another, and finds that one only.
    const { id } = await mail.send({ to: "bob@example.com", subject: "Meanwhile", text: "!" });
    expect((await mail.wait(id)).state).toBe("sent");
    expect(subjects.slice(before)).toEqual(["Meanwhile"]);
    // The relay sleeps by now, and would look again in ten minutes.
    await stage.untilAsleep();
    await mail.send({ to: "ann@example.com", subject: "The last of it", text: "!" }, { tx });
  });
  await server.whenMails(before + 3);
  expect(subjects.slice(before).sort()).toEqual(["In a transaction", "Meanwhile", "The last of it"]);
});
