import { expect, test } from "bun:test";
import { createDatabase } from "../database.ts";
import { describeMessage, enqueue, openTestRelay } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";

const REQUEST = {
  from: "shop@example.com",
  to: ["ann@example.com", "Jörg <jörg@example.com>"],
  replyTo: "größe@example.com",
};

test("a server without SMTPUTF8: who has an ASCII address gets the mail, and who has not bounces with the reason", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  const id = await enqueue(database, REQUEST);
  await using running = await openTestRelay(database, { smtpPort: server.port });
  await running.relay.runOnce();
  const { recipients } = await describeMessage(database, id);
  expect(recipients.map(({ state, reason }) => ({ state, reason }))).toEqual([
    { state: "sent", reason: "taken" },
    { state: "bounced", reason: "The address needs SMTPUTF8, which the server does not offer" },
  ]);
  const [mail] = server.mails;
  expect(mail?.recipients).toEqual(["ann@example.com"]);
  expect(mail?.content).toMatch(/^[\x00-\x7f]*$/);
  expect(mail?.content).toContain("To: ann@example.com, =?UTF-8?Q?J=C3=B6rg_j=C3=B6rg=40example=2Ecom?= :;\r\n");
  expect(mail?.content).toContain("Reply-To: =?UTF-8?Q?gr=C3=B6=C3=9Fe=40example=2Ecom?= :;\r\n");
});

test("a server with SMTPUTF8 is asked for it and gets the addresses as they are", async () => {
  await using server = await startScriptedServer({ offer: ["PIPELINING", "8BITMIME", "SMTPUTF8"] });
  await using database = await createDatabase();
  await enqueue(database, REQUEST);
  // Only the header needs it.
  await enqueue(database, { ...REQUEST, to: "ann@example.com" });
  await using running = await openTestRelay(database, { smtpPort: server.port });
  await running.relay.runOnce();
  expect(server.mails.map(({ parameters }) => parameters)).toEqual(["SMTPUTF8", "SMTPUTF8"]);
  const content = Buffer.from(server.mails[0]?.content ?? "", "latin1").toString("utf8");
  expect(content).toContain("To: ann@example.com, =?UTF-8?Q?J=C3=B6rg?= <jörg@example.com>\r\n");
  expect(content).toContain("Reply-To: größe@example.com\r\n");
});

test("a From address that needs SMTPUTF8 bounces for everybody on a server without it", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  const id = await enqueue(database, { from: "größe@example.com", to: "ann@example.com", returnPath: "b@example.com" });
  await using running = await openTestRelay(database, { smtpPort: server.port });
  await running.relay.runOnce();
  const [recipient] = (await describeMessage(database, id)).recipients;
  expect(recipient).toMatchObject({
    state: "bounced",
    reason: "An address in the header needs SMTPUTF8, which the server does not offer",
  });
  expect(server.mails).toEqual([]);
});
