import { expect, test } from "bun:test";
import { randomUUID } from "node:crypto";
import { createMailer } from "../../mod.ts";
import { forgetRelays } from "../../relay/database/retention.ts";
import { beat, markStopped, registerRelay } from "../../relay/queue/relay_row.ts";
import { enqueueBatch } from "../batch.ts";
import { createDatabase, type TestDatabase } from "../database.ts";
import { closeAt, enqueueItem } from "../digest/setup.ts";
import { startRelayProcess, temporaryDirectory } from "../relay_process.ts";
import { enqueue, openTestRelay, until } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";
import { on, run } from "../command.ts";
import { fill, openQueue } from "./setup.ts";

/** Messages that ended so many days ago, by state, and one that is open and older than all. */
async function ended(database: TestDatabase, days: Readonly<Record<string, number>>): Promise<void> {
  await fill(database, Object.keys(days).length + 1);
  for (const [index, [state, age]] of Object.entries(days).entries()) {
    const seq = index + 1;
    await database.sql`delete from mailchute.queue where seq = ${seq}`;
    await database
      .sql`update mailchute.recipient set state = ${state}, changed_at = now() - make_interval(days => ${age}) where seq = ${seq}`;
  }
  await database.sql`update mailchute.message set created_at = now() - interval '400 days'`;
}

async function left(database: TestDatabase) {
  const [row] = await database.sql`
    select array(select r.state from mailchute.message m join mailchute.recipient r using (seq) order by m.seq) as messages,
      (select count(*)::int from mailchute.content) as contents`;
  return { ...row };
}

const ENDED = { sent: 40, bounced: 40, expired: 8, canceled: 1 } as const;

test("purge counts first, and deletes only with --yes: what ended so long ago, never what is open", async () => {
  await using database = await createDatabase();
  await ended(database, ENDED);
  const before = await left(database);
  const asked = await run(["purge", "--older-than", "30d"], on(database));
  expect(asked).toMatchObject({ code: 1, stderr: expect.stringContaining("2 messages of ") });
  expect(asked.stdout).toBe("state    messages\nbounced  1\nsent     1\n");
  expect(await run(["purge", "--older-than", "30d", "--dry-run"], on(database))).toMatchObject({
    ...{ code: 0, stdout: asked.stdout, stderr: asked.stderr },
  });
  expect(await left(database)).toEqual(before);

  const done = await run(["purge", "--older-than", "30d", "--yes"], on(database));
  expect(done).toMatchObject({ code: 0, stdout: asked.stdout });
  expect(done.stderr).toStartWith("Deleted 2 messages and 2 contents of ");
  expect(await left(database)).toEqual({ messages: ["expired", "canceled", "queued"], contents: 3 });
  // Keys of what ended a day ago still live.
  expect((await run(["purge", "--all", "--yes"], on(database))).stderr).toStartWith("Deleted 1 messages");
  expect(await left(database)).toEqual({ messages: ["canceled", "queued"], contents: 2 });
  expect(await run(["purge", "--all", "--yes"], on(database))).toMatchObject({
    ...{ code: 0, stderr: expect.stringContaining("ended 7d ago or earlier") },
  });
}, 60_000);

test(
  "purge --to deletes what one person got, and of nobody else: what it says at once, the rest after a week",
  async () => {
    await using database = await createDatabase();
    const batch = await enqueueBatch(database, { readers: 2 });
    await enqueue(database, { to: "Reader1@example.com" });
    await enqueue(database, { to: ["bob@example.com", "reader1@example.com"] });
    await enqueue(database, { to: "reader11@example.com" });
    const open = await enqueue(database, { to: "reader1@example.com" });
    const of = database.sql`select seq from mailchute.message where id <> ${open}`;
    await database.sql`delete from mailchute.queue where seq in (${of})`;
    await database.sql`update mailchute.recipient set state = 'sent' where seq in (${of})`;
    const addresses = async () =>
      (await database.sql`select email from mailchute.recipient order by seq, position`).map(({ email }) => email);
    const contents = async () => (await database.sql`select count(*)::int as count from mailchute.content`)[0]?.count;
    const purge = (...words: readonly string[]) =>
      run(["purge", "--to", "reader1@EXAMPLE.com", ...words], on(database));

    expect((await purge("--content")).stderr).toContain("3 messages with content");
    // The content of the batch is that of another reader too.
    expect((await purge("--content", "--yes")).stderr).toStartWith("Deleted 0 messages and 2 contents");
    expect([await contents(), (await addresses()).length]).toEqual([3, 7]);
    expect((await purge("--yes")).stderr).toContain("ended 7d ago or earlier");
    await database.sql`update mailchute.recipient set changed_at = now() - interval '8 days'`;
    await database.sql`update mailchute.message set created_at = now() - interval '8 days'`;
    expect((await purge("--yes")).stderr).toStartWith("Deleted 3 messages");
    expect(await addresses()).toEqual(["reader2@example.com", "reader11@example.com", "reader1@example.com"]);
    expect((await run(["batch", batch], on(database))).stdout).toContain("of 1: 1 sent");
    for (const word of ["reader1", "@example.com", "R <reader1@example.com>"]) {
      expect((await run(["purge", "--to", word], on(database))).code).toBe(2);
    }
  },
  60_000,
);

test("purge --state takes only messages in that state, and --content keeps them with their recipients", async () => {
  await using database = await createDatabase();
  await ended(database, ENDED);
  const content = await run(["purge", "--content", "--state", "bounced", "--state", "canceled", "--yes"], on(database));
  expect(content).toMatchObject({ code: 0, stderr: expect.stringContaining("Deleted 0 messages and 2 contents") });
  expect(await left(database)).toEqual({
    messages: ["sent", "bounced", "expired", "canceled", "queued"],
    contents: 3,
  });
  const whole = await run(["purge", "--state", "sent", "--yes"], on(database));
  expect(whole).toMatchObject({ code: 0, stderr: expect.stringContaining("Deleted 1 messages and 1 contents") });
  expect(await left(database)).toEqual({ messages: ["bounced", "expired", "canceled", "queued"], contents: 2 });
}, 60_000);

test("content that a message in another state shares is kept for it", async () => {
  await using database = await createDatabase();
  const mail = createMailer(database.sql, { from: "a@b.example" });
  await mail.sendMany({ subject: "s", text: "t" }, [{ to: "ann@b.example" }, { to: "bob@b.example" }]);
  await database.sql`delete from mailchute.queue`;
  await database.sql`update mailchute.recipient set changed_at = now() - interval '40 days',
    state = case email when 'ann@b.example' then 'sent' else 'bounced' end`;
  await database.sql`update mailchute.message set created_at = now() - interval '40 days'`;
  await run(["purge", "--content", "--state", "sent", "--yes"], on(database));
  expect(await left(database)).toMatchObject({ contents: 1 });
  await run(["purge", "--content", "--state", "sent", "--state", "bounced", "--yes"], on(database));
  expect(await left(database)).toMatchObject({ contents: 0 });
}, 60_000);

async function relayIds(database: TestDatabase): Promise<readonly string[]> {
  return (await database.sql`select id::text from mailchute.relay order by id`).map(({ id }) => id as string);
}

test("relays that stopped or fell silent long ago are forgotten, but not while a message carries their lease", async () => {
  await using database = await createDatabase();
  await fill(database, 1);
  const relays = [];
  for (let number = 0; number < 6; number++) relays.push(await openQueue(database));
  const [self, stopped, justStopped, silent, justSilent, holding] = relays.map(({ relayId }) => relayId);
  await relays[5]?.queue.claim(1);
  const set = async (ids: readonly (string | undefined)[], change: string) =>
    await database.sql.unsafe(`update mailchute.relay set ${change} where id in (${ids.join(", ")})`);
  await set([stopped, holding], "stopped_at = now() - interval '61 minutes'");
  await set([justStopped], "stopped_at = now() - interval '59 minutes'");
  await set([silent, self], "heartbeat_at = now() - interval '25 hours'");
  await set([justSilent], "heartbeat_at = now() - interval '23 hours'");
  expect(await forgetRelays(database.sql, self as string)).toBe(2);
  expect(await relayIds(database)).toEqual([self, justStopped, justSilent, holding] as string[]);
  await database.sql`update mailchute.queue set leased_by = null`;
  expect(await forgetRelays(database.sql, self as string)).toBe(1);
  expect(await relayIds(database)).toEqual([self, justStopped, justSilent] as string[]);
});

test("a relay that was forgotten while it did not reach the database comes back under its own id", async () => {
  await using database = await createDatabase();
  const relay = { instance: randomUUID(), host: "mx1", pid: 7 };
  const relayId = await registerRelay(database.sql, relay);
  await database.sql`delete from mailchute.relay`;
  await beat(database.sql, { ...relay, relayId });
  const [row] = await database.sql`select id::text, instance, host, pid, stopped_at from mailchute.relay`;
  expect({ ...row }).toEqual({ id: relayId, ...relay, stopped_at: null });
  expect(await registerRelay(database.sql, relay)).not.toBe(relayId);
});

test(
  "status lists neither a relay that has stopped nor one that came to nothing, only those that went without a word",
  async () => {
    await using database = await createDatabase();
    await using server = await startScriptedServer();
    using state = temporaryDirectory();
    const instance = randomUUID();
    const before = await registerRelay(database.sql, { instance, host: "again", pid: 1 });
    await database
      .sql`update mailchute.relay set heartbeat_at = now() - interval '1 hour' where id = ${before}::bigint`;
    const again = await registerRelay(database.sql, { instance, host: "again", pid: 2 });
    await markStopped(database.sql, again);
    const gone = await registerRelay(database.sql, { instance: randomUUID(), host: "gone", pid: 3 });
    await database.sql`update mailchute.relay set heartbeat_at = now() - interval '1 hour' where id = ${gone}::bigint`;
    // Its port is taken: it has registered by then, and ends.
    await using failed = startRelayProcess(["run"], {
      ...on(database),
      SMTP_URL: `smtp://127.0.0.1:${server.port}?tls=none`,
      RELAY_STATE_DIR: state.path,
      PORT: String(server.port),
    });
    expect(await failed.exited).toBe(1);
    const { stdout } = await run(["status", "--json"], on(database));
    const [{ relays }] = JSON.parse(stdout) as readonly [{ readonly relays: readonly { readonly host: string }[] }];
    expect(relays.map(({ host }) => host)).toEqual(["gone"]);
  },
  60_000,
);

test("a relay that cannot open one of its databases does not look alive in the others", async () => {
  await using home = await createDatabase();
  await using shop = await createDatabase();
  await using server = await startScriptedServer();
  // Its leases cannot be taken over: the start comes to nothing.
  await shop.sql`alter table mailchute.queue rename column intent to intention`;
  const opening = openTestRelay(home, { smtpPort: server.port, others: { shop } });
  await expect(opening).rejects.toThrow("intent");
  const rows = await home.sql`select stopped_at is not null as stopped from mailchute.relay`;
  expect(rows.map((row) => ({ ...row }))).toEqual([{ stopped: true }]);
});

test("the upkeep of a relay forgets those before it", async () => {
  await using database = await createDatabase();
  await using server = await startScriptedServer();
  const old = await registerRelay(database.sql, { instance: randomUUID(), host: "old", pid: 1 });
  await database.sql`update mailchute.relay set stopped_at = now() - interval '2 hours' where id = ${old}::bigint`;
  await enqueue(database);
  const upkeep: (() => void)[] = [];
  const clock = {
    now: () => Date.now(),
    after: (delayMs: number, callback: () => void) => {
      if (delayMs === 600_000) upkeep.push(callback);
      const timer = setTimeout(callback, delayMs);
      return () => clearTimeout(timer);
    },
  };
  await using running = await openTestRelay(database, { smtpPort: server.port, clock });
  running.relay.start();
  await server.whenMails(1);
  expect(upkeep.length).toBeGreaterThan(0);
  for (const run of upkeep) run();
  await until(async () => !(await relayIds(database)).includes(old), "forgotten");
});

test(
  "purge counts the items of a digest as it deletes them: with their digest, and not before it has ended",
  async () => {
    await using database = await createDatabase();
    for (let count = 0; count < 3; count++) await enqueueItem(database);
    await closeAt(database, "2 hours");
    await fill(database, 1);
    const end = async (seq: number, days: number) => {
      await database.sql`delete from mailchute.queue where seq = ${seq}`;
      await database
        .sql`update mailchute.recipient set state = 'sent', changed_at = now() - make_interval(days => ${days}) where seq = ${seq}`;
    };
    const asked = async (...words: readonly string[]) => (await run(["purge", ...words], on(database))).stdout;
    await database.sql`update mailchute.recipient set changed_at = now() - interval '40 days'`;
    await database.sql`update mailchute.message set created_at = now() - interval '400 days'`;
    // The digest is open yet, and then has been sent today.
    await end(5, 40);
    expect(await asked("--older-than", "30d", "--dry-run")).toBe("state  messages\nsent   1\n");
    await end(4, 0);
    expect(await asked("--older-than", "30d", "--dry-run")).toBe("state  messages\nsent   1\n");
    await end(4, 40);
    const all = "state     messages\ndigested  3\nsent      2\n";
    expect(await asked("--older-than", "30d", "--dry-run")).toBe(all);
    // By what the digest has become, and not by what they are called.
    expect(await asked("--state", "sent", "--older-than", "30d", "--dry-run")).toBe(all);
    const done = await run(["purge", "--state", "sent", "--older-than", "30d", "--yes"], on(database));
    expect(done).toMatchObject({ code: 0, stdout: all, stderr: expect.stringMatching(/^Deleted 5 messages/) });
    expect(await left(database)).toEqual({ messages: [], contents: 0 });
  },
  60_000,
);
