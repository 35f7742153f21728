import { expect, test } from "bun:test";
import { createDatabase } from "../database.ts";
import { run } from "../command.ts";
import { startRelayProcess, temporaryDirectory } from "../relay_process.ts";
import { describeMessage, enqueue, makeDue, openTestRelay } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";

// A test system must not write to people.

const MAIL = {
  to: ["Ann <ann@example.com>", "bob@example.net"],
  cc: "carl@example.org",
  bcc: "eve@example.org",
  headers: [["X-Shop", "1"]],
};
const DONE = { waiting: 0, leased: 0 };

function headerOf(content: string | undefined, name: string): string | undefined {
  const unfolded = (content ?? "").split("\r\n\r\n")[0]?.replaceAll(/\r\n[ \t]/g, " ") ?? "";
  return unfolded.split("\r\n").find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
}

test("redirected, one copy goes to the new address, says whom it was for, and its outcome is that of all recipients", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  const id = await enqueue(database, MAIL);
  const safety = { redirectTo: ["qa@corp.example"], environment: "staging" };
  await using running = await openTestRelay(database, { smtpPort: server.port, safety });
  expect(await running.relay.runOnce()).toEqual(DONE);

  expect(server.mails.map(({ recipients }) => recipients)).toEqual([["qa@corp.example"]]);
  const content = server.mails[0]?.content;
  expect(headerOf(content, "To")).toBe("qa@corp.example");
  expect(headerOf(content, "Cc")).toBeUndefined();
  expect(headerOf(content, "Subject")).toBe("[staging] Hello");
  expect(headerOf(content, "X-Shop")).toBe("1");
  expect(headerOf(content, "X-Mailchute-Original-Recipients")).toBe(
    "to ann@example.com, to bob@example.net, cc carl@example.org, bcc eve@example.org",
  );
  const { state, recipients, attempts } = await describeMessage(database, id);
  expect(state).toBe("sent");
  expect(recipients.map(({ address, state }) => [address, state])).toEqual([
    ["ann@example.com", "sent"],
    ["bob@example.net", "sent"],
    ["carl@example.org", "sent"],
    ["eve@example.org", "sent"],
  ]);
  expect(recipients[0]?.reason).toBe("Sent to qa@corp.example in its place (RELAY_REDIRECT_TO)");
  expect(attempts).toHaveLength(4);
});

test("a copy that is deferred and then refused makes each recipient deferred and then bounced, and knocks once each time", async () => {
  const replies = ["451 4.3.0 later", "550 5.1.1 no such user"];
  await using server = await startScriptedServer({ on: { rcpt: () => replies.shift() } });
  await using database = await createDatabase();
  const id = await enqueue(database, MAIL);
  const safety = { redirectTo: ["qa@corp.example"] };
  await using running = await openTestRelay(database, { smtpPort: server.port, safety });
  await running.relay.runOnce();
  expect((await describeMessage(database, id)).recipients.map(({ state }) => state)).toEqual(Array(4).fill("deferred"));
  await makeDue(database);
  await using again = await openTestRelay(database, { smtpPort: server.port, safety });
  await again.relay.runOnce();
  const { recipients } = await describeMessage(database, id);
  expect(recipients.map(({ state, enhanced }) => [state, enhanced])).toEqual(Array(4).fill(["bounced", "5.1.1"]));
  expect(replies).toEqual([]);
});

test("a copy to several addresses is sent when one of them took it, and does not go to that one again", async () => {
  await using server = await startScriptedServer({
    on: { rcpt: (address) => address === "dev@corp.example" ? "451 4.2.2 full" : undefined },
  });
  await using database = await createDatabase();
  const id = await enqueue(database, { ...MAIL, cc: [], bcc: [] });
  const safety = { redirectTo: ["dev@corp.example", "qa@corp.example"] };
  await using running = await openTestRelay(database, { smtpPort: server.port, safety });
  expect(await running.relay.runOnce()).toEqual(DONE);
  expect(server.mails.map(({ recipients }) => recipients)).toEqual([["qa@corp.example"]]);
  expect(headerOf(server.mails[0]?.content, "To")).toBe("dev@corp.example, qa@corp.example");
  expect((await describeMessage(database, id)).recipients.map(({ state }) => state)).toEqual(["sent", "sent"]);
});

test("the way of a copy is that of the new address", async () => {
  await using internal = await startScriptedServer();
  await using provider = await startScriptedServer();
  await using database = await createDatabase();
  await enqueue(database, MAIL);
  const routes = { internal: internal.port, provider: provider.port };
  const rules = "to:corp.example=internal, *=provider";
  await using running = await openTestRelay(database, { routes, rules, safety: { redirectTo: ["qa@corp.example"] } });
  expect(await running.relay.runOnce()).toEqual(DONE);
  expect(internal.mails).toHaveLength(1);
  expect(provider.mails).toEqual([]);
});

test("who is not allowed is not sent to, and is suppressed with the setting as the reason; the others get the mail as it is", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  const some = await enqueue(database, MAIL);
  const none = await enqueue(database, { to: "ann@corp.example.net" });
  const safety = { allowed: ["*@corp.example", "ANN@example.com", "*@*.org"] };
  await using running = await openTestRelay(database, { smtpPort: server.port, safety });
  expect(await running.relay.runOnce()).toEqual(DONE);
  expect(server.mails.map(({ recipients }) => recipients)).toEqual([
    ["ann@example.com", "carl@example.org", "eve@example.org"],
  ]);
  expect(headerOf(server.mails[0]?.content, "To")).toBe("Ann <ann@example.com>, bob@example.net");
  expect(headerOf(server.mails[0]?.content, "Subject")).toBe("Hello");
  const { recipients } = await describeMessage(database, some);
  expect(recipients[1]).toMatchObject({ state: "suppressed", reason: "It is none of RELAY_ALLOWED_RECIPIENTS" });
  expect((await describeMessage(database, none)).state).toBe("suppressed");
});

test("with both settings, a mail to allowed recipients alone goes as it is, and any other is redirected as a whole", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  await enqueue(database, { to: "ann@corp.example", bcc: "bob@corp.example" });
  await enqueue(database, { to: "ann@corp.example", bcc: "bob@example.net" });
  const safety = { redirectTo: ["qa@corp.example"], allowed: ["*@corp.example"] };
  await using running = await openTestRelay(database, { smtpPort: server.port, safety, connections: 1 });
  expect(await running.relay.runOnce()).toEqual(DONE);
  expect(server.mails.map(({ recipients }) => recipients)).toEqual([
    ["ann@corp.example", "bob@corp.example"],
    ["qa@corp.example"],
  ]);
});

test("somebody who is in To and in Cc is named to the server once, and both have the outcome", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  const id = await enqueue(database, { to: ["ann@example.com", "bob@example.com"], cc: "ann@EXAMPLE.com" });
  await using running = await openTestRelay(database, { smtpPort: server.port });
  expect(await running.relay.runOnce()).toEqual(DONE);
  expect(server.mails.map(({ recipients }) => recipients)).toEqual([["ann@example.com", "bob@example.com"]]);
  const { recipients, attempts } = await describeMessage(database, id);
  expect(recipients.map(({ state }) => state)).toEqual(["sent", "sent", "sent"]);
  expect(attempts).toHaveLength(3);
});

test("the first line of the log and doctor say that this is no production", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  using state = temporaryDirectory();
  const env = {
    DATABASE_URL: database.url,
    SMTP_URL: `smtp://127.0.0.1:${server.port}?tls=none`,
    RELAY_STATE_DIR: state.path,
    RELAY_REDIRECT_TO: "qa@corp.example",
    RELAY_ENVIRONMENT: "staging",
    PORT: "0",
  };
  await using relay = startRelayProcess(["run", "--once"], env);
  expect(await relay.exited).toBe(0);
  const [first] = relay.output().split("\n");
  expect(first).toContain("ALL MAIL IS REDIRECTED to q**@corp.example");
  expect(first).toContain("subjects begin with [staging]");
  const { stdout } = await run(["doctor"], env);
  expect(stdout).toContain("warn  not production  ALL MAIL IS REDIRECTED to qa@corp.example");
}, 60_000);
