import { expect, test } from "bun:test";
import { beginPause, endPause } from "../../relay/limits/pause_table.ts";
import { createDatabase } from "../database.ts";
import { describeMessage, enqueue, openTestRelay, until } from "../relay.ts";
import { type ScriptedServer, startScriptedServer } from "../scripted_server.ts";

function recipientsOf(server: ScriptedServer): readonly string[] {
  return server.mails.flatMap(({ recipients }) => recipients).sort();
}

test("a stream's mails take the stream's route, all of their recipients, and other mails take theirs", async () => {
  await using internal = await startScriptedServer();
  await using provider = await startScriptedServer();
  await using database = await createDatabase();
  const bulk = await enqueue(database, { stream: "bulk", to: ["ann@corp.example", "bob@example.net"] });
  await enqueue(database, { stream: "news", to: "carl@corp.example" });
  await enqueue(database, { to: "dora@corp.example" });
  await using running = await openTestRelay(database, {
    routes: { internal: internal.port, provider: provider.port },
    rules: "stream:bulk=provider, *=internal",
  });
  expect(await running.relay.runOnce()).toMatchObject({ waiting: 0, leased: 0 });
  expect(recipientsOf(provider)).toEqual(["ann@corp.example", "bob@example.net"]);
  expect(recipientsOf(internal)).toEqual(["carl@corp.example", "dora@corp.example"]);
  expect(await describeMessage(database, bulk)).toMatchObject({
    state: "sent",
    stream: "bulk",
    attempts: [{ number: 1, route: "provider" }, { number: 1, route: "provider" }],
  });
});

test("a stream's rate holds its mails back and nobody else's, and costs them no attempt", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  const ids: string[] = [];
  for (let number = 0; number < 6; number++) {
    ids.push(await enqueue(database, { stream: "bulk", to: [`b${number}@example.com`, `c${number}@example.com`] }));
  }
  await using running = await openTestRelay(database, { smtpPort: server.port, rate: "stream:bulk=2/h" });
  running.relay.start();
  await server.whenMails(2);
  for (let number = 0; number < 5; number++) await enqueue(database, { to: `o${number}@example.com` });
  await enqueue(database, { stream: "other", to: "o5@example.com" });
  await server.whenMails(8);
  expect(recipientsOf(server).filter((address) => address.startsWith("o"))).toHaveLength(6);
  const held = async () => {
    const shown = await Promise.all(ids.map((id) => describeMessage(database, id)));
    return shown.filter(({ state }) => state === "queued");
  };
  await until(
    async () => (await held()).every(({ recipients }) => recipients[0]?.reason?.includes("stream:bulk=2/h")),
    "they wait",
  );
  expect(await held()).toHaveLength(4);
  for (const { recipients, attempts } of await held()) {
    expect(recipients.map(({ reason }) => reason)).toEqual(
      Array(2).fill("Waits for its turn: the limit is stream:bulk=2/h"),
    );
    expect(attempts).toEqual([]);
  }
  expect(running.relay.reachedLimits().map(({ limit }) => limit)).toEqual(["stream:bulk=2/h"]);
}, 60_000);

test("a batch that is paused waits, whatever the others do, and goes out when it is resumed", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  const begin = async (name: string) => {
    const request = {
      ...{ id: crypto.randomUUID(), batch: name },
      mail: { from: { email: "shop@example.com" }, subject: "News", text: "News" },
      recipients: [[`${name}1@example.com`, null, null, null], [`${name}2@example.com`, null, null, null]],
    };
    await database.sql`select * from mailchute.enqueue_many_v1(${JSON.stringify(request)}::text::jsonb)`;
    return request.id;
  };
  const key = `batch=${await begin("paused")}`;
  await begin("other");
  await beginPause(database.sql, { key, reason: "a wrong link" });
  await using running = await openTestRelay(database, { smtpPort: server.port });
  running.relay.start();
  await server.whenMails(2);
  const waiting = () =>
    database.sql`select from mailchute.queue where throttle = ${`paused:${key}`} and leased_by is null`;
  await until(async () => (await waiting()).length === 2, "parked");
  expect(recipientsOf(server)).toEqual(["other1@example.com", "other2@example.com"]);
  await endPause(database.sql, key);
  await server.whenMails(4);
  expect(recipientsOf(server).slice(2)).toEqual(["paused1@example.com", "paused2@example.com"]);
});
