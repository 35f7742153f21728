import { expect, test } from "bun:test";
import { saveSuppressions } from "../../relay/suppression/table.ts";
import { startDatabaseProxy } from "../database_proxy.ts";
import { createDatabase, type TestDatabase } from "../database.ts";
import { describeMessage, enqueue, openTestRelay, type TestRelay, until } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";

// What the home database says of all apps holds in the other databases of a relay.

/** Longer than a test: whatever comes sooner was rung for. */
const LONG_POLL_MS = 60_000;

async function suppress({ sql }: TestDatabase, address: string): Promise<void> {
  await saveSuppressions(sql, [{ address, scope: "all", reason: "manual", until: undefined, createdAt: undefined }]);
}

/** Resolves when these stand in a database as copies, and no others. */
async function untilCopied({ sql }: TestDatabase, ...addresses: readonly string[]): Promise<void> {
  await until(async () => {
    const rows = await sql`select address from mailchute.suppression where origin <> 'here' order by address`;
    return rows.map(({ address }) => address).join() === addresses.join();
  }, `copied: ${addresses}`);
}

async function untilListening({ relay }: TestRelay): Promise<void> {
  await until(
    () => new Promise((resolve) => setImmediate(() => resolve(relay.stations[0]?.listening === true))),
    "listening",
  );
}

test(
  "who is suppressed at home gets nothing from the other databases, at once, and gets mail again when that has ended",
  async () => {
    await using server = await startScriptedServer();
    await using home = await createDatabase();
    await using shop = await createDatabase();
    await using news = await createDatabase();
    const others = { shop, news };
    await suppress(home, "ann@example.com");
    await using running = await openTestRelay(home, { smtpPort: server.port, others, pollMs: LONG_POLL_MS });
    running.relay.start();
    await untilListening(running);
    await untilCopied(shop, "ann@example.com");
    // One that waits, and comes onto the list meanwhile.
    const waiting = await enqueue(shop, { to: "bob@example.com", scheduledAt: new Date(Date.now() + 86_400_000) });
    await suppress(home, "bob@example.com");
    for (const database of [shop, news]) await untilCopied(database, "ann@example.com", "bob@example.com");
    const state = async (database: TestDatabase, id: string) => (await describeMessage(database, id)).state;
    expect(await state(shop, await enqueue(shop))).toBe("suppressed");
    await shop.sql`update mailchute.queue set due = now()`;
    await shop.sql`notify mailchute`;
    await until(async () => await state(shop, waiting) === "suppressed", "the one that waited is suppressed");
    await home.sql`delete from mailchute.suppression where address = 'ann@example.com'`;
    for (const database of [shop, news]) await untilCopied(database, "bob@example.com");
    const id = await enqueue(news);
    await until(async () => await state(news, id) === "sent", "it is sent");
    expect(server.transcripts.flatMap(({ client }) => client.match(/RCPT TO:<[^>]*>/g) ?? [])).toEqual([
      "RCPT TO:<ann@example.com>",
    ]);
  },
  60_000,
);

test("without a bell it comes at the poll, and two relays with the same home keep one copy", async () => {
  await using server = await startScriptedServer();
  await using home = await createDatabase();
  await using shop = await createDatabase();
  const options = { smtpPort: server.port, others: { shop }, pollMs: 100 };
  await using one = await openTestRelay(home, options);
  await using two = await openTestRelay(home, options);
  for (const { relay } of [one, two]) relay.start();
  // As behind a pooler: nobody rings.
  await home.sql.unsafe(
    "create or replace function mailchute.note_suppression() returns trigger language plpgsql as $$ begin new.changed := pg_current_xact_id(); return new; end $$",
  );
  const names = Array.from({ length: 30 }, (_, index) => `u${index + 10}@example.com`);
  for (const name of names) await suppress(home, name);
  await untilCopied(shop, ...names);
  await home.sql`delete from mailchute.suppression where address <> 'u10@example.com'`;
  await untilCopied(shop, "u10@example.com");
  expect(await shop.sql`select from mailchute.suppression_copy`).toHaveLength(1);
  expect([...one.lines, ...two.lines].filter((line) => line.includes("are not copied"))).toEqual([]);
}, 60_000);

test.each(["home", "shop"] as const)(
  "while %s is away mail goes out of the other, and what has changed is copied after that",
  async (side) => {
    await using server = await startScriptedServer();
    await using home = await createDatabase();
    await using shop = await createDatabase();
    const away = { home, shop }[side];
    await using proxy = await startDatabaseProxy(away.url);
    const urls = { home: { url: home.url }, shop: { url: shop.url }, [side]: { url: proxy.url } };
    await suppress(home, "ann@example.com");
    await using running = await openTestRelay(urls.home, {
      smtpPort: server.port,
      others: { shop: urls.shop },
      pollMs: 200,
    });
    running.relay.start();
    await untilCopied(shop, "ann@example.com");
    proxy.refuse();
    await suppress(home, "bob@example.com");
    const there = side === "home" ? shop : home;
    const ids = [await enqueue(there, { to: "carl@example.com" }), await enqueue(there)];
    const states = async () =>
      (await Promise.all(ids.map((id) => describeMessage(there, id)))).map(({ state }) => state);
    await until(async () => (await states()).join() === "sent,suppressed", "what was copied last holds");
    proxy.pass();
    await untilCopied(shop, "ann@example.com", "bob@example.com");
    expect(running.lines.filter((line) => line.includes("are not copied"))).toEqual([]);
  },
  60_000,
);

test("run --once copies before it claims", async () => {
  await using server = await startScriptedServer();
  await using home = await createDatabase();
  await using shop = await createDatabase();
  const id = await enqueue(shop);
  await suppress(home, "ann@example.com");
  await using running = await openTestRelay(home, { smtpPort: server.port, others: { shop } });
  await running.relay.runOnce();
  expect((await describeMessage(shop, id)).state).toBe("suppressed");
}, 60_000);
