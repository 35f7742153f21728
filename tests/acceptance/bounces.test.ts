import { expect, test } from "bun:test";
import { parseBounceRules } from "../../relay/settings/bounces.ts";
import { createDatabase, type TestDatabase } from "../database.ts";
import { on, run } from "../command.ts";
import { describeMessage, enqueue, makeDue, openTestRelay, type TestRelayOptions } from "../relay.ts";
import { connectAs, newRole, send } from "../schema/role.ts";
import { type ScriptedServer, startScriptedServer } from "../scripted_server.ts";

// RELAY_ON_BOUNCE: what an address has to say before its app writes to it no more.

const RULES = "hard=suppress, soft=suppress after 3 in 7d for 30d";

/** A server that answers RCPT for a local part such as `550-5.1.1` with that. */
function startCandidServer(): Promise<ScriptedServer> {
  return startScriptedServer({
    on: {
      rcpt: (address) => {
        const [code, enhanced] = address.split(/[@+]/)[0]?.split("-") ?? [];
        return /^[45]\d\d$/.test(code ?? "") ? `${code} ${enhanced === undefined ? "" : `${enhanced} `}no` : undefined;
      },
    },
  });
}

async function suppressions(database: TestDatabase) {
  const rows = await database.sql`
    select address, scope, reason, round(extract(epoch from until - now()) / 86400)::int as days from mailchute.suppression order by address`;
  return rows.map(({ address, scope, reason, days }) => [address, scope, reason, days]);
}

async function drain(database: TestDatabase, server: ScriptedServer, options: Partial<TestRelayOptions> = {}) {
  await using running = await openTestRelay(database, {
    smtpPort: server.port,
    onBounce: parseBounceRules(RULES),
    ...options,
  });
  expect(await running.relay.runOnce()).toEqual({ waiting: 0, leased: 0 });
}

test("an address without a mailbox is suppressed for the app at once; policy, the server and unclear replies suppress nobody", async () => {
  await using server = await startCandidServer();
  await using database = await createDatabase();
  const to = [
    "550-5.1.1@Example.com",
    "550-5.7.1@example.com",
    "554-5.3.0@example.com",
    "550-5.4.4@example.com",
    "550@example.com",
    "ok@example.com",
  ];
  const id = await enqueue(database, { to });
  await drain(database, server);
  const [app] = await database.sql`select app from mailchute.message`;
  expect(await suppressions(database)).toEqual([["550-5.1.1@example.com", `app:${app?.app}`, "bounce", null]]);
  const next = await enqueue(database, { to: "550-5.1.1@example.com" });
  const { recipients } = await describeMessage(database, next);
  expect(recipients).toMatchObject([{ state: "suppressed", reason: "On the suppression list: bounce" }]);
  const { stdout } = await run(["show", id], on(database));
  expect(stdout).toContain("on the suppression list now: 550-5.1.1@example.com (bounce), for this app, for good");
});

test("soft bounces suppress when there are enough of them in the time, for the time; those before it do not count", async () => {
  await using server = await startCandidServer();
  await using database = await createDatabase();
  for (let count = 1; count <= 2; count++) await enqueue(database, { to: "550-5.2.2@example.com" });
  await drain(database, server);
  expect(await suppressions(database)).toEqual([]);
  await database.sql`update mailchute.bounce set at = now() - interval '8 days'`;
  for (let count = 1; count <= 2; count++) await enqueue(database, { to: "550-5.2.2@EXAMPLE.com" });
  await drain(database, server);
  expect(await suppressions(database)).toEqual([]);
  await enqueue(database, { to: "550-5.2.2@example.com" });
  await drain(database, server);
  expect(await suppressions(database)).toMatchObject([["550-5.2.2@example.com", expect.any(String), "bounce", 30]]);
});

test("a mail that a person tries again and that is refused again counts once", async () => {
  await using server = await startCandidServer();
  await using database = await createDatabase();
  const onBounce = parseBounceRules("soft=suppress after 2 in 7d");
  const id = await enqueue(database, { to: "550-5.2.2@example.com" });
  for (let count = 1; count <= 2; count++) {
    await drain(database, server, { onBounce });
    expect(await suppressions(database)).toEqual([]);
    await run(["retry", id], on(database));
  }
  await drain(database, server, { onBounce });
  await enqueue(database, { to: "550-5.2.2@example.com" });
  await drain(database, server, { onBounce });
  expect(await suppressions(database)).toMatchObject([["550-5.2.2@example.com", expect.any(String), "bounce", null]]);
});

test("a mail that was put off counts when it expires, and not when it goes out in the end", async () => {
  let isFull = true;
  await using server = await startScriptedServer({ on: { rcpt: () => isFull ? "452 4.2.2 full" : undefined } });
  await using database = await createDatabase();
  for (let count = 1; count <= 4; count++) await enqueue(database);
  const options = { maxAgeMs: 3_600_000 };
  await drain(database, server, options);
  const kinds = async () =>
    (await database.sql`select kind from mailchute.bounce order by seq`).map(({ kind }) => kind);
  expect(await kinds()).toEqual(["delayed", "delayed", "delayed", "delayed"]);
  isFull = false;
  await database.sql`update mailchute.message set created_at = now() - interval '2 hours' where seq > 1`;
  await makeDue(database);
  await drain(database, server, options);
  expect(server.mails).toHaveLength(1);
  expect(await kinds()).toEqual(["delayed", "soft", "soft", "soft"]);
  expect(await suppressions(database)).toMatchObject([["ann@example.com", expect.any(String), "bounce", 30]]);
});

test("what is on the list for good stays so and becomes a bounce, which no mail may override; what is longer than before is longer", async () => {
  await using database = await createDatabase();
  // Onto the list while the mail is on the wire: before, it would not be tried.
  let list: () => Promise<unknown> = () => Promise.resolve();
  await using server = await startScriptedServer({
    on: { mail: async () => void await list(), rcpt: (address) => `${address.split("@")[0]?.replace("-", " ")} no` },
  });
  const [app] = await database.sql`select session_user::text as name`;
  const scope = `app:${app?.name}`;
  const to = ["550-5.1.1@example.com", "550-5.1.10@example.com"];
  await enqueue(database, { to });
  list = async () =>
    await database.sql`insert into mailchute.suppression (address, scope, reason, until) values
      (${to[0] as string}, ${scope}, 'manual', null), (${to[
      1
    ] as string}, ${scope}, 'manual', now() + interval '1 day')`;
  await drain(database, server, { onBounce: parseBounceRules("hard=suppress for 30d") });
  expect(await suppressions(database)).toEqual([
    ["550-5.1.10@example.com", scope, "bounce", 30],
    ["550-5.1.1@example.com", scope, "bounce", null],
  ]);
});

test("a word of the address's owner stays what it is after a soft bounce, and an app cannot take off what a hard one has made of its own", async () => {
  await using database = await createDatabase();
  const role = newRole();
  await using app = await connectAs(database, role);
  await database.sql.unsafe(`grant mailchute_client to ${role}`);
  await database.sql`insert into mailchute.app (name, senders, may_override_suppression) values ('shop', '{*}', true)`;
  await database.sql`insert into mailchute.app_role (role, app) values (${role}, 'shop')`;
  await using server = await startCandidServer();
  const [hard, soft] = ["550-5.1.1@example.com", "550-5.2.2@example.com"];
  for (const address of [hard, soft]) await app`select mailchute.suppress_v1(${address}, 'unsubscribe')`;
  for (const to of [[hard, soft], [soft]]) await send(app, { to, overrideSuppression: true });
  await drain(database, server, { onBounce: parseBounceRules("hard=suppress, soft=suppress after 2 in 7d") });
  const expected = [[hard, "app:shop", "bounce", null], [soft, "app:shop", "unsubscribe", null]];
  expect(await suppressions(database)).toEqual(expected);
  const [removed] =
    await app`select mailchute.unsuppress_v1(${hard}) as hard, mailchute.unsuppress_v1(${soft}) as soft`;
  expect({ ...removed }).toEqual({ hard: false, soft: true });
});

test("an app whose open transaction has an address on the list keeps no outcome waiting, of that mail or of others", async () => {
  await using server = await startCandidServer();
  await using database = await createDatabase();
  const held = ["550-5.1.1+a@example.com", "550-5.1.1+b@example.com"];
  const ids = [await enqueue(database, { to: held }), await enqueue(database, { to: "550-5.1.1+c@example.com" })];
  const app = await database.sql.reserve();
  await app`begin`;
  for (const address of held) await app`select mailchute.suppress_v1(${address}, 'manual')`;
  await drain(database, server);
  for (const id of ids) expect((await describeMessage(database, id)).state).toBe("bounced");
  await app`commit`;
  app.release();
  expect((await suppressions(database)).map(([address, , reason]) => [address, reason])).toEqual([
    ["550-5.1.1+a@example.com", "manual"],
    ["550-5.1.1+b@example.com", "manual"],
    ["550-5.1.1+c@example.com", "bounce"],
  ]);
});

test("nothing is written without the setting, nor about the recipients of a mail that was redirected", async () => {
  await using server = await startCandidServer();
  await using database = await createDatabase();
  await enqueue(database, { to: "550-5.1.1@example.com" });
  await drain(database, server, { onBounce: undefined });
  await enqueue(database, { to: "550-5.1.2@example.com" });
  await drain(database, server, { safety: { redirectTo: ["550-5.1.1@corp.example"] } });
  expect(await suppressions(database)).toEqual([]);
  expect(await database.sql`select from mailchute.bounce`).toHaveLength(0);
});

test("a relay's role may write what the rules ask for", async () => {
  await using server = await startCandidServer();
  await using database = await createDatabase();
  await enqueue(database, { to: "550-5.1.1@example.com" });
  const url = await database.as("bounce_relay");
  await database.sql`grant mailchute_relay to bounce_relay`;
  await using running = await openTestRelay({ url }, { smtpPort: server.port, onBounce: parseBounceRules(RULES) });
  expect(await running.relay.runOnce()).toEqual({ waiting: 0, leased: 0 });
  expect(await suppressions(database)).toHaveLength(1);
});
