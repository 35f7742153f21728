import { expect, test } from "bun:test";
import postgres from "postgres";
import { createMailer } from "../../mod.ts";
import { rejects } from "../client/cases.ts";
import { createDatabase } from "../database.ts";
import { on, run } from "../command.ts";
import { openTestRelay } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";

test("several SMTP accounts and tenants", async () => {
  await using shopServer = await startScriptedServer();
  await using newsServer = await startScriptedServer();
  await using database = await createDatabase();
  await using other = await createDatabase();
  const mailers = [];
  const connections: postgres.Sql[] = [];
  // Two tenants in one database, the third in one of its own.
  for (const [name, home] of [["shop", database], ["news", database], ["crm", other]] as const) {
    const url = await home.as(`tenant_${name}`);
    const ran = await run(["grants", `tenant_${name}`, "--app", name, "--from", `*@${name}.example`], on(home));
    expect(ran).toMatchObject({ code: 0 });
    const sql = postgres(url, { onnotice: () => {} });
    connections.push(sql);
    mailers.push(createMailer(sql, { from: `hello@${name}.example` }));
  }
  const [shop, news, crm] = mailers;
  if (shop === undefined || news === undefined || crm === undefined) throw new Error("A tenant is missing");
  await using running = await openTestRelay(database, {
    routes: { shop: shopServer.port, news: newsServer.port },
    rules: "from:news.example=news, *=shop",
    others: { other },
  });
  running.relay.start();
  const message = { to: "ann@example.com", subject: "Hello", text: "!" };
  const sent = [];
  for (const mail of [shop, news, crm]) {
    const { id } = await mail.send(message);
    sent.push(await mail.wait(id));
  }
  expect(sent.map(({ app, attempts }) => [app, attempts[0]?.route])).toEqual([
    ...[["shop", "shop"], ["news", "news"], ["crm", "shop"]],
  ]);
  expect(newsServer.mails.map(({ reversePath }) => reversePath)).toEqual(["hello@news.example"]);
  expect(shopServer.mails.map(({ reversePath }) => reversePath)).toEqual(["hello@shop.example", "hello@crm.example"]);
  // Nobody sends as somebody else, or asks about the mail of others.
  await rejects(shop.send({ ...message, from: "hello@news.example" }), "sender_not_allowed");
  expect(await shop.get(sent[1]?.id as string)).toBeUndefined();
  expect(await shop.cancel(sent[1]?.id as string)).toBe("unknown");
  for (const sql of connections) await sql.end({ timeout: 1 });
});
