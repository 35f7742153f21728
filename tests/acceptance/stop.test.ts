import { expect, test } from "bun:test";
import { join } from "node:path";
import { type Clock, systemClock } from "../../relay/time/clock.ts";
import { startDatabaseProxy } from "../database_proxy.ts";
import { createDatabase } from "../database.ts";
import { openConnection, waitForLocks } from "../queue/setup.ts";
import { startRelayProcess, temporaryDirectory } from "../relay_process.ts";
import { describeMessage, enqueue, openTestRelay, until } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";

/** Waits a tenth of every wait. */
const HASTY: Clock = { now: systemClock.now, after: (delayMs, callback) => systemClock.after(delayMs / 10, callback) };

test("SIGTERM while the server keeps the reply to the final dot past the grace leaves the mail held as uncertain, and it goes out once", async () => {
  const release = Promise.withResolvers<void>();
  await using server = await startScriptedServer({
    on: {
      content: async () => {
        await release.promise;
        return undefined;
      },
    },
  });
  await using database = await createDatabase();
  using state = temporaryDirectory();
  const env = { ...environment(database, { server, state }), PORT: "0" };
  const id = await enqueue(database, { onUncertain: "hold" });
  await using first = startRelayProcess(["run"], env);
  await server.whenSaid("\r\n.\r\n");
  first.kill("SIGTERM");
  expect(await first.exited).toBe(0);
  const { state: after, attempts } = await describeMessage(database, id);
  expect(after).toBe("held");
  expect(attempts.map(({ number, outcome }) => [number, outcome])).toEqual([[1, "uncertain"]]);

  release.resolve();
  await server.whenMails(1);
  await using second = startRelayProcess(["run", "--once"], env);
  expect(await second.exited).toBe(0);
  expect(server.mails).toHaveLength(1);
  expect((await describeMessage(database, id)).state).toBe("held");
});

test("a relay stops soon after its grace though its database has gone silent while a mail was on the wire", async () => {
  await using database = await createDatabase();
  await using proxy = await startDatabaseProxy(database.url);
  await using server = await startScriptedServer({
    on: {
      content: () => {
        proxy.freeze();
        return undefined;
      },
    },
  });
  const through = { ...database, url: proxy.url };
  await using running = await openTestRelay(through, { smtpPort: server.port, graceMs: 1_000, clock: HASTY });
  running.relay.start();
  const id = await enqueue(database);
  await server.whenMails(1);
  // Does not end at all when it waits for an answer of the database.
  await running.relay.stop();
  expect((await describeMessage(database, id)).state).toBe("sending");
});

test("a relay with nothing to do stops though its database is silent", async () => {
  await using database = await createDatabase();
  await using proxy = await startDatabaseProxy(database.url);
  await using server = await startScriptedServer();
  const through = { ...database, url: proxy.url };
  await using running = await openTestRelay(through, { smtpPort: server.port, graceMs: 1_000, clock: HASTY });
  running.relay.start();
  await enqueue(database);
  await until(async () => (await database.sql`select from mailchute.queue`).count === 0, "settled");
  proxy.freeze();
  await running.relay.stop();
});

test("run --once exits 75 when the database goes away before it has said what is left", async () => {
  await using database = await createDatabase();
  await using proxy = await startDatabaseProxy(database.url);
  await using server = await startScriptedServer();
  using state = temporaryDirectory();
  await enqueue(database);
  // The last question, after all is settled, asks how many are waiting.
  const lost = proxy.loseAnswer("as waiting");
  await using once = startRelayProcess(["run", "--once"], environment(proxy, { server, state }));
  await lost;
  proxy.refuse();
  expect(await once.exited).toBe(75);
  expect(server.mails).toHaveLength(1);
});

test("run --once outlives the loss of the statement that asks for the leases of dead relays", async () => {
  await using database = await createDatabase();
  await using proxy = await startDatabaseProxy(database.url);
  await using server = await startScriptedServer();
  using state = temporaryDirectory();
  const id = await enqueue(database);
  const lost = proxy.loseRequest("join mailchute.relay r on r.id = q.leased_by");
  await using once = startRelayProcess(["run", "--once"], environment(proxy, { server, state }));
  await lost;
  // Nothing is left, which the count says that comes behind it.
  expect(await once.exited).toBe(0);
  expect((await describeMessage(database, id)).state).toBe("sent");
});

test("run --once that cannot write an outcome, since the database refuses, exits 75 at SIGTERM", async () => {
  await using database = await createDatabase();
  await using proxy = await startDatabaseProxy(database.url);
  await using server = await startScriptedServer({
    on: {
      content: () => {
        proxy.refuse();
        return undefined;
      },
    },
  });
  using state = temporaryDirectory();
  await enqueue(database);
  await using once = startRelayProcess(["run", "--once"], environment(proxy, { server, state }));
  await once.printed("database does not answer");
  once.kill("SIGTERM");
  expect(await once.exited).toBe(75);
}, 60_000);

test("SIGHUP drains as SIGTERM does, and a second one, which a terminal that is gone often sends, breaks nothing off", async () => {
  const release = Promise.withResolvers<void>();
  await using server = await startScriptedServer({
    on: { content: async () => (await release.promise, undefined) },
  });
  await using database = await createDatabase();
  using state = temporaryDirectory();
  const env = { ...environment(database, { server, state }), PORT: "0", RELAY_GRACE: "25s" };
  const id = await enqueue(database);
  await using relay = startRelayProcess(["run"], env);
  await server.whenSaid("\r\n.\r\n");
  relay.kill("SIGHUP");
  await relay.printed('"msg":"draining","signal":"SIGHUP"');
  relay.kill("SIGHUP");
  release.resolve();
  expect(await relay.exited).toBe(0);
  expect((await describeMessage(database, id)).state).toBe("sent");
});

test("a relay that nohup has started outlives the end of its terminal", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  using state = temporaryDirectory();
  const main = join(import.meta.dir, "../../relay/main.ts");
  const env = {
    ...environment(database, { server, state }),
    PORT: "0",
    PATH: process.env.PATH ?? "",
    LOG_FORMAT: "json",
  };
  const child = Bun.spawn(["sh", "-c", 'trap "" HUP; exec "$0" "$@"', process.execPath, main, "run"], {
    ...{ env, stdin: "ignore", stdout: "pipe", stderr: "ignore" },
  });
  try {
    let text = "";
    const lines = child.stdout.pipeThrough(new TextDecoderStream())[Symbol.asyncIterator]();
    while (!text.includes('"msg":"serving"')) text += (await lines.next()).value ?? "";
    child.kill("SIGHUP");
    const id = await enqueue(database);
    await server.whenMails(1);
    await until(async () => (await describeMessage(database, id)).state === "sent", "it goes on");
    child.kill("SIGTERM");
    while (!text.includes('"msg":"stopped"')) text += (await lines.next()).value ?? "";
    expect(text).toContain('"msg":"draining","signal":"SIGTERM"');
    expect(await child.exited).toBe(0);
  } finally {
    child.kill("SIGKILL");
  }
});

test("the first Ctrl-C ends a command that takes long: only a relay has something to bring to an end", async () => {
  await using database = await createDatabase();
  await enqueue(database);
  await using holder = openConnection(database);
  await using command = startRelayProcess(["cancel", "--all", "--yes"], { DATABASE_URL: database.url });
  await holder.begin(async (tx) => {
    await tx`select from mailchute.queue for update`;
    await waitForLocks(database, 1);
    command.kill("SIGINT");
    expect(await command.exited).toBe(-1);
  });
});

function environment(
  proxy: { readonly url: string },
  others: { readonly server: { readonly port: number }; readonly state: { readonly path: string } },
): Readonly<Record<string, string>> {
  return {
    DATABASE_URL: proxy.url,
    SMTP_URL: `smtp://127.0.0.1:${others.server.port}?tls=none`,
    RELAY_STATE_DIR: others.state.path,
    RELAY_GRACE: "100ms",
  };
}

test(
  "a mail that still waits for a connection when the relay stops goes back at once, and the grace is not waited for",
  async () => {
    await using database = await createDatabase();
    // Takes the connection and never greets.
    await using server = await startScriptedServer({ on: { connect: () => ({ hang: true }) } });
    await using running = await openTestRelay(database, { smtpPort: server.port, graceMs: 600_000 });
    running.relay.start();
    const id = await enqueue(database);
    await server.whenConnections(1);
    await until(async () => (await describeMessage(database, id)).state === "sending", "claimed");
    await running.relay.stop();
    const { state, attempts } = await describeMessage(database, id);
    expect({ state, attempts }).toEqual({ state: "queued", attempts: [] });
  },
  60_000,
);

for (const [args, code] of [[["run"], 0], [["run", "--once"], 75]] as const) {
  test(`${args.join(" ")} ends at SIGTERM though it waits for a database that never answers`, async () => {
    const reached = Promise.withResolvers<void>();
    using silent = Bun.listen({
      ...{ hostname: "127.0.0.1", port: 0 },
      socket: { open: () => reached.resolve(), data: () => undefined },
    });
    await using server = await startScriptedServer();
    using state = temporaryDirectory();
    const url = `postgres://relay:secret@127.0.0.1:${silent.port}/shop`;
    await using running = startRelayProcess([...args], { ...environment({ url }, { server, state }), PORT: "0" });
    await reached.promise;
    running.kill("SIGTERM");
    // Else its connect_timeout decides, and the exit code is that of a start that has failed.
    expect(await running.exited).toBe(code);
    expect(running.output()).toContain("before it had started");
  });
}
