import { expect, test } from "bun:test";
import { pauseBatch } from "../../relay/limits/pause_table.ts";
import { enqueueBatch } from "../batch.ts";
import { createDatabase } from "../database.ts";
import { on, run } from "../command.ts";
import { enqueue } from "../relay.ts";
import { found, look } from "./setup.ts";

test("what is paused is named, with the command that ends it, and is no failure", async () => {
  await using database = await createDatabase();
  expect(found(await look(database.url), "pauses")).toEqual(["ok: nothing is paused"]);
  await database.sql`
    insert into mailchute.pause (key, reason, by, since)
    values ('stream=bulk', 'a wrong link', 'ops', '2026-11-21T12:00:00Z'), ('domain=example.com', null, 'ops', '2026-11-21T12:00:00Z')`;
  expect(found(await look(database.url), "pauses")).toEqual([
    "warn: mail to example.com is paused since 2026-11-21T12:00:00.000Z by ops → when it may go out: mailchute resume --to-domain example.com",
    "warn: stream bulk is paused since 2026-11-21T12:00:00.000Z by ops (a wrong link) → when it may go out: mailchute resume --stream bulk",
  ]);
});

test("the command that ends the pause of a batch does so from any database, and when the batch is no more", async () => {
  await using home = await createDatabase();
  await using shop = await createDatabase();
  const batch = await enqueueBatch(shop);
  const env = { ...on(home), DATABASE_URL_SHOP: shop.url };
  for (const isThere of [true, false]) {
    await pauseBatch(home.sql, { batch, reason: "many were refused" });
    if (!isThere) await shop.sql`delete from mailchute.batch`;
    const [told = ""] = found(await look(home.url), "pauses");
    expect(told).toEndWith(`→ when it may go out: mailchute batch ${batch} --resume`);
    const ran = await run(told.replace(/^.*mailchute /, "").split(" "), env);
    expect(ran).toEqual({ code: 0, stdout: "", stderr: `batch ${batch}: resumed\n` });
    expect(await home.sql`select from mailchute.pause`).toHaveLength(0);
  }
  expect((await run(["batch", batch, "--resume"], env)).stderr).toContain(`is called ${batch}`);
});

test("mail that is due for hours while all is paused is no failure: somebody wants it so", async () => {
  await using database = await createDatabase();
  await enqueue(database);
  await database.sql`update mailchute.queue set due = now() - interval '3 hours'`;
  expect(found(await look(database.url), "queue")[0]).toStartWith("fail: 1 message is due");
  await database.sql`insert into mailchute.pause (key) values ('stream=bulk')`;
  expect(found(await look(database.url), "queue")[0]).toStartWith("fail: 1 message is due");
  await database.sql`insert into mailchute.pause (key) values ('all')`;
  expect(found(await look(database.url), "queue")).toEqual([
    "warn: 1 message is due, the oldest for 3 h, and all mail is paused → when it may go out: mailchute resume --all",
  ]);
});
