import { expect, test } from "bun:test";
import { Contents } from "../relay/contents.ts";
import { createDatabase } from "./database.ts";
import { enqueue, openTestRelay } from "./relay.ts";
import { startScriptedServer } from "./scripted_server.ts";

test("the cache of contents counts headers: 12 MB of them do not fit into its 8 MiB", async () => {
  const headerBytes = 30_000;
  await using database = await createDatabase();
  await database.sql`
    select count(mailchute.send(jsonb_build_object('from', 'a@example.com', 'to', 'b@example.com', 'subject', 'Hi', 'text', 'Hi',
      'headers', jsonb_build_array(jsonb_build_array('X-Data', repeat('h', ${headerBytes}) || i))))) from generate_series(1, 400) i`;
  const ids = (await database.sql`select id::text from mailchute.content`).map((row) => row.id as string);
  const contents = new Contents(database.sql);
  for (let start = 0; start < ids.length; start += 50) await contents.prefetch(ids.slice(start, start + 50));
  // What is found now comes out of the cache.
  await database.sql`truncate mailchute.content cascade`;
  const found = await Promise.all(ids.map((id) => contents.get(id)));
  const cached = found.filter((content) => content !== undefined).length;
  expect(cached * headerBytes).toBeLessThan(8 * 1024 * 1024);
});

test("an attachment arrives byte for byte where the database writes bytea as escape", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  await database.sql.unsafe(
    `alter database ${new URL(database.url).pathname.slice(1)} set bytea_output = 'escape'`,
  );
  const bytes = Buffer.from(Array.from({ length: 512 }, (_, index) => index % 256));
  await enqueue(database, {
    attachments: [{ filename: "a.bin", contentType: "application/octet-stream", base64: bytes.toString("base64") }],
  });
  await using running = await openTestRelay(database, { smtpPort: server.port });
  await running.relay.runOnce();
  const content = server.mails[0]?.content ?? "";
  const [, base64 = ""] = /Content-Disposition: attachment[\s\S]*?\r\n\r\n([\s\S]*?)\r\n--/.exec(content) ?? [];
  expect(Buffer.from(base64, "base64").equals(bytes)).toBe(true);
});
