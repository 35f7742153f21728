import { expect, test } from "bun:test";
import PostalMime, { type Email } from "postal-mime";
import { createMailer, type MessageInput } from "../../mod.ts";
import { createDatabase, type TestDatabase } from "../database.ts";
import { enqueue, openTestRelay } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";

const HTML = "<h1>Hello</h1><p>Your <a href='https://example.com/7'>order</a>";
const READ = "Hello\n\nYour order (https://example.com/7)";

/** The mails that arrive, by subject, of what a test enqueues. */
async function arrived(fill: (database: TestDatabase) => Promise<unknown>): Promise<ReadonlyMap<string, Email>> {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  await fill(database);
  await using running = await openTestRelay(database, { smtpPort: server.port });
  await running.relay.runOnce();
  const mails = await Promise.all(server.mails.map(({ content }) => PostalMime.parse(content)));
  return new Map(mails.map((mail) => [mail.subject ?? "", mail]));
}

test("a missing text is made from the HTML and an empty one is kept empty, from the client as from SQL", async () => {
  const mails = await arrived(async (database) => {
    const mailer = createMailer(database.sql, { from: "shop@example.com" });
    const send = (subject: string, input: Pick<MessageInput, "text">) =>
      mailer.send({ to: "ann@example.com", subject, html: HTML, ...input } as MessageInput);
    await send("client, missing", {});
    await send("client, empty", { text: "" });
    await send("client, own", { text: "Mine" });
    await enqueue(database, { subject: "SQL, null", text: null, html: HTML });
    await enqueue(database, { subject: "SQL, empty", text: "", html: HTML });
  });
  const texts = [...mails].map(([subject, mail]) => [subject, mail.text?.trimEnd()]).toSorted();
  expect(texts).toEqual([
    ["SQL, empty", undefined],
    ["SQL, null", READ],
    ["client, empty", undefined],
    ["client, missing", READ],
    ["client, own", "Mine"],
  ]);
  for (const mail of mails.values()) expect(mail.html?.trimEnd()).toBe(HTML);
});

test("an invitation arrives as an alternative and as a file", async () => {
  const calendar = "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n";
  const mails = await arrived((database) =>
    createMailer(database.sql, { from: "shop@example.com" }).send({
      to: "ann@example.com",
      subject: "Lunch",
      text: "At noon?",
      attachments: [{
        filename: "invite.ics",
        content: calendar,
        encoding: "utf-8",
        contentType: "text/calendar; method=REQUEST",
      }],
    })
  );
  const files = mails.get("Lunch")?.attachments ?? [];
  expect(files.map(({ mimeType, method, filename }) => [mimeType, method, filename])).toEqual([
    ["text/calendar", "REQUEST", null],
    ["application/ics", undefined, "invite.ics"],
  ]);
});
