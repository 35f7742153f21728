import { afterAll, beforeAll, expect, test } from "bun:test";
import { on, run } from "../command.ts";
import { complaintOf, receiptOf, reportOf } from "../queue/report.ts";
import { openStage, type Stage } from "./stage.ts";

// What comes back after a server has taken a mail.

let stage: Stage;
beforeAll(async () => stage = await openStage());
afterAll(() => stage[Symbol.asyncDispose]());

/** A mail that the server has taken. */
async function taken(to: string | readonly string[]): Promise<string> {
  const { id } = await stage.mail.send({ to: to as string, subject: "Hello", text: "!" });
  expect(await stage.mail.wait(id)).toMatchObject({ state: "sent", events: [] });
  return id;
}

test("delivery failures that come later are read from a mailbox or a pipe", async () => {
  const { mail, database } = stage;
  const id = await taken(["left@example.com", "here@example.com"]);
  const before = new Date();
  const env = { ...on(database), RELAY_ON_BOUNCE: "hard=suppress for 30d" };
  const { code } = await run(["bounce", "--suppress"], env, reportOf(id, { address: "left@example.com" }));
  expect(code).toBe(0);
  const message = await mail.get(id);
  expect(message).toMatchObject({
    state: "bounced",
    recipients: [{ state: "bounced", enhanced: "5.1.1" }, { state: "sent" }],
    events: [{ type: "bounced", address: "left@example.com", code: 550, reporter: "mx.example.com" }],
  });
  expect(message?.events[0]?.at.getTime()).toBeGreaterThanOrEqual(before.getTime() - 1_000);
  const next = await mail.send({ to: "left@example.com", subject: "Hello", text: "!" });
  expect(await mail.get(next.id)).toMatchObject({ state: "suppressed" });
});

test("bounces with plain SMTP: VERP, IMAP or a pipe", async () => {
  const { mail, database } = stage;
  // The envelope id of the mail, or the Message-ID of what came back: either is enough, whatever address the mail was
  // passed on to.
  for (const named of [/^Original-Envelope-Id: .*\n/m, /^Message-ID: .*\n/m]) {
    const id = await taken("alias@example.com");
    const report = reportOf(id, { address: "person@elsewhere.example" }).replace(named, "");
    expect(await run(["bounce"], on(database), report)).toMatchObject({ code: 0 });
    expect((await mail.get(id))?.state).toBe("bounced");
  }
  const id = await taken("angry@example.com");
  await run(["bounce"], on(database), complaintOf(id));
  expect(await mail.get(id)).toMatchObject({
    state: "sent",
    events: [{ type: "complained", address: "angry@example.com" }],
  });
});

test("who has got a mail and who has opened it, as far as plain SMTP tells", async () => {
  const { mail, database } = stage;
  const { id } = await mail.send({
    ...{ to: "ann@example.com", subject: "Your contract", text: "!" },
    headers: { "Disposition-Notification-To": "receipts@shop.example" },
  });
  expect(await mail.wait(id)).toMatchObject({ state: "sent" });
  const [received] = await stage.received("ann@example.com");
  expect(received?.headers.find(({ key }) => key === "disposition-notification-to")?.value).toBe(
    "receipts@shop.example",
  );
  const delivered = { address: "ann@example.com", action: "delivered", status: "2.0.0", diagnostic: "smtp; 250 ok" };
  const reports = [reportOf(id, delivered), receiptOf(id, "ann@example.com"), receiptOf(id, "ann@example.com")];
  for (const report of reports) expect(await run(["bounce"], on(database), report)).toMatchObject({ code: 0 });
  expect(await mail.get(id)).toMatchObject({
    state: "sent",
    events: [
      { type: "delivered", address: "ann@example.com", code: 250, reporter: "mx.example.com" },
      { type: "opened", address: "ann@example.com", reporter: "laptop.example; Mail 16.0" },
    ],
  });
  expect((await mail.get(id))?.events).toHaveLength(2);
  const next = await taken("ann@example.com");
  const { stdout, stderr } = await run(["bounce"], on(database), receiptOf(next, "ann@example.com", "deleted"));
  expect([stdout, stderr]).toEqual(["", "Nothing was taken in: the report says nothing of a recipient.\n"]);
  expect(await mail.get(next)).toMatchObject({ state: "sent", events: [] });
});
