import { expect, test } from "bun:test";
import { createDatabase, type TestDatabase } from "../database.ts";
import { startRelayProcess, temporaryDirectory } from "../relay_process.ts";
import { describeMessage, enqueue, enqueueMany, makeDue, openTestRelay, until } from "../relay.ts";
import { type ScriptedServer, type Scripts, startScriptedServer } from "../scripted_server.ts";

const RULES = "to:corp.example=internal, *=provider";
const BOTH = ["ann@corp.example", "bob@example.net"];

/** What was recorded of every attempt of a message. */
async function attemptsOf(database: TestDatabase, id: string): Promise<readonly (readonly unknown[])[]> {
  const rows = await database.sql`
    select a.number, r.email, a.outcome, a.route from mailchute.attempt a
    join mailchute.recipient r using (seq, position) join mailchute.message m using (seq)
    where m.id = ${id} order by a.number, a.position`;
  return rows.map(({ number, email, outcome, route }) => [number, email, outcome, route]);
}

/** How often the messages that are still open have been claimed. */
async function claims(database: TestDatabase): Promise<{ readonly messages: number; readonly claims: number }> {
  const [row] = await database.sql`select count(*)::int as messages, sum(lease)::int as claims from mailchute.queue`;
  return { messages: row?.messages as number, claims: row?.claims as number };
}

/** A port at which nothing listens. */
async function deadPort(): Promise<number> {
  await using server = await startScriptedServer();
  return server.port;
}

function recipientsOf(server: ScriptedServer): readonly string[] {
  return server.mails.flatMap(({ recipients }) => recipients).sort();
}

test("the recipients of one message go by a route each, with the same Message-ID, and are settled as one attempt", async () => {
  await using internal = await startScriptedServer();
  await using provider = await startScriptedServer({
    on: { rcpt: (address) => address === "eve@example.net" ? "550 5.1.1 no such user" : undefined },
  });
  await using database = await createDatabase();
  const id = await enqueue(database, { to: [...BOTH, "carl@corp.example"], bcc: "eve@example.net" });
  const routes = { internal: internal.port, provider: provider.port };
  await using running = await openTestRelay(database, { routes, rules: RULES });
  expect(await running.relay.runOnce()).toEqual({ waiting: 0, leased: 0 });

  expect(recipientsOf(internal)).toEqual(["ann@corp.example", "carl@corp.example"]);
  expect(recipientsOf(provider)).toEqual(["bob@example.net"]);
  expect(internal.mails[0]?.content).toBe(provider.mails[0]?.content as string);
  expect(await attemptsOf(database, id)).toEqual([
    [1, "ann@corp.example", "sent", "internal"],
    [1, "bob@example.net", "sent", "provider"],
    [1, "carl@corp.example", "sent", "internal"],
    [1, "eve@example.net", "bounced", "provider"],
  ]);
  const [queue] = await database.sql`select count(*)::int as rows from mailchute.queue`;
  expect(queue?.rows).toBe(0);
});

test("the next route takes over when the first refuses connections, and the mail has lost nothing by it", async () => {
  await using backup = await startScriptedServer();
  await using database = await createDatabase();
  const id = await enqueue(database);
  const routes = { main: await deadPort(), backup: backup.port };
  await using running = await openTestRelay(database, { routes, rules: "*=main|backup", maxAttempts: 1 });
  expect(await running.relay.runOnce()).toEqual({ waiting: 0, leased: 0 });
  expect(await attemptsOf(database, id)).toEqual([[1, "ann@example.com", "sent", "backup"]]);
});

test(
  "while the breaker of the first route is open, only its probes knock there, and all mail goes by the next",
  async () => {
    let isOut = true;
    const knocks: number[] = [];
    await using main = await startScriptedServer({
      on: {
        connect: () => {
          knocks.push(Date.now());
          return isOut ? { close: "421 4.3.2 down" } : undefined;
        },
      },
    });
    await using backup = await startScriptedServer();
    await using database = await createDatabase();
    await using running = await openTestRelay(database, {
      routes: { main: main.port, backup: backup.port },
      rules: "*=main|backup",
      breaker: { firstDelayMs: 400, maxDelayMs: 400, jitter: 0 },
      pollMs: 20,
    });
    running.relay.start();
    for (let batch = 1; knocks.length < 12; batch++) {
      await enqueueMany(database, 50);
      await backup.whenMails(batch * 50);
    }
    // The first ones knocked side by side, before the breaker opened.
    const gaps = knocks.map((atMs, index) => atMs - (knocks[index - 1] ?? 0)).slice(-3);
    for (const gapMs of gaps) expect(gapMs).toBeGreaterThan(350);
    expect(main.mails).toHaveLength(0);

    isOut = false;
    await until(async () => (await enqueueMany(database, 5), main.mails.length > 0), "the first route is used again");
  },
  60_000,
);

test("no other route takes over once the mail may have been taken: its reply was lost, and it stays uncertain", async () => {
  await using main = await startScriptedServer({ on: { content: () => ({ acceptAndClose: true }) } });
  await using backup = await startScriptedServer();
  await using database = await createDatabase();
  const id = await enqueue(database);
  const routes = { main: main.port, backup: backup.port };
  await using running = await openTestRelay(database, { routes, rules: "*=main|backup" });
  await running.relay.runOnce();
  expect(await attemptsOf(database, id)).toEqual([[1, "ann@example.com", "uncertain", "main"]]);
  expect((await describeMessage(database, id)).state).toBe("deferred");
  expect(backup.transcripts).toHaveLength(0);
});

test.each([
  ["says later at RCPT", { rcpt: () => "450 4.2.0 later" }],
  ["hangs up behind DATA", { data: () => ({ close: undefined }) }],
])("no other route takes over when the first %s: that was an attempt", async (_, on) => {
  await using main = await startScriptedServer({ on });
  await using backup = await startScriptedServer();
  await using database = await createDatabase();
  const id = await enqueue(database);
  const routes = { main: main.port, backup: backup.port };
  await using running = await openTestRelay(database, { routes, rules: "*=main|backup" });
  await running.relay.runOnce();
  expect(await attemptsOf(database, id)).toEqual([[1, "ann@example.com", "deferred", "main"]]);
  expect(backup.transcripts).toHaveLength(0);
});

test("while one route is out its recipients stay queued without an attempt, and the others of the message are sent", async () => {
  let isOut = true;
  await using internal = await startScriptedServer({
    on: { connect: () => isOut ? { close: "421 4.3.2 down" } : undefined },
  });
  await using provider = await startScriptedServer();
  await using database = await createDatabase();
  const id = await enqueue(database, { to: BOTH });
  const routes = { internal: internal.port, provider: provider.port };
  // One attempt is all that a mail has.
  await using running = await openTestRelay(database, { routes, rules: RULES, maxAttempts: 1, pollMs: 50 });
  running.relay.start();
  await internal.whenConnections(4);
  await provider.whenMails(1);
  await until(async () => (await attemptsOf(database, id)).length > 0, "settled for one");
  expect(await attemptsOf(database, id)).toEqual([[1, "bob@example.net", "sent", "provider"]]);
  const rows = await database.sql`select state from mailchute.recipient order by position`;
  expect(rows.map(({ state }) => state)).toEqual(["queued", "sent"]);
  isOut = false;
  await until(async () => (await describeMessage(database, id)).state === "sent", "sent");
  expect(await attemptsOf(database, id)).toEqual([
    [1, "ann@corp.example", "sent", "internal"],
    [1, "bob@example.net", "sent", "provider"],
  ]);
  expect(recipientsOf(provider)).toEqual(["bob@example.net"]);
});

test("an attempt that left somebody deferred is counted though the route of others was out, and a person can retry both", async () => {
  let isOut = true;
  await using internal = await startScriptedServer({
    on: { connect: () => isOut ? { close: "421 4.3.2 down" } : undefined },
  });
  await using provider = await startScriptedServer({
    on: {
      rcpt: (address) => {
        if (!isOut) return undefined;
        return address.startsWith("bob@") ? "450 4.2.0 later" : "550 5.1.1 no such user";
      },
    },
  });
  await using database = await createDatabase();
  const id = await enqueue(database, { to: [...BOTH, "carl@example.net"] });
  const gone = await enqueue(database, { to: ["ann@corp.example", "carl@example.net"] });
  const routes = { internal: internal.port, provider: provider.port };
  await using first = await openTestRelay(database, { routes, rules: RULES });
  await first.relay.runOnce();
  expect((await attemptsOf(database, id)).map(([number, , outcome]) => [number, outcome])).toEqual([
    [1, "deferred"],
    [1, "bounced"],
  ]);
  // The server's own wait is kept: a minute, and not the breaker's.
  const { nextAttemptAt } = await describeMessage(database, id);
  expect(Date.parse(nextAttemptAt as string)).toBeGreaterThan(Date.now() + 40_000);

  isOut = false;
  // Its number was given back: whoever is tried a second time must not get it again.
  const [row] = await database
    .sql`select mailchute.retry_message((select seq from mailchute.message where id = ${gone}), false) as answer`;
  expect(row?.answer).toBe("retried");
  await makeDue(database);
  await using second = await openTestRelay(database, { routes, rules: RULES });
  await second.relay.runOnce();
  expect((await describeMessage(database, id)).recipients.map(({ state }) => state)).toEqual([
    "sent",
    "sent",
    "bounced",
  ]);
  expect((await attemptsOf(database, id)).map(([number, email]) => [number, email])).toEqual([
    [1, "bob@example.net"],
    [1, "carl@example.net"],
    [2, "ann@corp.example"],
    [2, "bob@example.net"],
  ]);
  expect(await attemptsOf(database, gone)).toEqual([
    [1, "carl@example.net", "bounced", "provider"],
    [2, "ann@corp.example", "sent", "internal"],
    [2, "carl@example.net", "sent", "provider"],
  ]);
});

test("a message that was partly sent cannot be rescheduled, which would give it another Date", async () => {
  await using provider = await startScriptedServer();
  await using database = await createDatabase();
  const id = await enqueue(database, { to: BOTH });
  const routes = { internal: await deadPort(), provider: provider.port };
  await using running = await openTestRelay(database, { routes, rules: RULES });
  expect(await running.relay.runOnce()).toEqual({ waiting: 1, leased: 0 });
  const [row] = await database.sql`select mailchute.reschedule_v1(${id}, now() + interval '1 day') as answer`;
  expect(row?.answer).toBe("too_late");
});

const KINDS: readonly (readonly [kind: string, on: Scripts])[] = [
  ["refuses connections", { connect: () => ({ close: "421 4.3.2 down" }) }],
  ["takes connections and says nothing", { connect: () => ({ hang: true }) }],
];

for (const [kind, on] of KINDS) {
  test(
    `500 mails for a route that ${kind} hold up no mail of the other, and are not claimed over and over`,
    async () => {
      await using internal = await startScriptedServer({ on });
      await using provider = await startScriptedServer();
      await using database = await createDatabase();
      await enqueueMany(database, 500, "corp.example");
      await enqueueMany(database, 1_000, "example.net");
      await using running = await openTestRelay(database, {
        routes: { internal: internal.port, provider: provider.port },
        rules: RULES,
        graceMs: 100,
        breaker: { firstDelayMs: 200, maxDelayMs: 60_000, jitter: 0 },
      });
      const startedMs = Date.now();
      running.relay.start();
      // Alone it takes about a quarter of a second.
      await provider.whenMails(1_000);
      expect(Date.now() - startedMs).toBeLessThan(10_000);
      // What comes now waits for nothing either.
      for (let number = 1; number <= 100; number++) {
        await enqueue(database, { to: "late@example.net" });
        await provider.whenMails(1_000 + number);
      }
      await until(async () => (await claims(database)).messages === 500, "the others are settled");
      // Three more probes, where there are some: after 200, 400, 800 ms and so on.
      if (internal.openCount === 0) await internal.whenConnections(internal.transcripts.length + 3);
      const seconds = (Date.now() - startedMs) / 1_000;
      // Each was claimed once, and then once for each wait of the breaker, or as often as room was to be expected: ever
      // more rarely.
      expect((await claims(database)).claims).toBeLessThan(500 * (2 + Math.log2(1 + seconds / 0.2)));
    },
    60_000,
  );
}

test("a route that is slow has as many mails under way as it can take, and the other flows beside it", async () => {
  const release = Promise.withResolvers<void>();
  await using internal = await startScriptedServer({
    on: {
      content: async () => {
        await release.promise;
        return undefined;
      },
    },
  });
  await using provider = await startScriptedServer();
  await using database = await createDatabase();
  await enqueueMany(database, 300, "corp.example");
  await enqueueMany(database, 300, "example.net");
  const routes = { internal: internal.port, provider: provider.port };
  await using running = await openTestRelay(database, { routes, rules: RULES });
  running.relay.start();
  await provider.whenMails(300);
  expect(internal.mails).toHaveLength(0);
  release.resolve();
  await makeDue(database);
  await until(async () => (await makeDue(database), internal.mails.length === 300), "all sent");
  await until(async () => (await claims(database)).messages === 0, "all settled");
}, 60_000);

test("one pass counts what waits for a route that is out, after one probe of it, and settles the rest", async () => {
  let connections = 0;
  await using internal = await startScriptedServer({
    on: { connect: () => (connections++, { close: "421 4.3.2 down" }) },
  });
  await using provider = await startScriptedServer();
  await using database = await createDatabase();
  await enqueueMany(database, 60, "corp.example");
  await enqueueMany(database, 60, "example.net");
  const routes = { internal: internal.port, provider: provider.port };
  await using running = await openTestRelay(database, {
    routes,
    rules: RULES,
    connections: 1,
    breaker: { firstDelayMs: 300, maxDelayMs: 300 },
  });
  expect(await running.relay.runOnce()).toEqual({ waiting: 60, leased: 0 });
  expect(provider.mails).toHaveLength(60);
  // Those that opened the breaker, and the probe.
  expect(connections).toBeLessThanOrEqual(5);
  const [tried] = await database.sql`select count(*)::int as rows from mailchute.attempt where route = 'internal'`;
  expect(tried?.rows).toBe(0);
});

test("run --once with one of two routes out settles the rest, says how many wait, and exits with 75", async () => {
  await using provider = await startScriptedServer();
  await using database = await createDatabase();
  await enqueueMany(database, 5, "corp.example");
  await enqueueMany(database, 5, "example.net");
  using state = temporaryDirectory();
  await using relay = startRelayProcess(["run", "--once"], {
    DATABASE_URL: database.url,
    SMTP_URL_INTERNAL: `smtp://127.0.0.1:${await deadPort()}?tls=none&connections=1`,
    SMTP_URL_PROVIDER: `smtp://127.0.0.1:${provider.port}?tls=none`,
    RELAY_ROUTES: RULES,
    RELAY_STATE_DIR: state.path,
  });
  expect(await relay.exited).toBe(75);
  expect(provider.mails).toHaveLength(5);
  expect(relay.output()).toContain('"waiting":5');
  const rows = await database.sql`select attempts, leased_by from mailchute.queue`;
  expect(rows.map((row) => ({ ...row }))).toEqual(Array(5).fill({ attempts: 0, leased_by: null }));
}, 60_000);

test("one pass takes up what a route that was out left over, when its probe succeeds", async () => {
  let connections = 0;
  await using internal = await startScriptedServer({
    on: { connect: () => ++connections === 1 ? { close: "421 4.3.2 down" } : undefined },
  });
  await using provider = await startScriptedServer();
  await using database = await createDatabase();
  await enqueueMany(database, 20, "corp.example");
  const routes = { internal: internal.port, provider: provider.port };
  await using running = await openTestRelay(database, { routes, rules: RULES, connections: 1 });
  expect(await running.relay.runOnce()).toEqual({ waiting: 0, leased: 0 });
  expect(internal.mails).toHaveLength(20);
});

test("a recipient that no rule fits ends as failed, and the others of the message are sent", async () => {
  await using internal = await startScriptedServer();
  await using database = await createDatabase();
  const id = await enqueue(database, { to: BOTH });
  await using running = await openTestRelay(database, {
    routes: { internal: internal.port },
    routing: [{ match: { of: "to", is: "domain", value: "corp.example" }, routes: ["internal"] }],
  });
  await running.relay.runOnce();
  const { recipients } = await describeMessage(database, id);
  expect(recipients.map(({ state, reason }) => [state, reason])).toEqual([
    ["sent", expect.any(String)],
    ["failed", "No route: no rule of RELAY_ROUTES fits this recipient"],
  ]);
});

test("a stop while one part of a message is on the wire gives the waiting part back without an attempt", async () => {
  const reached = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  await using internal = await startScriptedServer({
    on: { content: async () => (reached.resolve(), await release.promise, undefined) },
  });
  await using provider = await startScriptedServer({ on: { connect: () => ({ hang: true }) } });
  await using database = await createDatabase();
  // Enough to keep every worker of the second route busy.
  await enqueueMany(database, 3, "example.net");
  const id = await enqueue(database, { to: BOTH });
  const routes = { internal: internal.port, provider: provider.port };
  await using running = await openTestRelay(database, { routes, rules: RULES, connections: 1, graceMs: 500 });
  running.relay.start();
  await reached.promise;
  const stopped = running.relay.stop();
  release.resolve();
  await stopped;
  expect(await attemptsOf(database, id)).toEqual([[1, "ann@corp.example", "sent", "internal"]]);
  expect((await describeMessage(database, id)).recipients.map(({ state }) => state)).toEqual(["sent", "queued"]);
  const rows = await database.sql`select attempts, leased_by is null as free, due <= now() as due from mailchute.queue`;
  expect(rows.map((row) => ({ ...row }))).toEqual(Array(4).fill({ attempts: 0, free: true, due: true }));
});
