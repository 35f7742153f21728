import { expect, test } from "bun:test";
import { createDatabase } from "../database.ts";
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
