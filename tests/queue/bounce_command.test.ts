import { expect, test } from "bun:test";
import { createDatabase, type TestDatabase } from "../database.ts";
import { startHeldServer } from "../held_server.ts";
import { describeMessage, enqueue, makeDue, openTestRelay, until } from "../relay.ts";
import { newRole } from "../schema/role.ts";
import { startScriptedServer } from "../scripted_server.ts";
import { on, run, UNKNOWN_ID } from "../command.ts";
import { complaintOf, reportOf } from "./report.ts";

// Reports that come back as mails, through the pipe of a mail server.

/** A mail that the next hop has taken. */
async function sent(database: TestDatabase, to: string | readonly string[] = "ann@example.com"): Promise<string> {
  await using server = await startScriptedServer();
  const id = await enqueue(database, { to: to as string });
  await using running = await openTestRelay(database, { smtpPort: server.port });
  await running.relay.runOnce();
  expect(await describeMessage(database, id)).toMatchObject({ state: "sent" });
  return id;
}

test("bounce makes a recipient bounced that was sent, says why, and leaves the others; the same report again is no news", async () => {
  await using database = await createDatabase();
  const id = await sent(database, ["Ann@example.com", "bob@example.com"]);
  const report = reportOf(id, { address: "ann@EXAMPLE.com" });
  const first = await run(["bounce"], on(database), report);
  expect(first).toEqual({
    code: 0,
    stdout: `${id} Ann@example.com: bounced, now bounced: 550 5.1.1 <ann@EXAMPLE.com>: no such user here\n`,
    stderr: "",
  });
  const message = await describeMessage(database, id);
  expect(message).toMatchObject({
    state: "bounced",
    recipients: [
      {
        ...{ address: "Ann@example.com", state: "bounced", code: 550, enhanced: "5.1.1" },
        reason: "Came back: 550 5.1.1 <ann@EXAMPLE.com>: no such user here",
      },
      { address: "bob@example.com", state: "sent", code: 250 },
    ],
    attempts: [{ outcome: "sent" }, { outcome: "sent" }],
    events: [{ type: "bounced", address: "Ann@example.com", code: 550, enhanced: "5.1.1", reporter: "mx.example.com" }],
  });
  const again = await run(["bounce"], on(database), report);
  expect(again).toMatchObject({ code: 0, stdout: expect.stringContaining("bounced, as was known, now bounced") });
  expect(await describeMessage(database, id)).toEqual(message);
  const { stdout } = await run(["show", id], on(database));
  expect(stdout).toMatch(/report at \S+ for Ann@example.com: bounced \(mx.example.com\): 550 5.1.1/);
  // Nobody is listed who was not to be.
  expect(await database.sql`select from mailchute.suppression`).toHaveLength(0);
});

test("a delay, a delivery and a complaint are on record, and change no state", async () => {
  await using database = await createDatabase();
  const id = await sent(database);
  const delay = { address: "ann@example.com", action: "delayed", status: "4.4.1", diagnostic: "smtp; timed out" };
  await run(["bounce"], on(database), reportOf(id, delay));
  await run(
    ["bounce"],
    on(database),
    reportOf(id, { address: "ann@example.com", action: "delivered", status: "2.0.0" }),
  );
  await run(["bounce"], on(database), reportOf(id, { address: "ann@example.com", action: "relayed", status: "2.0.0" }));
  await run(["bounce"], on(database), complaintOf(id, "not-spam"));
  await run(["bounce"], on(database), complaintOf(id));
  const { state, events } = await describeMessage(database, id) as unknown as { state: string; events: object[] };
  expect(state).toBe("sent");
  expect(events).toMatchObject([
    { type: "delayed", enhanced: "4.4.1", reply: "timed out" },
    { type: "delivered" },
    { type: "complained", reply: "Feedback-Type: abuse", reporter: "SomeGenerator/1.0" },
  ]);
});

test("who alone was written to is meant by the address that the mail was passed on to; of several nobody is, whom it does not name", async () => {
  await using database = await createDatabase();
  const one = await sent(database);
  await run(["bounce"], on(database), reportOf(one, { address: "ann@home.example" }));
  expect(await describeMessage(database, one)).toMatchObject({ state: "bounced" });
  const two = await sent(database, ["ann@example.com", "bob@example.com"]);
  const { code, stderr } = await run(["bounce"], on(database), reportOf(two, { address: "ann@home.example" }));
  expect({ code, stderr }).toEqual({
    code: 0,
    stderr: `Nothing was taken in: the report is about nobody whom ${two} was sent to.\n`,
  });
  expect(await describeMessage(database, two)).toMatchObject({ state: "sent", events: [] });
});

test("--suppress lists whom RELAY_ON_BOUNCE names and who complains, for the app of the mail, and needs that setting", async () => {
  await using database = await createDatabase();
  const env = { ...on(database), RELAY_ON_BOUNCE: "hard=suppress for 30d, soft=suppress after 2 in 7d for 1d" };
  const take = async (report: string) => await run(["bounce", "--suppress"], env, report);
  await take(reportOf(await sent(database, "hard@example.com"), { address: "hard@example.com" }));
  // Policy says nothing of the address.
  const policy = { address: "policy@example.com", status: "5.7.1" };
  await take(reportOf(await sent(database, "policy@example.com"), policy));
  const full = { address: "full@example.com", status: "5.2.2", diagnostic: "smtp; 552 5.2.2 mailbox full" };
  const report = reportOf(await sent(database, "full@example.com"), full);
  await take(report);
  await take(report);
  expect(await listed(database)).toEqual([["hard@example.com", "bounce", 30]]);
  await take(reportOf(await sent(database, "full@example.com"), full));
  await take(complaintOf(await sent(database, "cross@example.com")));
  expect(await listed(database)).toEqual([
    ["cross@example.com", "complaint", null],
    ["full@example.com", "bounce", 1],
    ["hard@example.com", "bounce", 30],
  ]);
  const without = await run(["bounce", "--suppress"], on(database), report);
  expect(without).toMatchObject({ code: 75, stderr: expect.stringContaining("RELAY_ON_BOUNCE") });
});

test(
  "--suppress lists whom a report names that was taken in before without it, and nobody again whom a person took off",
  async () => {
    await using database = await createDatabase();
    const env = { ...on(database), RELAY_ON_BOUNCE: "hard=suppress for 30d" };
    const report = reportOf(await sent(database, "hard@example.com"), { address: "hard@example.com" });
    const complaint = complaintOf(await sent(database, "cross@example.com"));
    for (const each of [report, complaint]) await run(["bounce"], on(database), each);
    expect(await listed(database)).toEqual([]);
    const again = await run(["bounce", "--suppress"], env, report);
    expect(again).toMatchObject({ code: 0, stdout: expect.stringContaining("as was known") });
    await run(["bounce", "--suppress"], env, complaint);
    expect(await listed(database)).toEqual([["cross@example.com", "complaint", null], [
      "hard@example.com",
      "bounce",
      30,
    ]]);
    await run(["suppress", "hard@example.com", "--remove"], on(database));
    await run(["bounce", "--suppress"], env, report);
    expect(await listed(database)).toEqual([["cross@example.com", "complaint", null]]);
  },
  30_000,
);

async function listed(database: TestDatabase) {
  const rows = await database.sql`
    select s.address, s.reason, round(extract(epoch from s.until - now()) / 86400)::int as days
    from mailchute.suppression s where s.scope in (select 'app:' || m.app from mailchute.message m) order by 1`;
  return rows.map(({ address, reason, days }) => [address, reason, days]);
}

test("a role with the rights of a relay, and no more, takes reports in and lists", async () => {
  await using database = await createDatabase();
  const role = newRole();
  const url = await database.as(role);
  await database.sql.unsafe(`grant mailchute_relay to ${role}`);
  const env = { DATABASE_URL: url, RELAY_ON_BOUNCE: "hard=suppress, soft=suppress after 2 in 7d" };
  const report = reportOf(await sent(database, "hard@example.com"), { address: "hard@example.com" });
  expect(await run(["bounce", "--suppress"], env, report)).toMatchObject({ code: 0, stderr: "" });
  expect(await run(["bounce", "--suppress"], env, complaintOf(await sent(database)))).toMatchObject({ code: 0 });
  expect(await listed(database)).toEqual([["ann@example.com", "complaint", null], [
    "hard@example.com",
    "bounce",
    null,
  ]]);
});

test("what is tried again after a report and refused anew is news; a report of what waits changes nothing but the record", async () => {
  await using database = await createDatabase();
  const id = await sent(database);
  const report = reportOf(id, { address: "ann@example.com" });
  await run(["bounce"], on(database), report);
  await run(["retry", id], on(database));
  expect(await run(["bounce"], on(database), report)).toMatchObject({
    stdout: expect.stringContaining("as was known, now queued"),
  });
  await using server = await startScriptedServer();
  await makeDue(database);
  await using running = await openTestRelay(database, { smtpPort: server.port });
  await running.relay.runOnce();
  expect(await describeMessage(database, id)).toMatchObject({ state: "sent", recipients: [{ code: 250 }] });
  expect(await run(["bounce"], on(database), report)).toMatchObject({
    stdout: expect.stringContaining("bounced, now bounced"),
  });
});

test("a report that is faster than the relay, which has not written yet that the mail is sent, is to be tried again", async () => {
  await using database = await createDatabase();
  await using server = await startHeldServer();
  const id = await enqueue(database);
  await using running = await openTestRelay(database, { smtpPort: server.port });
  running.relay.start();
  await server.reached;
  const report = reportOf(id, { address: "ann@example.com" });
  const early = await run(["bounce"], on(database), report);
  expect(early).toMatchObject({ code: 75, stdout: "", stderr: expect.stringContaining("is being sent just now") });
  server.release();
  await until(async () => (await describeMessage(database, id)).state === "sent", "on record");
  expect(await run(["bounce"], on(database), report)).toMatchObject({
    code: 0,
    stdout: expect.stringContaining("bounced, now bounced"),
  });
});

test("the mail is looked for in every database; while one of them is away, the mail server is to try again", async () => {
  await using home = await createDatabase();
  await using shop = await createDatabase();
  const id = await sent(shop);
  const report = reportOf(id, { address: "ann@example.com" });
  const away = { DATABASE_URL_SHOP: "postgres://relay:secret@127.0.0.1:1/shop" };
  const { code, stdout, stderr } = await run(["bounce"], { ...on(home), ...away }, report);
  expect({ code, stdout }).toEqual({ code: 75, stdout: "" });
  expect(stderr).toContain("127.0.0.1:1/shop");
  expect(stderr).not.toContain("secret");
  expect(await run(["bounce"], { ...on(home), DATABASE_URL_SHOP: shop.url }, report)).toMatchObject({
    code: 0,
    stdout: expect.stringContaining("now bounced"),
  });
});

test("what is no report, or of no mail here, is taken from the mail server with 0 and said; every trouble of ours is 75", async () => {
  await using database = await createDatabase();
  for (
    const [mail, words] of [
      ["Subject: Out of office\nAuto-Submitted: auto-replied\n\nI am back on Monday.\n", "this is no report"],
      ["", "this is no report"],
      [reportOf("not-one-of-ours", { address: "ann@example.com" }), "names no mail of mailchute"],
      [reportOf(UNKNOWN_ID, { address: "ann@example.com" }), `no mail here is called ${UNKNOWN_ID}`],
      [reportOf(UNKNOWN_ID), "says nothing of a recipient"],
    ] as const
  ) {
    const { code, stdout, stderr } = await run(["bounce"], on(database), mail);
    expect({ code, stdout }).toEqual({ code: 0, stdout: "" });
    expect(stderr).toContain(words);
  }
  const mail = reportOf(UNKNOWN_ID, { address: "ann@example.com" });
  for (const words of [["bounce", "file.eml"], ["bounce", "--supress"], ["bounce", "--database", "other"]]) {
    expect((await run(words, on(database), mail)).code).toBe(75);
  }
  expect((await run(["bounce"], { DATABASE_URL: "mysql://here" }, mail)).code).toBe(75);
});
