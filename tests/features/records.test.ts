import { expect, test } from "bun:test";
import postgres from "postgres";
import { stockRows } from "../../bench/stock_rows.ts";
import { createDatabase } from "../database.ts";
import { on, run } from "../command.ts";
import { until } from "../relay.ts";
import { openStage } from "./stage.ts";

// What is known of each mail, and for how long.

test("each mail is stored with its id and what became of it for each recipient", async () => {
  await using stage = await openStage({
    on: {
      rcpt: (address) =>
        ({ "gone@example.com": "550 5.1.1 no such user", "busy@example.com": "450 4.2.1 busy" })[address],
    },
  });
  const { mail } = stage;
  const to = ["ann@example.com", "gone@example.com"];
  const { id } = await mail.send({
    to,
    bcc: "busy@example.com",
    subject: "Hello",
    text: "!",
    metadata: { order: "7" },
  });
  await until(async () => (await mail.get(id))?.attempts.length === 3, "all were answered");
  const status = await mail.get(id);
  expect(status).toMatchObject({ id, state: "deferred", metadata: { order: "7" } });
  expect(status?.recipients.map(({ address, kind, state, code, enhanced }) => [address, kind, state, code, enhanced]))
    .toEqual([
      ["ann@example.com", "to", "sent", 250, "2.0.0"],
      ["gone@example.com", "to", "bounced", 550, "5.1.1"],
      ["busy@example.com", "bcc", "deferred", 450, "4.2.1"],
    ]);
  // The id is in the mail: what is told of it later can be found again.
  const [email] = await stage.received("ann@example.com");
  expect(email?.messageId).toBe(`<${id}@shop.example>`);
});

const OLD = 5_000;
const ALL = 20_000;

test("cleanup in batches, and fast lists of large tables", async () => {
  await using database = await createDatabase();
  // A connection of its own, which has told what it has read when it is gone.
  const filler = postgres(database.url, { max: 1, onnotice: () => {} });
  const [{ pid } = {}] = await filler`select pg_backend_pid() as pid`;
  await stockRows(filler, { finished: ALL });
  await filler`update mailchute.recipient set changed_at = now() - interval '40 days' where seq <= ${OLD}`;
  await filler`update mailchute.message set created_at = now() - interval '40 days' where seq <= ${OLD}`;
  await filler`create table deleted (messages integer)`;
  await filler.unsafe(`
    create function count_deleted() returns trigger language plpgsql as $$ begin insert into public.deleted select count(*) from gone; return null; end $$;
    create trigger count_deleted after delete on mailchute.message referencing old table as gone for each statement execute function count_deleted()`)
    .simple();
  await filler.end();
  await until(
    async () => (await database.sql`select from pg_stat_activity where pid = ${pid}`).length === 0,
    "it is gone",
  );

  const scans = async () => {
    const rows = await database.sql`
      select relname, seq_scan::int from pg_stat_user_tables where relname in ('message', 'recipient', 'attempt') order by 1`;
    return rows.map(({ relname, seq_scan }) => [relname, seq_scan]);
  };
  const before = await scans();
  const listed = await run(["list", "--limit", "20", "--json"], on(database));
  const list = JSON.parse(listed.stdout) as readonly { readonly id: string; readonly first: string }[];
  expect(list).toHaveLength(20);
  const [newest] = list;
  const found = await run(["list", "--to", newest?.first as string, "--json"], on(database));
  expect((JSON.parse(found.stdout) as typeof list).map(({ id }) => id)).toEqual([newest?.id as string]);
  expect((await run(["show", newest?.id as string], on(database))).stdout).toContain(newest?.first as string);
  // None of them has read a table from one end to the other.
  expect(await scans()).toEqual(before);

  const purged = await run(["purge", "--older-than", "30d", "--yes"], on(database));
  expect(purged).toMatchObject({ code: 0, stdout: expect.stringMatching(/^sent +5000$/m) });
  const deleted = (await database.sql`select messages from deleted where messages > 0`).map(({ messages }) => messages);
  expect(deleted.reduce((sum, count) => sum + count, 0)).toBe(OLD);
  expect(Math.max(...deleted)).toBeLessThanOrEqual(2_000);
}, 60_000);
