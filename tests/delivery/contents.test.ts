import { expect, test } from "bun:test";
import { Contents } from "../../relay/delivery/contents.ts";
import { attachmentOf, compose } from "../../src/mime/compose.ts";
import { createDatabase } from "../database.ts";
import { describeMessage, enqueue, openTestRelay, until } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";

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

test("a content that many mails share is fetched once, whatever passes by between them", async () => {
  await using database = await createDatabase();
  await database.sql`
    select count(mailchute.send(jsonb_build_object('from', 'a@example.com', 'to', 'b@example.com', 'subject', 'Hi ' || i,
      'text', repeat('t', 30000)))) from generate_series(1, 600) i`;
  const ids = (await database.sql`select id::text from mailchute.content`).map((row) => row.id as string);
  const [shared, ...others] = ids as [string, ...string[]];
  const contents = new Contents(database.sql);
  await contents.prefetch([shared]);
  await database.sql`delete from mailchute.content where id = ${shared}`;
  for (let start = 0; start < others.length; start += 50) {
    await contents.prefetch([shared, ...others.slice(start, start + 50)]);
  }
  expect(await contents.get(shared)).toBeDefined();
});

test("a content stays until each of the messages that it was fetched for has come for it", async () => {
  await using database = await createDatabase();
  await database
    .sql`select mailchute.send('{"from": "a@example.com", "to": "b@example.com", "subject": "Hi", "text": "Hello"}')`;
  const [row] = await database.sql`select id::text from mailchute.content`;
  const id = row?.id as string;
  const contents = new Contents(database.sql);
  await contents.prefetch([id, id]);
  await contents.prefetch([id]);
  await database.sql`truncate mailchute.content cascade`;
  const found = [await contents.get(id), await contents.get(id), await contents.get(id), await contents.get(id)];
  expect(found.map((content) => content?.text)).toEqual(["Hello", "Hello", "Hello", undefined]);
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

const SLICE = 57 * 512;

/** What a relay sends for one mail with these attachments, and what composing it in memory makes. */
async function sentAndComposed(
  files: readonly { readonly filename: string; readonly contentType: string; readonly content: Uint8Array }[],
): Promise<{ readonly sent: string; readonly composed: string }> {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  const attachments = files.map(({ content, ...facts }) => ({
    ...facts,
    base64: Buffer.from(content).toString("base64"),
  }));
  const id = await enqueue(database, { attachments });
  await using running = await openTestRelay(database, { smtpPort: server.port });
  await running.relay.runOnce();
  const sent = server.mails[0]?.content ?? "nothing";
  const composed = compose({
    id,
    date: new Date(/^Date: (.*)\r$/m.exec(sent)?.[1] ?? 0),
    from: { email: "shop@example.com", name: "Shop" },
    to: [{ email: "ann@example.com" }],
    cc: [],
    replyTo: [],
    subject: "Hello",
    text: "Hello Ann",
    headers: [],
    attachments: files.map(attachmentOf),
  });
  return { sent, composed: Buffer.from(composed).toString("latin1") };
}

const noise = (bytes: number): Uint8Array => Uint8Array.from({ length: bytes }, (_, index) => (index * 7919) >> 3);

test("attachments that are read slice by slice arrive as if they had been in memory, at every cut", async () => {
  for (const bytes of [48_001, SLICE - 1, SLICE, SLICE + 1, 2 * SLICE, 3 * SLICE + 58]) {
    const file = { filename: `${bytes}.bin`, contentType: "application/octet-stream", content: noise(bytes) };
    const { sent, composed } = await sentAndComposed([file]);
    expect(sent === composed).toBe(true);
  }
});

test("large and small attachments, an invitation and messages with and without 8-bit characters travel in one mail", async () => {
  const message = `Subject: inner\r\n\r\n${"All of it is ASCII.\r\n".repeat(20_000)}`;
  const { sent, composed } = await sentAndComposed([
    { filename: "a.bin", contentType: "application/octet-stream", content: noise(100_000) },
    { filename: "none.txt", contentType: "text/plain", content: new Uint8Array() },
    { filename: "i.ics", contentType: "text/calendar; method=REQUEST", content: Buffer.from("BEGIN:VCALENDAR\r\n") },
    { filename: "seven.eml", contentType: "message/rfc822", content: Buffer.from(message) },
    { filename: "eight.eml", contentType: "message/rfc822", content: Buffer.from(`${message}Größe\r\n`) },
  ]);
  expect(sent).toContain("Content-Type: message/rfc822");
  expect(sent === composed).toBe(true);
});

test("an attachment that is gone when its turn comes ends the dialogue without its end, and costs no attempt", async () => {
  await using database = await createDatabase();
  await using server = await startScriptedServer({
    on: {
      data: async () => {
        await database.sql`delete from mailchute.attachment`;
        return undefined;
      },
    },
  });
  const base64 = Buffer.from(noise(1_000_000)).toString("base64");
  const id = await enqueue(database, {
    attachments: [{ filename: "a.bin", contentType: "application/octet-stream", base64 }],
  });
  await using running = await openTestRelay(database, { smtpPort: server.port });
  running.relay.start();
  await server.whenSaid("DATA\r\n");
  await until(async () => (await describeMessage(database, id)).state === "queued", "given back");
  expect((await describeMessage(database, id)).attempts).toEqual([]);
  expect(running.lines.join("\n")).toContain("it is no longer stored");
  expect(server.mails).toEqual([]);
});
