import { afterAll, beforeAll, expect, test } from "bun:test";
import { parseBounceRules } from "../../relay/settings/bounces.ts";
import { closeAt } from "../digest/setup.ts";
import { on, run } from "../command.ts";
import { describeMessage, enqueue, until } from "../relay.ts";
import { openStage, type Stage } from "./stage.ts";

// Addresses that get no mail.

let stage: Stage;

beforeAll(async () => {
  stage = await openStage({
    onBounce: parseBounceRules("hard=suppress, soft=suppress after 2 in 7d for 30d"),
    on: {
      rcpt: (address) =>
        address.startsWith("gone")
          ? "550 5.1.1 no such user"
          : address.startsWith("full")
          ? "550 5.2.2 mailbox full"
          : address.startsWith("policy")
          ? "550 5.7.1 not today"
          : undefined,
    },
  });
});

afterAll(() => stage[Symbol.asyncDispose]());

/** Sends to an address, and tells what became of it. */
async function sendTo(to: string) {
  const { mail } = stage;
  const { recipients: [recipient] } = await mail.wait((await mail.send({ to, subject: "Hello", text: "!" })).id);
  return { state: recipient?.state, reason: recipient?.reason };
}

/** How often the server was asked to take a mail for an address. */
function asked(address: string): number {
  return stage.server.transcripts.flatMap(({ client }) => client.split(`RCPT TO:<${address}>`)).length -
    stage.server.transcripts.length;
}

test("a policy for mail to users whose address has failed before", async () => {
  expect(await sendTo("gone@example.com")).toMatchObject({ state: "bounced" });
  const suppressed = { state: "suppressed", reason: "On the suppression list: bounce" } as const;
  expect(await sendTo("Gone@Example.com")).toEqual(suppressed);
  expect(asked("gone@example.com")).toBe(1);
  // A full mailbox gets another try, and then a month of rest.
  for (let count = 0; count < 2; count++) expect((await sendTo("full@example.com")).state).toBe("bounced");
  expect(await sendTo("full@example.com")).toEqual(suppressed);
  const until = (await stage.mail.suppressions.get("full@example.com"))?.until?.getTime() ?? 0;
  expect((until - Date.now()) / 86_400_000).toBeWithin(29, 31);
  // What a server refuses by policy says nothing of the address.
  for (let count = 0; count < 3; count++) expect((await sendTo("policy@example.com")).state).toBe("bounced");
});

test("a system-wide opt-out: no app reaches who does not want mail", async () => {
  const { mail, database, sql } = stage;
  const ran = await run(["suppress", "optout@example.com", "--reason", "unsubscribe"], on(database));
  expect(ran.code).toBe(0);
  expect((await sendTo("OptOut@example.com")).state).toBe("suppressed");
  // Another app, with the rights of the database's owner.
  const id = await enqueue(database, { to: "optout@example.com" });
  expect((await describeMessage(database, id)).state).toBe("suppressed");
  // An app cannot take off what was said for all.
  expect(await mail.suppressions.remove("optout@example.com")).toBe(false);
  await expect(sql`delete from mailchute.suppression`).rejects.toThrow("permission denied");
  expect(asked("optout@example.com")).toBe(0);
});

test("suppression is honoured on every path, for some of a mail's recipients, and never shown as sent", async () => {
  const { mail, database, sql } = stage;
  const no = "no@example.com";
  // This one was enqueued before; it waits for tomorrow.
  const scheduledAt = new Date(Date.now() + 86_400_000);
  const early = await mail.send({ to: no, subject: "Early", text: "!", scheduledAt });
  const digest = { key: "news", wait: "1h" };
  const item = await mail.send({ to: no, subject: "Item", text: "!", digest });
  await mail.suppressions.add(no, "complaint");

  const some = await mail.send({ to: ["yes@example.com", no], cc: "too@example.com", subject: "Some", text: "!" });
  const readers = [{ to: no }, { to: "yes@example.com" }];
  await mail.sendMany({ subject: "Bulk", text: "!" }, readers, { batch: "news/no" });
  const request = JSON.stringify({ from: "a@shop.example", to: no, subject: "SQL", text: "!" });
  const [bySql] = await sql`select mailchute.send(${request}::text::jsonb) as id`;
  const url = await database.as("shop_app");
  const ran = await run(
    ["send", "-f", "a@shop.example", "--to", no, "--subject", "Command"],
    { DATABASE_URL: url },
    "!",
  );
  expect(ran.code).toBe(0);
  await mail.reschedule(early.id, new Date());
  await closeAt(database, "1 hour");

  const reason = "On the suppression list: complaint";
  for (const id of [early.id, item.id, bySql?.id as string]) {
    const { state, recipients } = await mail.wait(id);
    expect({ id, state, reason: recipients[0]?.reason }).toEqual({ id, state: "suppressed", reason });
  }
  const { state, recipients } = await mail.wait(some.id);
  expect({ state, states: recipients.map((each) => each.state) }).toEqual({
    ...{ state: "suppressed", states: ["sent", "suppressed", "sent"] },
  });
  const counted = async () => (await mail.get({ batch: "news/no" }))?.states;
  await until(async () => (await counted())?.sent === 1, "the other reader has it");
  expect(await counted()).toEqual({ sent: 1, suppressed: 1 });
  expect(asked(no)).toBe(0);
  const listed = await run(["list", "--state", "suppressed", "--to", no, "--json"], on(database));
  expect(JSON.parse(listed.stdout)).toHaveLength(6);
});

test("a password reset goes out after an unsubscribe, and never after a bounce", async () => {
  const { mail, database } = stage;
  const reset = async (to: string) =>
    await mail.send({ to, subject: "Your new password", text: "!", stream: "otp", overrideSuppression: true });
  const reached = async (to: string) => {
    const { recipients: [recipient] } = await mail.wait((await reset(to)).id);
    return { state: recipient?.state, reason: recipient?.reason };
  };
  await mail.suppressions.add("left@example.com", "unsubscribe");
  // It is not for every app to say so.
  await expect(reset("left@example.com")).rejects.toThrow("--may-override-suppression");
  const words = ["grants", "shop_app", "--app", "shop", "--from", "*@shop.example", "--may-override-suppression"];
  expect((await run(words, on(database))).code).toBe(0);
  expect(await reached("left@example.com")).toEqual({
    state: "sent",
    reason: "On the suppression list: unsubscribe; sent all the same (overrideSuppression)",
  });
  // All other mail stays away.
  expect((await sendTo("left@example.com")).state).toBe("suppressed");
  expect(asked("left@example.com")).toBe(1);

  expect((await reached("gone-too@example.com")).state).toBe("bounced");
  await mail.suppressions.add("gone-too@example.com", "unsubscribe");
  const bounce = { state: "suppressed", reason: "On the suppression list: bounce" } as const;
  expect(await reached("gone-too@example.com")).toEqual(bounce);
  expect(asked("gone-too@example.com")).toBe(1);
});
