import { expect, test } from "bun:test";
import { SettingsError, startRelay, type StartRelayOptions } from "../relay/start_relay.ts";
import { createDatabase, type TestDatabase } from "./database.ts";
import { temporaryDirectory } from "./relay_process.ts";
import { describeMessage, enqueue } from "./relay.ts";
import { type ScriptedServer, startScriptedServer } from "./scripted_server.ts";

/** What a program gives its relay, and the lines that it gets. */
function optionsFor(
  database: Pick<TestDatabase, "url">,
  server: Pick<ScriptedServer, "port">,
  stateDirectory: string,
): StartRelayOptions & { readonly lines: string[] } {
  const lines: string[] = [];
  return {
    env: {
      DATABASE_URL: database.url,
      SMTP_URL: `smtp://127.0.0.1:${server.port}?tls=none`,
      RELAY_STATE_DIR: stateDirectory,
      PORT: "0",
    },
    pid: process.pid,
    print: (line) => lines.push(line),
    lines,
  };
}

function messagesOf(lines: readonly string[]): readonly string[] {
  return lines.map((line) => JSON.parse(line).msg);
}

test("a relay in this program delivers, answers on its port, and settles before stop() resolves", async () => {
  await using database = await createDatabase();
  await using server = await startScriptedServer();
  using state = temporaryDirectory();
  const id = await enqueue(database);
  const options = optionsFor(database, server, state.path);
  const relay = await startRelay(options);
  await server.whenMails(1);
  expect(await (await fetch(`${relay.url}/livez`)).text()).toBe("ok");
  await relay.stop();
  await relay.stopped;
  expect((await describeMessage(database, id)).state).toBe("sent");
  expect(messagesOf(options.lines).filter((message) => ["serving", "draining", "stopped"].includes(message)))
    .toEqual(["serving", "draining", "stopped"]);
  const [{ pid }] = await database.sql`select pid from mailchute.relay` as unknown as [{ readonly pid: number }];
  expect(pid).toBe(process.pid);
});

test("an aborted signal stops the relay, and stop() after it waits for the same end", async () => {
  await using database = await createDatabase();
  await using server = await startScriptedServer();
  using state = temporaryDirectory();
  const asked = new AbortController();
  const options = optionsFor(database, server, state.path);
  const relay = await startRelay({ ...options, signal: asked.signal });
  asked.abort();
  await relay.stopped;
  await relay.stop();
  expect(messagesOf(options.lines).filter((message) => message === "draining")).toHaveLength(1);
  // The state directory is free: another one starts there at once.
  const again = await startRelay(options);
  await again.stop();
  expect(again.url).toStartWith("http://127.0.0.1:");
});

test("a signal that is aborted during the start leaves nothing behind and rejects with its reason", async () => {
  await using database = await createDatabase();
  await using server = await startScriptedServer();
  using state = temporaryDirectory();
  const asked = new AbortController();
  const options = optionsFor(database, server, state.path);
  const print = (line: string) => {
    options.print(line);
    asked.abort(new Error("not now"));
  };
  await expect(startRelay({ ...options, print, signal: asked.signal })).rejects.toThrow("not now");
  expect(messagesOf(options.lines).at(-1)).toBe("stopped");
  const said = options.lines.length;
  await expect(startRelay({ ...options, signal: AbortSignal.abort(new Error("never")) })).rejects.toThrow("never");
  expect(options.lines).toHaveLength(said);
});

test("a wrong setting rejects with a SettingsError that names it", async () => {
  const options = optionsFor({ url: "postgres://a@127.0.0.1:1/a" }, { port: 1 }, "unused");
  const error = await startRelay({ ...options, env: { ...options.env, RELAY_LEASE: "120" } }).catch((error) => error);
  expect(error).toBeInstanceOf(SettingsError);
  expect(error.variable).toBe("RELAY_LEASE");
});

for (
  const [field, wrong, fix] of [
    ["env", undefined, "{ DATABASE_URL, SMTP_URL }"],
    ["pid", "7", "the number of this process"],
    ["print", undefined, "one that takes a line"],
  ] as const
) {
  test(`an option that is no ${field} is named, with what to pass`, async () => {
    const options = { env: {}, pid: 1, print: () => {}, [field]: wrong } as unknown as StartRelayOptions;
    const error = await startRelay(options).catch((error) => error);
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toContain(`${field} is not`);
    expect(error.message).toContain(fix);
  });
}
