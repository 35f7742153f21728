import { expect, test } from "bun:test";
import { pauseBatch } from "../../relay/limits/pause_table.ts";
import { createDatabase } from "../database.ts";
import { startRelayProcess, temporaryDirectory } from "../relay_process.ts";
import { enqueue, until } from "../relay.ts";
import { connectAs, newRole, send } from "../schema/role.ts";
import { startScriptedServer } from "../scripted_server.ts";
import { on, run } from "../command.ts";

test("pause begins, lists and says again why; resume ends, and says what is still paused", async () => {
  await using database = await createDatabase();
  const env = on(database);
  expect(await run(["pause"], env)).toEqual({ code: 0, stdout: "", stderr: "Nothing is paused.\n" });
  expect(await run(["pause", "--json"], env)).toEqual({ code: 0, stdout: "[]\n", stderr: "" });
  const told = async (...words: readonly string[]) => {
    const { code, stdout, stderr } = await run(words, env);
    expect(stdout).toBe("");
    return [code, stderr.trimEnd()];
  };
  expect(await told("pause", "--stream", "bulk", "--reason", "a wrong link")).toEqual([0, "stream bulk: paused"]);
  expect(await told("pause", "--to-domain", "MÜNCHEN.example")).toEqual([0, "mail to xn--mnchen-3ya.example: paused"]);
  expect(await told("pause", "--all")).toEqual([0, "all mail: paused"]);
  const [before] = await database.sql`select since from mailchute.pause where key = 'stream=bulk'`;
  expect(await told("pause", "--stream", "bulk", "--reason", "now mended")).toEqual([
    0,
    "stream bulk: was paused already",
  ]);

  const json = await run(["pause", "--json"], env);
  expect(JSON.parse(json.stdout)).toMatchObject([
    { key: "all", by: "postgres" },
    { key: "domain=xn--mnchen-3ya.example", by: "postgres" },
    { key: "stream=bulk", by: "postgres", reason: "now mended", since: before?.since.toISOString() },
  ]);
  const text = (await run(["pause"], env)).stdout.trimEnd().split("\n");
  expect(text[0]).toMatch(/^paused +since +by +reason$/);
  expect(text[3]).toMatch(/^stream bulk +20[\dT:-]+Z +postgres +now mended$/);

  expect(await told("resume", "--stream", "bulk")).toEqual([
    ...[0, "stream bulk: resumed; still paused: all mail, mail to xn--mnchen-3ya.example"],
  ]);
  expect(await told("resume", "--stream", "bulk")).toEqual([
    ...[1, "stream bulk: was not paused; still paused: all mail, mail to xn--mnchen-3ya.example"],
  ]);
  expect(await told("resume", "--to-domain", "xn--mnchen-3ya.example")).toEqual([
    ...[0, "mail to xn--mnchen-3ya.example: resumed; still paused: all mail"],
  ]);
  expect(await told("resume", "--all")).toEqual([0, "all mail: resumed"]);
}, 60_000);

test("pause --stream of a name that no mail has had pauses it, and asks whether the name is right", async () => {
  await using database = await createDatabase();
  const env = on(database);
  const told = async (stream: string) => (await run(["pause", "--stream", stream], env)).stderr.trimEnd();
  expect(await told("newsleter")).toMatch(
    /^stream newsleter: paused; no mail of that stream has been seen in \S+, where it may come later: is the name right\?$/,
  );
  expect(await database.sql`select key from mailchute.pause`).toMatchObject([{ key: "stream=newsleter" }]);
  await enqueue(database, { stream: "newsletter" });
  expect(await told("newsletter")).toBe("stream newsletter: paused");
  // It has settings.
  expect(await told("otp")).toBe("stream otp: paused");
});

test.each([
  [["resume"], "resume takes one of --all, --app NAME, --stream NAME and --to-domain DOMAIN"],
  [["resume", "bulk"], "Unexpected argument 'bulk'"],
  [["pause", "bulk"], "Unexpected argument 'bulk'"],
  [["pause", "--stream", "bulk", "--stream", "alert"], "--stream is given twice: keep one"],
  [
    ["pause", "--all", "--stream", "bulk"],
    "Name one of --all, --app NAME, --stream NAME and --to-domain DOMAIN at a time",
  ],
  [["pause", "--stream", "Bulk"], "--stream Bulk is no stream: 1 to 63 of a-z 0-9 . _ -"],
  [["pause", "--app", "the shop"], "--app the shop is no app: 1 to 63 of A-Z a-z 0-9 _ . -"],
  [["pause", "--to-domain", "ann@example.com"], "--to-domain ann@example.com is no domain that mail could have"],
  [["pause", "--to-domain", "*.example.com"], "is no domain that mail could have: write example.com"],
  [["pause", "--reason", "why"], "--reason says why something is paused: add --all"],
  [["pause", "--all", "--reason", " "], "--reason is empty: say which, or leave it out"],
  [["pause", "--all", "--reason", "a\nb"], "--reason takes one line of 1 to 500 characters"],
  [["pause", "--all", "--reason", "r".repeat(501)], "--reason takes one line of 1 to 500 characters"],
  [["pause", "--all", "--json"], "--json is for the list"],
  // What a shell makes of a variable that is not set.
  [["pause", "--stream", ""], "--stream is empty: say which, or leave it out"],
  [["cancel", "--batch", " ", "--yes"], "--batch is empty: say which, or leave it out"],
  [["show", ""], "An argument is empty: say which, or leave it out"],
])("%p is refused before anything is asked of a database", async (words, sentence) => {
  const ran = await run(words, { DATABASE_URL: "postgres://nobody@127.0.0.1:1/none" });
  expect({ code: ran.code, stdout: ran.stdout }).toEqual({ code: 2, stdout: "" });
  expect(ran.stderr).toContain(sentence);
});

test("a pause in a database that is no home is told to hold for relays whose home it is", async () => {
  await using home = await createDatabase();
  await using shop = await createDatabase();
  const env = { ...on(home), DATABASE_URL_SHOP: shop.url };
  const ran = await run(["pause", "--all", "--database", "shop"], env);
  expect(ran.stderr).toContain("all mail: paused for relays whose home is the database shop, and for no others");
  expect((await shop.sql`select from mailchute.pause`).length).toBe(1);
  expect((await home.sql`select from mailchute.pause`).length).toBe(0);
  const status = await run(["status", "--json"], env);
  expect(JSON.parse(status.stdout).map((report: object) => "pauses" in report)).toEqual([true, false]);
}, 60_000);

test(
  "pause --app keeps back the mail of one app, claimed once and free of cost from then on, and no other's; resume sends it",
  async () => {
    await using server = await startScriptedServer();
    await using database = await createDatabase();
    using state = temporaryDirectory();
    const env = {
      ...on(database),
      ...{ SMTP_URL: `smtp://127.0.0.1:${server.port}?tls=none`, RELAY_STATE_DIR: state.path, PORT: "0" },
    };
    const [shop, crm] = [newRole(), newRole()];
    for (const app of [shop, crm]) {
      await using connected = await connectAs(database, app);
      await run(["grants", app, "--from", "*"], on(database));
      for (let count = 0; count < 5; count++) await send(connected, { to: [{ email: `${app}${count}@example.com` }] });
    }
    expect(await run(["pause", "--app", shop, "--reason", "it loops"], env)).toEqual({
      ...{ code: 0, stdout: "", stderr: `app ${shop}: paused\n` },
    });
    const sentOf = (app: string) => server.mails.filter(({ recipients }) => recipients[0]?.startsWith(app)).length;
    const parked = async () => {
      const [row] = await database.sql`
      select count(*)::int as messages, coalesce(max(lease), 0)::int as claims, coalesce(sum(attempts), 0)::int as attempts
      from mailchute.queue where throttle = ${`paused:app=${shop}`} and leased_by is null`;
      return { ...row };
    };
    await using relay = startRelayProcess(["run"], env);
    await server.whenMails(5);
    await until(async () => (await parked()).messages === 5, "the shop's mail is put aside");
    // Further claims find none of it.
    await enqueue(database);
    await server.whenMails(6);
    expect(await parked()).toMatchObject({ messages: 5, claims: 1, attempts: 0 });
    expect([sentOf(shop), sentOf(crm)]).toEqual([0, 5]);
    const [held] = await database.sql`select id from mailchute.message where app = ${shop} limit 1`;
    expect((await run(["explain", held?.id], env)).stdout).toContain(`mailchute resume --app ${shop}`);
    expect((await run(["doctor"], env)).stdout).toContain(`mailchute resume --app ${shop}`);
    const url = /"status":"(http[^"]+)"/.exec(relay.output())?.[1] as string;
    expect(await (await fetch(new URL("/metrics", url))).text()).toContain(
      `mailchute_paused{of="app",app="${shop}"} 1`,
    );

    expect((await run(["resume", "--app", shop], env)).stderr).toBe(`app ${shop}: resumed\n`);
    await server.whenMails(11);
    expect([sentOf(shop), sentOf(crm)]).toEqual([5, 5]);
  },
  60_000,
);

test("pause --app tells when no app is called so here: a slip of the pen would stop nobody", async () => {
  await using database = await createDatabase();
  await run(["grants", newRole(), "--app", "shop", "--from", "*"], on(database));
  const { code, stderr } = await run(["pause", "--app", "shp"], on(database));
  expect(code).toBe(0);
  expect(stderr).toMatch(/^app shp: paused\nNo app of the database home is called shp/);
});

test("an administrator may pause, a relay may read that, and nobody else may", async () => {
  await using database = await createDatabase();
  const [admin, relay, app] = [newRole(), newRole(), newRole()];
  await using asAdmin = await connectAs(database, admin);
  await using asRelay = await connectAs(database, relay);
  await using asApp = await connectAs(database, app);
  await database.sql.unsafe(
    `grant mailchute_admin to ${admin}; grant mailchute_relay to ${relay}; grant mailchute_client to ${app}`,
  ).simple();
  expect(await run(["pause", "--stream", "bulk"], { DATABASE_URL: await database.as(admin) })).toMatchObject({
    code: 0,
  });
  expect([...await asRelay`select key, by from mailchute.pause`]).toEqual([{ key: "stream=bulk", by: admin }]);
  for (const sql of [asRelay, asApp]) {
    expect(sql`insert into mailchute.pause (key) values ('all')`.execute()).rejects.toThrow("permission denied");
    expect(sql`delete from mailchute.pause`.execute()).rejects.toThrow("permission denied");
  }
  expect(asApp`select from mailchute.pause`.execute()).rejects.toThrow("permission denied");
  const batch = "018f0000-0000-7000-8000-000000000001";
  // But for a batch that fails too often.
  await pauseBatch(asRelay, { batch, reason: "too many were refused" });
  await pauseBatch(asRelay, { batch, reason: "again" });
  expect([...await asRelay`select key, by, reason from mailchute.pause where key like 'batch%'`]).toEqual([
    { key: `batch=${batch}`, by: relay, reason: "too many were refused" },
  ]);
  for (
    const key of [
      "batch=",
      "batch=news",
      "",
      "bulk",
      "stream=",
      "stream=Bulk",
      "app=",
      "app=a,b",
      "domain=",
      "domain=a,b",
      "all=1",
    ]
  ) {
    expect(asAdmin`insert into mailchute.pause (key) values (${key})`.execute()).rejects.toThrow("pause_key_check");
  }
}, 60_000);

test(
  "a relay process is ready while all is paused, says so in status and metrics, and run --once exits with 75 and the reason",
  async () => {
    await using server = await startScriptedServer();
    await using database = await createDatabase();
    using state = temporaryDirectory();
    const env = {
      ...on(database),
      ...{ SMTP_URL: `smtp://127.0.0.1:${server.port}?tls=none`, RELAY_STATE_DIR: state.path, PORT: "0" },
    };
    await run(["pause", "--all", "--reason", "the server moves"], env);
    await enqueue(database);
    await using relay = startRelayProcess(["run"], env);
    await relay.printed('"msg":"serving"');
    expect(relay.output()).toMatch(/"msg":"paused","pause":"all","by":"postgres",.*"reason":"the server moves"/);
    const url = /"status":"(http[^"]+)"/.exec(relay.output())?.[1] as string;
    expect(await (await fetch(new URL("/readyz", url))).text()).toBe("ok");
    expect(await (await fetch(new URL("/status", url))).json()).toMatchObject({
      pauses: [{ key: "all", reason: "the server moves", by: "postgres" }],
    });
    expect(await (await fetch(new URL("/metrics", url))).text()).toContain('\nmailchute_paused{of="all"} 1\n');
    expect(await (await fetch(url)).text()).toContain("All mail is paused.");
    const status = await run(["status"], env);
    expect(status.stdout).toMatch(/^all mail is paused since 20\S+ by postgres: the server moves$/m);
    relay.kill("SIGTERM");
    expect(await relay.exited).toBe(0);

    await using once = startRelayProcess(["run", "--once"], env);
    expect(await once.exited).toBe(75);
    expect(once.output()).toMatch(/not all that is due is settled.*"waiting":1.*"paused":1,"pauses":\["all"\]/);
    expect(server.mails).toEqual([]);
  },
  60_000,
);
