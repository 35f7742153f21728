import { expect, test } from "bun:test";
import { run } from "../command.ts";
import { createDatabase } from "../database.ts";
import { openTestRelay } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";
import { connectAs, newRole, refusal, send } from "./role.ts";

test("a role with mailchute_relay alone runs a whole relay", async () => {
  await using server = await startScriptedServer({
    on: { rcpt: (address) => address.startsWith("b") ? "550 5.1.1 no such user" : undefined },
  });
  await using database = await createDatabase();
  const role = newRole();
  const url = await database.as(role);
  await database.sql.unsafe(`grant mailchute_relay to ${role}`);
  const attachment = { filename: "a.txt", contentType: "text/plain", base64: "YQ==" };
  const sent = await send(database.sql, { attachments: [attachment] });
  const bounced = await send(database.sql, { to: "b@example.com" });
  await using running = await openTestRelay({ ...database, url }, { smtpPort: server.port, rate: "1/s" });
  expect(await running.relay.runOnce()).toEqual({ waiting: 0, leased: 0 });
  for (const [id, state] of [[sent, "sent"], [bounced, "bounced"]] as const) {
    const [status] = await database.sql`select mailchute.status_v1(${id}) ->> 'state' as state`;
    expect(status?.state).toBe(state);
  }
  expect(running.lines.filter((line) => /permission denied|upkeep failed/.test(line))).toEqual([]);
});

test("a viewer reads states and attempts, but no content, and changes nothing", async () => {
  await using database = await createDatabase();
  const role = newRole();
  await using viewer = await connectAs(database, role);
  await database.sql.unsafe(`grant mailchute_viewer to ${role}`);
  const id = await send(database.sql);
  const env = { DATABASE_URL: await database.as(role) };
  for (const words of [["status"], ["list"], ["show", id]]) {
    const { code, stdout } = await run(words, env);
    expect({ words, code }).toEqual({ words, code: 0 });
    expect(stdout).toContain(words[0] === "status" ? "1 queued" : id);
  }
  const [seen] = await viewer`select state from mailchute.recipient`;
  expect(seen?.state).toBe("queued");
  for (
    const statement of [
      "select subject from mailchute.content",
      "select bytes from mailchute.attachment",
      "update mailchute.recipient set state = 'sent'",
      "delete from mailchute.queue",
      `select mailchute.cancel_message(1, 'x')`,
      `select mailchute.retry_message(1, true)`,
      `select mailchute.settle_as_sent(1, null)`,
      "insert into mailchute.suppression (address, reason) values ('a@b', 'x')",
    ]
  ) {
    expect({ statement, code: (await refusal(viewer.unsafe(statement))).code }).toEqual({ statement, code: "42501" });
  }
});

test("a role without mailchute_relay, a viewer's or an admin's too, cannot run a relay and is told the grant", async () => {
  await using database = await createDatabase();
  for (const group of [undefined, "mailchute_client", "mailchute_viewer", "mailchute_admin"]) {
    const role = newRole();
    const url = await database.as(role);
    if (group !== undefined) await database.sql.unsafe(`grant ${group} to ${role}`);
    const refused = await refusal(openTestRelay({ ...database, url }, { smtpPort: 1 }));
    expect({ group, message: refused.message }).toMatchObject({
      group,
      message: expect.stringContaining(`runs: grant mailchute_relay to ${role}`),
    });
  }
});
