import { expect, test } from "bun:test";
import { createDatabase, type TestDatabase } from "../database.ts";
import { describeMessage, enqueue, openTestRelay } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";

// An address that comes onto the suppression list while its mail waits.

async function suppress(database: TestDatabase, address: string, scope: string): Promise<void> {
  await database
    .sql`insert into mailchute.suppression (address, scope, reason) values (${address}, ${scope}, 'complaint')`;
}

test("a mail whose address was suppressed after it was enqueued ends as suppressed, without an attempt, and the others go", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  const both = await enqueue(database, { to: ["Ann@Example.com", "bob@example.com"] });
  const alone = await enqueue(database, { to: "ann@example.com" });
  await suppress(database, "ann@example.com", "all");
  await using running = await openTestRelay(database, { smtpPort: server.port });
  expect(await running.relay.runOnce()).toMatchObject({ waiting: 0, leased: 0 });
  expect(server.mails.flatMap(({ recipients }) => recipients)).toEqual(["bob@example.com"]);
  expect(await describeMessage(database, both)).toMatchObject({
    recipients: [{ state: "suppressed", reason: "On the suppression list: complaint" }, { state: "sent" }],
  });
  expect(await describeMessage(database, alone)).toMatchObject({ state: "suppressed", attempts: [] });
  expect(await database.sql`select from mailchute.queue`).toHaveLength(0);
  expect(running.relay.counters.byKind.get("suppressed")).toBe(2);
  expect(running.lines.filter((line) => line.includes("not reached"))).toHaveLength(2);
});

test("a scope is an app, a stream or senders; one that ends later keeps back until then, one that has ended, or is another's, nothing", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  const send = (to: string, more = {}) => enqueue(database, { to, ...more });
  const [app, later, stream, sender] = [
    await send("app@example.com"),
    await send("later@example.com"),
    await send("stream@example.com", { stream: "bulk" }),
    await send("sender@example.com", { from: "News@Shop.example" }),
  ];
  for (const name of ["otherapp", "otherstream", "nostream", "othersender", "ended"]) await send(`${name}@example.com`);
  const [{ name } = {}] = await database.sql`select session_user as name`;
  await suppress(database, "app@example.com", `app:${name}`);
  await suppress(database, "stream@example.com", "stream:bulk");
  await suppress(database, "sender@example.com", "sender:*@shop.example");
  await suppress(database, "otherapp@example.com", "app:shop");
  await suppress(database, "otherstream@example.com", "stream:news");
  await suppress(database, "nostream@example.com", "stream:");
  await suppress(database, "othersender@example.com", "sender:*@shop.example");
  for (const [name, from] of [["ended", -1], ["later", 60]] as const) {
    await suppress(database, `${name}@example.com`, "all");
    await database.sql`
      update mailchute.suppression set until = now() + make_interval(secs => ${from}) where address = ${`${name}@example.com`}`;
  }
  await using running = await openTestRelay(database, { smtpPort: server.port });
  await running.relay.runOnce();
  for (const id of [app, later, stream, sender]) {
    expect(await describeMessage(database, id)).toMatchObject({ state: "suppressed" });
  }
  expect(server.mails.flatMap(({ recipients }) => recipients).sort()).toEqual([
    "ended@example.com",
    "nostream@example.com",
    "otherapp@example.com",
    "othersender@example.com",
    "otherstream@example.com",
  ]);
});
