import { afterAll, beforeAll, expect, test } from "bun:test";
import { closeAt } from "../digest/setup.ts";
import { until } from "../relay.ts";
import { makeTables, openStage, type Stage } from "./stage.ts";

// The use cases that django-mailer's page named in 2008, and what its users have asked for since to the same end.

let stage: Stage;

beforeAll(async () => {
  stage = await openStage();
  await makeTables(
    stage,
    `create table member (email text primary key, name text not null, has_answered boolean not null, last_seen timestamptz not null);
    insert into member values ('ann@example.com', 'Ann', true, now()), ('bob@example.com', 'Bob', false, now() - interval '40 days'),
      ('eve@example.com', 'Eve', true, now() - interval '50 days');
    create table friendship (member text, friend text);
    create table subscriber (thread text, email text);
    create table reply (thread text, author text, body text)`,
  );
});

afterAll(() => stage[Symbol.asyncDispose]());

const MEMBERS = ["ann@example.com", "bob@example.com", "eve@example.com"];

/** How many mails with this subject each member got. */
async function counts(subject: string): Promise<readonly number[]> {
  const mails = await Promise.all(MEMBERS.map((address) => stage.received(address)));
  return mails.map((received) => received.filter((email) => email.subject === subject).length);
}

/** Resolves when a bulk send has so many mails, and all are sent. */
async function untilSent(batch: string, count: number): Promise<void> {
  await until(async () => (await stage.mail.get({ batch }))?.states.sent === count, `${count} of ${batch} are sent`);
}

test("a one-off announcement to all users of a site", async () => {
  const { mail, sql, database } = stage;
  const batch = "announcement/move";
  const announce = async () => {
    const members = await sql`select email, name from member`;
    const recipients = members.map(({ email, name }) => ({ to: email as string, variables: { name: name as string } }));
    return await mail.sendMany({ subject: "We move", text: "Dear {{name}}, we move on Sunday." }, recipients, {
      batch,
    });
  };
  expect(await announce()).toMatchObject({ created: 3, existing: 0 });
  await untilSent(batch, 3);
  expect(await counts("We move")).toEqual([1, 1, 1]);
  expect((await stage.received("eve@example.com"))[0]?.text?.trimEnd()).toBe("Dear Eve, we move on Sunday.");
  // Whoever presses the button twice writes to nobody twice, and what is said lies there once.
  expect(await announce()).toMatchObject({ created: 0, existing: 3 });
  expect(await database.sql`select from mailchute.content where subject = 'We move'`).toHaveLength(1);
});

test("a one-off mail to some of the users", async () => {
  const { mail, sql } = stage;
  const batch = "survey/thanks";
  await sql.begin(async (tx) => {
    const members = await tx`select email from member where has_answered`;
    const recipients = members.map(({ email }) => ({ to: email as string }));
    await mail.sendMany({ subject: "Thank you", text: "Your answers help us." }, recipients, { tx, batch });
  });
  await untilSent(batch, 2);
  expect(await counts("Thank you")).toEqual([1, 0, 1]);
});

test("a mail is deferred to a particular date or time", async () => {
  const { mail, database } = stage;
  const at = new Date(Date.now() + 86_400_000);
  at.setUTCHours(9, 0, 0, 0);
  const { id } = await mail.send({ to: "all@example.com", subject: "Down at ten", text: "!", scheduledAt: at });
  expect(await mail.get(id)).toMatchObject({ state: "scheduled", scheduledAt: at, nextAttemptAt: at });
  // What is enqueued after it, for now, goes out, and it does not.
  expect((await mail.wait((await mail.send({ to: "x@example.com", subject: "Now", text: "!" })).id)).state).toBe(
    "sent",
  );
  expect(await stage.received("all@example.com")).toHaveLength(0);
  // Its time comes.
  await database.sql`update mailchute.queue set due = now() where due = ${at}`;
  await database.sql`notify mailchute`;
  expect((await mail.wait(id)).state).toBe("sent");
  expect(await stage.received("all@example.com")).toHaveLength(1);
});

test("a regular mail to some of the users", async () => {
  const { mail, sql } = stage;
  // What cron calls, once a month or by mistake more often.
  const remind = (month: string) =>
    sql.begin(async (tx) => {
      const members = await tx`select email from member where last_seen < now() - interval '1 month'`;
      const recipients = members.map(({ email }) => ({ to: email as string }));
      return await mail.sendMany({ subject: "We miss you", text: "Come back!" }, recipients, {
        ...{ tx, batch: `reminder/${month}` },
      });
    });
  expect(await remind("2026-11")).toMatchObject({ created: 2, existing: 0 });
  expect(await remind("2026-11")).toMatchObject({ created: 0, existing: 2 });
  await sql`update member set last_seen = now() where email = 'bob@example.com'`;
  expect(await remind("2026-12")).toMatchObject({ created: 1, existing: 0 });
  await untilSent("reminder/2026-11", 2);
  await untilSent("reminder/2026-12", 1);
  expect(await counts("We miss you")).toEqual([0, 1, 2]);
});

test("a user is told of an event that concerns them", async () => {
  const { mail, sql } = stage;
  const accept = (friend: string, fails: boolean) =>
    sql.begin(async (tx) => {
      await tx`insert into friendship values ('ann@example.com', ${friend})`;
      const message = { to: "ann@example.com", subject: `${friend} is your friend`, text: "!" };
      const { id } = await mail.send(message, { tx, idempotencyKey: `friend/${friend}` });
      if (fails) throw new Error("Something else went wrong");
      return id;
    });
  await expect(accept("eve", true)).rejects.toThrow("Something else");
  expect((await mail.wait(await accept("bob", false))).state).toBe("sent");
  const subjects = (await stage.received("ann@example.com")).map(({ subject }) => subject);
  // What did not happen is told to nobody.
  expect(subjects).toContain("bob is your friend");
  expect(subjects).not.toContain("eve is your friend");
});

test("all users that have subscribed to a thread are told of a reply", async () => {
  const { sql } = stage;
  // Who has subscribed to what is the app's own table; a trigger of its own asks for the mails.
  await makeTables(
    stage,
    `insert into subscriber values ('lunch', 'ann@example.com'), ('lunch', 'bob@example.com'), ('dinner', 'eve@example.com');
    create function tell() returns trigger language plpgsql as $$
    begin
      perform mailchute.send(jsonb_build_object('from', 'hello@shop.example', 'to', s.email, 'subject', 'Reply to ' || new.thread, 'text', new.body))
      from subscriber s where s.thread = new.thread and s.email <> new.author;
      return null;
    end $$;
    create trigger tell after insert on reply for each row execute function tell()`,
  );
  const before = stage.server.mails.length;
  await sql`insert into reply values ('lunch', 'carl@example.com', 'Yes!')`;
  await stage.server.whenMails(before + 2);
  await sql`insert into reply values ('lunch', 'ann@example.com', 'At one.')`;
  await stage.server.whenMails(before + 3);
  expect(await counts("Reply to lunch")).toEqual([1, 2, 0]);
});

test("a user gets no mail for each notification, but all of them as a daily digest", async () => {
  const { mail, database } = stage;
  const digest = { key: "posts", at: "09:00", timeZone: "Europe/Vienna", subject: "{{count}} new posts" };
  const ids: string[] = [];
  for (const subject of ["Apples", "Pears", "Plums"]) {
    ids.push((await mail.send({ to: "fan@example.com", subject, text: `All about ${subject}`, digest })).id);
  }
  expect((await mail.get(ids[0] as string))?.state).toBe("scheduled");
  // It becomes nine o'clock.
  await closeAt(database, "1 day");
  await database.sql`notify mailchute`;
  for (const id of ids) expect((await mail.wait(id)).state).toBe("sent");
  const [received, ...more] = await stage.received("fan@example.com");
  expect({ subject: received?.subject, more }).toEqual({ subject: "3 new posts", more: [] });
  for (const subject of ["Apples", "Pears", "Plums"]) expect(received?.text).toContain(`All about ${subject}`);
});

test("flood protection: hundreds of notifications are one mail for each person", async () => {
  const { mail, sql } = stage;
  const people = ["p1@example.com", "p2@example.com", "p3@example.com"];
  const digest = { key: "alerts", wait: "1s", subject: "{{count}} alerts", maxItems: 10 };
  const before = stage.server.mails.length;
  await sql.begin((tx) =>
    Promise.all(
      Array.from({ length: 300 }, (_, number) =>
        mail.send({ to: people[number % 3] as string, subject: `Alert ${number}`, text: "!", digest }, { tx })),
    )
  );
  await stage.server.whenMails(before + 3);
  const received = (await Promise.all(people.map(stage.received))).flat();
  expect(received.map(({ subject }) => subject)).toEqual(["100 alerts", "100 alerts", "100 alerts"]);
  expect(received[0]?.text).toContain("and 90 more");
});

test("schedule a mail for later, move it, and take it back", async () => {
  const { mail } = stage;
  const message = { to: "later@example.com", text: "!", scheduledAt: new Date(Date.now() + 3_600_000) };
  const moved = await mail.send({ ...message, subject: "Moved" });
  const canceled = await mail.send({ ...message, subject: "Canceled" });
  expect(await mail.cancel(canceled.id)).toBe("canceled");
  expect(await mail.reschedule(canceled.id, new Date())).toBe("too_late");
  expect(await mail.reschedule(moved.id, new Date())).toBe("rescheduled");
  expect((await mail.wait(moved.id)).state).toBe("sent");
  expect((await mail.get(canceled.id))?.state).toBe("canceled");
  expect((await stage.received("later@example.com")).map(({ subject }) => subject)).toEqual(["Moved"]);
});
