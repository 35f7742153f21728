import { expect, test } from "bun:test";
import postgres from "postgres";
import { migrate } from "../../relay/database/migrate.ts";
import { createDatabase } from "../database.ts";
import { catalogText } from "./catalog.ts";

// A database that an old application has brought along: a backslash in '…' means itself no longer.

const HEAD = { from: "shop@example.com", to: "ann@example.com", subject: "Hi", text: "Hi" };
const BATCH = { from: { email: "shop@example.com" }, subject: "Hi", text: "Hi {{name}}" };

test("where standard_conforming_strings is off, the schema is made the same, and takes and refuses the same", async () => {
  await using fresh = await createDatabase();
  await using database = await createDatabase({ empty: true });
  await database.sql.unsafe(
    `alter database ${new URL(database.url).pathname.slice(1)} set standard_conforming_strings = off`,
  );
  const notices: (string | undefined)[] = [];
  const sql = postgres(database.url, { max: 1, onnotice: ({ message }) => notices.push(message) });
  await using _ended = { [Symbol.asyncDispose]: () => sql.end({ timeout: 1 }) };
  expect(await sql`show standard_conforming_strings`).toMatchObject([{ standard_conforming_strings: "off" }]);
  await migrate(sql);
  // As it is shown where the setting is on.
  const shown = postgres(database.url, { max: 1, connection: { standard_conforming_strings: "on" } });
  expect(await catalogText(shown)).toBe(await catalogText(fresh.sql));
  await shown.end();

  const send = async (mail: object) => await sql`select mailchute.send(${JSON.stringify(mail)}::text::jsonb)`;
  const many = async (request: object) =>
    await sql`select mailchute.enqueue_many_v1(${JSON.stringify(request)}::text::jsonb)`;
  const detailOf = (refused: Promise<unknown>) => refused.then(() => "taken", (error) => String(error.detail));
  const file = { filename: "a.txt", contentType: 'text/plain; name="a\\"b"', base64: "aGk=" };
  await send({ ...HEAD, scheduledAt: "2040-01-01T00:00:00Z", attachments: [file] });
  await send({ ...HEAD, digest: { key: "k", wait: "1h", subject: "{{count}} news" } });
  const id = "00000000-0000-7000-8000-000000000000";
  await many({ id, first: 0, mail: BATCH, recipients: [["ann@example.com", null, null, { name: "Ann" }]] });
  expect(await detailOf(send({ ...HEAD, scheduledAt: "tomorrow" }))).toContain("must be an ISO 8601 time");
  expect(await detailOf(send({ ...HEAD, digest: "k" }))).toContain('must be {\\"key\\"');
  expect(await detailOf(send({ ...HEAD, from: 7 }))).toContain('must be {\\"email\\"');
  expect(await detailOf(sql`select mailchute.cancel_many_v1('{}')`)).toContain('must be {\\"batch\\"');
  expect(await detailOf(sql`select mailchute.set_stream_v1('a', '7')`)).toContain("must be an object such as");
  expect(notices).toEqual([]);
});

test("no body that is read when it runs has a backslash in a string that such a setting reads differently", async () => {
  await using database = await createDatabase();
  const bodies = await database.sql`
    select p.proname as name, p.prosrc as body from pg_proc p join pg_language l on l.oid = p.prolang
    where p.pronamespace = 'mailchute'::regnamespace and p.prosqlbody is null and l.lanname in ('sql', 'plpgsql')`;
  expect(bodies.length).toBeGreaterThan(40);
  const exposed = bodies.filter(({ body }) =>
    (body as string).replaceAll(/--.*$/gm, "").replaceAll(/\$(\w+)\$[\s\S]*?\$\1\$/g, "").replaceAll(
      /\bE'(?:[^'\\]|\\.|'')*'/g,
      "",
    )
      .includes("\\")
  );
  expect(exposed.map(({ name }) => name)).toEqual([]);
});
