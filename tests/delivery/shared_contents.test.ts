import { expect, test } from "bun:test";
import { createMailer } from "../../mod.ts";
import type { Statements } from "../../relay/database/statements.ts";
import { Contents } from "../../relay/delivery/contents.ts";
import { createDatabase, type TestDatabase } from "../database.ts";
import { openTestRelay } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";

const noise = (bytes: number, seed = 0): Uint8Array<ArrayBuffer> =>
  Uint8Array.from({ length: bytes }, (_, index) => ((index + seed) * 7919) >> 3);

/** A database's statements, counted, and failing as often as one likes. */
function counted(database: TestDatabase): Statements & { count: number; failing: number } {
  const statements = {
    count: 0,
    failing: 0,
    unsafe: (...[text, values, options]: Parameters<Statements["unsafe"]>) => {
      statements.count++;
      if (statements.failing > 0) {
        statements.failing--;
        return Promise.reject(Object.assign(new Error("out of memory"), { name: "PostgresError", code: "53200" }));
      }
      return database.sql.unsafe(text, values ?? [], options) as ReturnType<Statements["unsafe"]>;
    },
  };
  return statements;
}

/** Stores one content with an attachment, as a bulk send does. */
async function store(database: TestDatabase, bytes: number, seed = 0): Promise<string> {
  const mail = createMailer(database.sql, { from: "a@b.example" });
  const attachments = [{ filename: "a.bin", content: noise(bytes, seed) }];
  const { batch } = await mail.sendMany({ subject: "s", text: "t".repeat(70_000), attachments }, [{
    to: "c@d.example",
  }]);
  const [row] = await database.sql`select content_id::text as id from mailchute.batch where id = ${batch}`;
  return row?.id as string;
}

/** Reads all of a content, as the mail of one recipient does. */
async function readAll({ shared }: Contents, id: string): Promise<string> {
  const content = await shared.get(id);
  const [attachment] = await shared.attachments(id);
  const { position = -1, sizeBytes = 0 } = attachment ?? {};
  const pieces = await Array.fromAsync(shared.encoded(id, { position, sizeBytes, encoding: "base64" }));
  return `${content?.text?.length} ${Buffer.concat(pieces).toString("latin1")}`;
}

test("what many mails share is read once", async () => {
  await using database = await createDatabase();
  const id = await store(database, 100_000);
  const statements = counted(database);
  const contents = new Contents(statements);
  const first = await readAll(contents, id);
  expect(Buffer.from(first.replace("70000 ", ""), "base64").equals(noise(100_000))).toBe(true);
  const { count } = statements;
  expect(await readAll(contents, id)).toBe(first);
  expect(statements.count).toBe(count);
});

test("mails that begin at once, and stop in the middle, get all of it", async () => {
  await using database = await createDatabase();
  const id = await store(database, 200_000);
  const contents = new Contents(database.sql);
  const [attachment] = await contents.shared.attachments(id);
  const { position = -1, sizeBytes = 0 } = attachment ?? {};
  // A server that hangs up after the first piece.
  for await (const _ of contents.shared.encoded(id, { position, sizeBytes, encoding: "base64" })) break;
  const [one, other] = await Promise.all([readAll(contents, id), readAll(contents, id)]);
  expect(one).toBe(other);
  expect(Buffer.from(one.replace("70000 ", ""), "base64").length).toBe(200_000);
});

test("an error is nobody else's: the next mail asks anew", async () => {
  await using database = await createDatabase();
  const id = await store(database, 100_000);
  const statements = counted(database);
  const contents = new Contents(statements);
  statements.failing = 1;
  await expect(contents.shared.get(id)).rejects.toThrow("out of memory");
  expect((await contents.shared.get(id))?.subject).toBe("s");
  statements.failing = 1;
  await expect(contents.shared.attachments(id)).rejects.toThrow("out of memory");
  expect(await readAll(contents, id)).toStartWith("70000 ");
});

test("a content that is no longer stored is asked for again by each mail, since it may be stored anew", async () => {
  await using database = await createDatabase();
  const contents = new Contents(database.sql);
  const id = await store(database, 1_000);
  await database.sql`update mailchute.content set id = '017f22e2-79b0-7000-8000-000000000000'`;
  expect(await contents.shared.get(id)).toBeUndefined();
  await database.sql`update mailchute.content set id = ${id}`;
  expect((await contents.shared.get(id))?.subject).toBe("s");
});

test("no more than 16 MiB are kept, and those that were used last", async () => {
  await using database = await createDatabase();
  const ids: string[] = [];
  for (let number = 0; number < 5; number++) ids.push(await store(database, 3_000_000, number));
  const statements = counted(database);
  const contents = new Contents(statements);
  const isRead = async (id: string): Promise<boolean> => {
    const { count } = statements;
    await readAll(contents, id);
    return statements.count > count;
  };
  // 4.1 MB each as base64: three fit.
  for (const id of ids) expect(await isRead(id)).toBe(true);
  expect(await Promise.all(ids.slice(2).map(isRead))).toEqual([false, false, false]);
  expect(await isRead(ids[0] as string)).toBe(true);
});

test("an attachment that is too large to be kept is read for each mail", async () => {
  await using database = await createDatabase();
  const id = await store(database, 7_000_000);
  const statements = counted(database);
  const contents = new Contents(statements);
  const first = await readAll(contents, id);
  const { count } = statements;
  expect(await readAll(contents, id)).toBe(first);
  expect(statements.count).toBeGreaterThan(count + 100);
});

test("each mail of a bulk send has the whole attachment, and names of its own", async () => {
  await using database = await createDatabase();
  await using server = await startScriptedServer();
  const mail = createMailer(database.sql, { from: "a@b.example" });
  const attachments = [{ filename: "a.bin", content: noise(300_000) }];
  const recipients = Array.from({ length: 9 }, (_, number) => ({
    to: `r${number}@example.com`,
    variables: { name: `Reader ${number}` },
  }));
  await mail.sendMany(
    { subject: "For {{name}}", html: `<p>{{name}}</p>${"x".repeat(70_000)}`, attachments },
    recipients,
  );
  await using running = await openTestRelay(database, { smtpPort: server.port });
  await running.relay.runOnce();
  expect(server.mails).toHaveLength(9);
  for (const { recipients: [recipient], content } of server.mails) {
    expect(content).toContain(`Subject: For Reader ${/\d/.exec(recipient ?? "")?.[0]}\r\n`);
    const [, base64 = ""] = /Content-Disposition: attachment[\s\S]*?\r\n\r\n([\s\S]*?)\r\n--/.exec(content) ?? [];
    expect(Buffer.from(base64, "base64").equals(noise(300_000))).toBe(true);
  }
});
