import { expect, test } from "bun:test";
import { PROGRAM_VERSION } from "../../relay/version.ts";
import { createDatabase, type TestDatabase } from "../database.ts";
import { startTransactionPooler } from "../doctor/transaction_pooler.ts";
import { startRelayProcess, temporaryDirectory } from "../relay_process.ts";
import { enqueue } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";
import { on, run, UNKNOWN_ID } from "../command.ts";
import { openQueue, settlement } from "./setup.ts";

/** Five messages: bounced, held, being sent, scheduled, queued; with their ids. */
async function mixed(database: TestDatabase) {
  const [bounced, held, sending] = [
    await enqueue(database, { to: "gone@example.com" }),
    await enqueue(database, { to: "held@example.com" }),
    await enqueue(database, { to: ["ann@example.com", "bob@example.com"] }),
  ];
  const { queue } = await openQueue(database);
  const { messages: [first, second] } = await queue.claim(3);
  if (first === undefined || second === undefined) throw new Error("Nothing was claimed");
  await queue.settle([settlement(first, "bounced"), settlement(second, "uncertain", "held")]);
  const scheduled = await enqueue(database, { scheduledAt: new Date(Date.now() + 3_600_000).toISOString() });
  const queued = await enqueue(database, { tags: ["news"], stream: "bulk" });
  return { bounced, held, sending, scheduled, queued };
}

test("status counts what is open by state, as a text and as JSON", async () => {
  await using database = await createDatabase();
  const empty = await run(["status"], on(database));
  expect(empty).toMatchObject({ code: 0, stderr: "", stdout: expect.stringContaining("nothing open") });
  await mixed(database);
  const text = await run(["status"], on(database));
  expect(text.code).toBe(0);
  expect(text.stdout).toMatch(/1 held, 1 queued, 1 scheduled, 1 sending, the oldest due for \d+ s/);
  const json = await run(["status", "--json"], on(database));
  expect(json.stderr).toBe("");
  const [report] = JSON.parse(json.stdout);
  expect(report).toMatchObject({ database: "home", open: { held: 1, queued: 1, scheduled: 1, sending: 1 } });
  expect(report).toMatchObject({ isFull: false });
  expect(report).not.toHaveProperty("copyOf");
  const [relay] = report.relays;
  expect(relay).toMatchObject({ pid: process.pid, alive: true, version: PROGRAM_VERSION });
  for (const time of [relay.startedAt, relay.heartbeatAt]) expect(Date.parse(time)).toBeGreaterThan(0);
});

test("status and doctor say that apps are refused since the queue is full", async () => {
  await using database = await createDatabase();
  const { relayId } = await openQueue(database);
  await database.sql`update mailchute.relay set full_until = now() + interval '1 minute' where id = ${relayId}`;
  expect((await run(["status"], on(database))).stdout).toContain("home is full (RELAY_MAX_QUEUE): what apps enqueue");
  expect((await run(["doctor"], on(database))).stdout).toContain(
    "it is full: what apps enqueue is refused as queue_full",
  );
});

test("of several databases one that is out of reach is said, and hides none of the others from status and explain", async () => {
  await using database = await createDatabase();
  const id = await enqueue(database);
  const env = { ...on(database), DATABASE_URL_A: "postgres://u:p@127.0.0.1:1/a" };
  for (const [words, what] of [[["status"], "1 queued"], [["explain", id], id]] as const) {
    const ran = await run([...words], env);
    expect(ran.code).toBe(1);
    expect(ran.stdout).toContain(what);
    expect(ran.stderr).toContain("127.0.0.1:1/a");
    const json = await run([...words, "--json"], env);
    const away = words[0] === "status" ? [{ database: "a", error: expect.stringContaining("127.0.0.1:1/a") }] : [];
    expect(JSON.parse(json.stdout)).toEqual([expect.objectContaining({ database: "home" }), ...away]);
  }
  const alone = await run(["status", "--database", "a"], env);
  expect(alone).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining("127.0.0.1:1/a") });
});

test("status tells the routes of the relay here though its one database is away", async () => {
  await using database = await createDatabase();
  await using server = await startScriptedServer();
  using state = temporaryDirectory();
  await using relay = startRelayProcess(["run"], {
    ...on(database),
    ...{ SMTP_URL: `smtp://127.0.0.1:${server.port}?tls=none`, RELAY_STATE_DIR: state.path, PORT: "0" },
  });
  await relay.printed('"serving"');
  const PORT = /"status":"http:[^"]*:(\d+)"/.exec(relay.output())?.[1] as string;
  const away = { DATABASE_URL: "postgres://u:p@127.0.0.1:1/a", PORT };
  expect(await run(["status"], away)).toEqual({
    code: 1,
    stdout: "route default: open for mail, 0 connections\n",
    stderr: expect.stringContaining("127.0.0.1:1/a"),
  });
  const [report] = JSON.parse((await run(["status", "--json"], away)).stdout);
  expect(report).toMatchObject({ error: expect.stringContaining("127.0.0.1:1/a"), routes: [{ name: "default" }] });
});

test("status says when a relay was last seen, and not that it lives: one that was killed just now looks the same", async () => {
  await using database = await createDatabase();
  const { relayId } = await openQueue(database);
  const seen = async (by: string) => {
    await database.sql.unsafe(
      `update mailchute.relay set heartbeat_at = now() - interval '${by}' where id = ${relayId}`,
    );
    return (await run(["status"], on(database))).stdout;
  };
  expect(await seen("40 seconds")).toMatch(/^seen 4[0-3](\.\d)? s ago +test \(pid/m);
  expect(await seen("5 minutes")).toMatch(/^gone, seen 5 min ago +test \(pid/m);
  expect(await seen("-30 minutes")).toMatch(/^rests +test \(pid/m);
  const [report] = JSON.parse((await run(["status", "--json"], on(database))).stdout);
  expect(report.relays).toMatchObject([{ alive: true, silentSeconds: expect.any(Number) }]);
});

test("status and pause call a paused batch by its name, in whichever database it is", async () => {
  await using home = await createDatabase();
  await using shop = await createDatabase();
  const env = { ...on(home), DATABASE_URL_SHOP: shop.url };
  const id = crypto.randomUUID();
  const request = {
    ...{ id, batch: "news/1", mail: { from: { email: "shop@example.com" }, subject: "News", text: "News" } },
    recipients: [["ann@example.com", null, null, null]],
  };
  await shop.sql`select * from mailchute.enqueue_many_v1(${JSON.stringify(request)}::text::jsonb)`;
  expect((await run(["batch", "news/1", "--pause", "--database", "shop"], env)).code).toBe(0);
  const said = `batch news/1 (${id})`;
  expect((await run(["status"], env)).stdout).toContain(`${said} is paused since`);
  expect((await run(["pause"], env)).stdout).toContain(said);
  expect((await run(["resume", "--all"], env)).stderr).toContain(`still paused: ${said}`);
  // Where nobody can look it up, the id has to do.
  const away = { ...on(home), DATABASE_URL_SHOP: "postgres://u:p@127.0.0.1:1/a" };
  expect((await run(["pause"], away)).stdout).toContain(`batch ${id} `);
}, 30_000);

test("list shows the newest first and filters by state, address and number, as a text and as JSON", async () => {
  await using database = await createDatabase();
  const empty = await run(["list"], on(database));
  expect(empty).toEqual({ code: 0, stdout: "", stderr: "No message matches.\n" });

  const ids = await mixed(database);
  const list = async (...words: readonly string[]) => {
    const { code, stdout } = await run(["list", "--json", ...words], on(database));
    expect(code).toBe(0);
    return (JSON.parse(stdout) as readonly { readonly id: string }[]).map(({ id }) => id);
  };
  const newest = [ids.queued, ids.scheduled, ids.sending, ids.held, ids.bounced];
  expect(await list()).toEqual(newest);
  expect(await list("--limit", "2")).toEqual(newest.slice(0, 2));
  expect(await list("--to", "Gone@Example.com")).toEqual([ids.bounced]);
  expect(await list("--to", "nobody@example.com")).toEqual([]);
  expect(await list("--stream", "bulk")).toEqual([ids.queued]);
  expect(await list("--stream", "news")).toEqual([]);
  expect(await run(["list", "--stream", "Bulk"], on(database))).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("--stream Bulk is no stream"),
  });
  for (const [state, id] of Object.entries(ids)) expect(await list("--state", state)).toEqual([id]);

  // Named as by show.
  const [oldest] = JSON.parse((await run(["list", "--json", "--to", "gone@example.com"], on(database))).stdout);
  expect(Date.parse(oldest.createdAt)).toBeGreaterThan(0);
  const text = await run(["list"], on(database));
  const lines = text.stdout.trimEnd().split("\n");
  expect(lines).toHaveLength(6);
  expect(lines[0]).toMatch(/^id +created +state +app +stream +to +reason$/);
  expect(lines[3]).toContain("ann@example.com +1");
  expect(lines[5]).toMatch(new RegExp(`^${ids.bounced} .* bounced .* gone@example.com +The reply that means bounced$`));
}, 60_000);

test("a mail is known by its Message-ID too, which show names: that is what the log of a server and whoever got the mail have", async () => {
  await using database = await createDatabase();
  const id = await enqueue(database, { from: "shop@xn--bcher-kva.example" });
  const messageId = `<${id}@xn--bcher-kva.example>`;
  expect((await run(["show", id], on(database))).stdout).toContain(`\n  Message-ID ${messageId}\n`);
  for (const word of [messageId, messageId.slice(1, -1)]) {
    expect(JSON.parse((await run(["show", word, "--json"], on(database))).stdout)).toMatchObject({ id, messageId });
  }
  expect((await run(["show", `${id}@`], on(database))).code).toBe(2);
  // An item of a digest is sent as another mail.
  const item = await enqueue(database, { digest: { key: "replies", wait: "1h" } });
  expect((await run(["show", item], on(database))).stdout).not.toContain("Message-ID");
});

test("show tells all but the content, as a text and as JSON; an unknown id exits with 1", async () => {
  await using database = await createDatabase();
  const { bounced, queued } = await mixed(database);
  const text = await run(["show", bounced, queued], on(database));
  expect({ code: text.code, stderr: text.stderr }).toEqual({ code: 0, stderr: "" });
  expect(text.stdout).toContain(`${bounced}  bounced`);
  expect(text.stdout).toContain("gone@example.com: bounced (The reply that means bounced)");
  expect(text.stdout).toContain("for gone@example.com: bounced by default in final 550: The reply that means bounced");
  expect(text.stdout).toMatch(/app \w+, stream bulk, tags news\n/);
  expect(text.stdout).toContain("\n  from Shop <shop@example.com>: Hello\n");
  expect(text.stdout).not.toContain("Hello Ann");
  const json = await run(["show", bounced, "--json"], on(database));
  expect(JSON.parse(json.stdout)).toMatchObject({
    id: bounced,
    state: "bounced",
    attempts: [{ number: 1, code: 550 }],
    from: "Shop <shop@example.com>",
    subject: "Hello",
  });
  expect(await run(["show", UNKNOWN_ID], on(database))).toEqual({
    code: 1,
    stdout: "",
    stderr: `No message has the id ${UNKNOWN_ID}.\n`,
  });
});

test("retry: retried is 0; too late, unknown and what may duplicate are 1 and change nothing", async () => {
  await using database = await createDatabase();
  const { bounced, held, sending } = await mixed(database);
  expect(await run(["retry", bounced], on(database))).toEqual({ code: 0, stdout: `${bounced}: due now\n`, stderr: "" });
  const late = await run(["retry", sending], on(database));
  expect(late).toMatchObject({ code: 1, stdout: expect.stringContaining("too_late") });
  const twice = await run(["retry", held], on(database));
  expect(twice).toMatchObject({ code: 1, stdout: expect.stringContaining("--accept-duplicate") });
  const accepted = await run(["retry", held, "--accept-duplicate"], on(database));
  expect(accepted).toMatchObject({ code: 0, stdout: `${held}: due now\n` });
  const unknown = await run(["retry", UNKNOWN_ID, bounced], on(database));
  expect(unknown).toEqual({
    code: 1,
    stdout: `${bounced}: due now\n`,
    stderr: `No message has the id ${UNKNOWN_ID}.\n`,
  });
});

test("cancel: canceled is 0; too late and unknown are 1 and change nothing", async () => {
  await using database = await createDatabase();
  const { bounced, held, sending, scheduled, queued } = await mixed(database);
  const canceled = await run(["cancel", queued, scheduled, held], on(database));
  expect(canceled).toEqual({
    code: 0,
    stdout: [queued, scheduled, held].map((id) => `${id}: canceled\n`).join(""),
    stderr: "",
  });
  for (const id of [sending, bounced]) {
    const late = await run(["cancel", id], on(database));
    expect(late).toMatchObject({ code: 1, stdout: expect.stringContaining(`${id}: too_late`) });
  }
  const unknown = await run(["cancel", UNKNOWN_ID], on(database));
  expect(unknown).toEqual({ code: 1, stdout: "", stderr: `No message has the id ${UNKNOWN_ID}.\n` });
  const left = await database.sql`
    select m.id from mailchute.queue q join mailchute.message m on m.seq = q.seq where q.leased_by is not null`;
  expect(left.map(({ id }) => id)).toEqual([sending]);
});

test("a command works through a pooler that takes no parameter of the server, though its URL does not say so", async () => {
  await using database = await createDatabase();
  const id = await enqueue(database, {});
  await using pooler = await startTransactionPooler(database.url);
  const shown = await run(["show", id], { DATABASE_URL: pooler.url });
  expect(shown).toMatchObject({ code: 0, stdout: expect.stringContaining(id) });
});

test("an id that the home database does not know, beside others, names the command that looks into all", async () => {
  await using home = await createDatabase();
  await using shop = await createDatabase();
  const env = { ...on(home), DATABASE_URL_SHOP: shop.url };
  for (const command of ["show", "retry", "cancel"]) {
    const { code, stderr } = await run([command, UNKNOWN_ID], env);
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr:
        `No message of the database home has the id ${UNKNOWN_ID}: mailchute explain ${UNKNOWN_ID} looks into all of them.\n`,
    });
  }
});
