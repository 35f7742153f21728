import { expect, test } from "bun:test";
import { createDatabase, type TestDatabase } from "../database.ts";
import { describeMessage, enqueue } from "../relay.ts";
import { on, run } from "../command.ts";
import { openQueue, settlement } from "./setup.ts";

/** Mails that differ in all that a filter looks at, the oldest first; with their ids. */
async function filled(database: TestDatabase) {
  const bounced = await enqueue(database, { to: "gone@example.com" });
  const deferred = await enqueue(database, { to: "busy@example.net", tags: ["a", "b"] });
  const { queue } = await openQueue(database);
  const { messages: [first, second] } = await queue.claim(2);
  if (first === undefined || second === undefined) throw new Error("Nothing was claimed");
  await queue.settle([
    settlement(first, "bounced"),
    settlement(second, "deferred", 60_000),
  ]);
  const batched = crypto.randomUUID();
  const request = {
    ...{ id: batched, batch: "news/1" },
    mail: { from: { email: "shop@example.com" }, subject: "News", text: "News" },
    recipients: [["ann@example.com", null, null, null]],
  };
  await database.sql`select * from mailchute.enqueue_many_v1(${JSON.stringify(request)}::text::jsonb)`;
  const [row] = await database.sql`select id from mailchute.message where batch is not null`;
  const bulk = await enqueue(database, { stream: "bulk", to: "bob@Example.org" });
  await database.sql`update mailchute.message set created_at = now() - interval '3 hours' where id = ${bounced}`;
  await database.sql`update mailchute.message set app = 'shop' where id = ${bulk}`;
  return { bounced, deferred, batch: row?.id as string, bulk, batched };
}

test("list filters by tag, batch, app, domain, several states, time and error, and pages by the last id", async () => {
  await using database = await createDatabase();
  const ids = await filled(database);
  const list = async (...words: readonly string[]) => {
    const { code, stdout } = await run(["list", "--json", ...words], on(database));
    expect(code).toBe(0);
    return (JSON.parse(stdout) as readonly { readonly id: string }[]).map(({ id }) => id);
  };
  const cases: readonly (readonly [words: readonly string[], ids: readonly string[]])[] = [
    [["--tag", "b"], [ids.deferred]],
    [["--tag", "c"], []],
    [["--batch", "news/1"], [ids.batch]],
    [["--batch", ids.batched], [ids.batch]],
    [["--app", "shop"], [ids.bulk]],
    [["--to", "@example.ORG"], [ids.bulk]],
    [["--state", "bounced", "--state", "deferred"], [ids.deferred, ids.bounced]],
    [["--error", "MEANS def"], [ids.deferred]],
    [["--error", "100%"], []],
    [["--since", "2h"], [ids.bulk, ids.batch, ids.deferred]],
    [["--until", "2h"], [ids.bounced]],
    [["--since", "2020-01-01", "--until", "2099-01-01T00:00:00Z"], [ids.bulk, ids.batch, ids.deferred, ids.bounced]],
    [["--state", "queued", "--stream", "bulk", "--since", "1m"], [ids.bulk]],
    [["--limit", "2"], [ids.bulk, ids.batch]],
    [["--limit", "2", "--after", ids.batch], [ids.deferred, ids.bounced]],
  ];
  for (const [words, found] of cases) {
    expect({ words, found: await list(...words) }).toEqual({ words, found: [...found] });
  }
  expect((await run(["list", "--limit", "2"], on(database))).stderr).toContain(`--after ${ids.batch}`);
}, 60_000);

test("cancel and retry say how many match by state before they do anything, and do it with --yes", async () => {
  await using database = await createDatabase();
  const { bounced, deferred, batch, bulk } = await filled(database);
  const stateOf = async (id: string) => {
    const [row] = await database
      .sql`select mailchute.describe(seq) ->> 'state' as state from mailchute.message where id = ${id}`;
    return row?.state as string;
  };
  const asked = await run(["cancel", "--to", "@example.org"], on(database));
  expect(asked.code).toBe(1);
  expect(asked.stdout).toMatch(/^state +messages\nqueued +1\n$/);
  expect(asked.stderr).toContain("Nothing was canceled: 1 messages");
  expect((await run(["cancel", "--to", "@example.org", "--dry-run"], on(database))).code).toBe(0);
  expect(await stateOf(bulk)).toBe("queued");
  const canceled = await run(["cancel", "--to", "@example.org", "--yes"], on(database));
  expect(canceled).toMatchObject({ code: 0, stderr: expect.stringContaining("1 messages of") });
  expect(await stateOf(bulk)).toBe("canceled");
  // Of all, retry means neither what was canceled nor what is queued.
  const all = await run(["retry", "--all", "--yes"], on(database));
  expect(all).toMatchObject({ code: 0, stderr: expect.stringContaining("2 messages of") });
  expect(await Promise.all([bounced, deferred, bulk, batch].map(stateOf))).toEqual([
    ...["queued", "queued", "canceled", "queued"],
  ]);
  expect((await run(["retry", "--state", "canceled", "--yes"], on(database))).code).toBe(0);
  expect(await stateOf(bulk)).toBe("queued");
  expect((await run(["cancel", "--all", "--limit", "3", "--yes"], on(database))).stderr).toContain("3 messages of");
  // The oldest first.
  expect(await stateOf(bulk)).toBe("queued");
  const none = await run(["retry", "--tag", "unknown", "--yes"], on(database));
  expect(none).toMatchObject({ code: 0, stdout: "", stderr: expect.stringContaining("No message") });
}, 60_000);

test("what may duplicate is counted apart and left alone without --accept-duplicate", async () => {
  await using database = await createDatabase();
  const held = await enqueue(database);
  const { queue } = await openQueue(database);
  const { messages: [message] } = await queue.claim(1);
  if (message === undefined) throw new Error("Nothing was claimed");
  await queue.settle([settlement(message, "uncertain", "held")]);
  const refused = await run(["retry", "--state", "held", "--yes"], on(database));
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain("0 messages of");
  expect(refused.stderr).toContain("1 not retried: the server may have it already");
  expect((await describeMessage(database, held)).state).toBe("held");
  expect((await run(["retry", "--state", "held", "--yes", "--accept-duplicate"], on(database))).code).toBe(0);
  expect((await describeMessage(database, held)).state).toBe("queued");
});

test("more than a page of messages is worked through", async () => {
  await using database = await createDatabase();
  await database.sql`
    select count(mailchute.send(jsonb_build_object('from', 'shop@example.com', 'to', 'u' || i || '@example.com', 'subject', 'Hi', 'text', 'Hi')))
    from generate_series(1, 1203) i`;
  const ran = await run(["cancel", "--all", "--limit", "1201", "--yes"], on(database));
  expect(ran).toMatchObject({ code: 0, stderr: expect.stringContaining("1201 messages of") });
  expect(await database.sql`select from mailchute.queue`).toHaveLength(2);
});
